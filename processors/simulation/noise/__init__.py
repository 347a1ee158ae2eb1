"""Random numbers that belong to a position: the same whatever window asks for them. Imports the grid only."""
