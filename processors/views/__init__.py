"""What a season looked like over an area, read from the cube once more: true colour, curves, parcels, and clear dates per pixel."""
