"""Thematic processors: what is made of the season. Found by the entry points `cropline.processors`.

Imports `patches`, `cube` and the engine.
"""
