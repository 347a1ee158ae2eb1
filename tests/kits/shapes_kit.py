"""Shapes anywhere on Earth, for property tests."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon


@st.composite
def stars(draw: st.DrawFn, x: float = 0.0, y: float = 0.0, radius: float = 1.0, *, holes: bool = True) -> Polygon:
    """A polygon of 3 to 12 corners around a point, wound either way, with or without a hole wound either way."""
    count = draw(st.integers(3, 12))
    reaches = draw(st.lists(st.floats(0.5, 1.0), min_size=count, max_size=count))
    ring = [
        (x + radius * reach * math.cos(2 * math.pi * n / count), y + radius * reach * math.sin(2 * math.pi * n / count))
        for n, reach in enumerate(reaches)
    ]
    polygon = Polygon(ring[::-1] if draw(st.booleans()) else ring)
    if holes and draw(st.booleans()):
        small = radius * draw(st.floats(0.02, 0.1))
        hole = [(x - small, y - small), (x + small, y - small), (x, y + small)]
        turned = hole[::-1] if draw(st.booleans()) else hole
        holed = Polygon(polygon.exterior.coords, [turned])
        return holed if holed.is_valid else polygon
    return polygon


@st.composite
def scattered(draw: st.DrawFn, reach: float, radius: float) -> MultiPolygon:
    """One to five of them that don't touch, at most about ``reach`` apart."""
    places = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5, unique=True))
    step = max(reach / 10, 2.1 * radius)
    return MultiPolygon([draw(stars(column * step, row * step, radius)) for column, row in places])


def wavy_ring(x: float, y: float, radius: float, vertices: int) -> list[list[float]]:
    """A ring of many vertices."""
    turns = [2 * math.pi * n / vertices for n in range(vertices)]
    ring = [
        [
            x + radius * (1 + 0.01 * math.sin(99 * t)) * math.cos(t),
            y + radius * (1 + 0.01 * math.sin(99 * t)) * math.sin(t),
        ]
        for t in turns
    ]
    return [*ring, ring[0]]
