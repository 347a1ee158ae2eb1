"""Clouds, shadows, haze, snow and the atmosphere. Imports the random numbers beside it."""
