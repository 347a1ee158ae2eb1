"""The mission over the land: what one overpass sees, and the scenes that it leaves. Imports land, sky and instrument."""
