"""Random numbers that belong to a place: the same whatever window asks for them. Imports the grid only."""
