"""Squares found by halves are those found one by one."""

from __future__ import annotations

import shapes_kit
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box

from catalog.lattice import HAIR, squares_meeting


@given(shapes_kit.scattered(reach=3000, radius=200), st.integers(60, 400))
@settings(max_examples=20)
def test_squares_are_those_that_share_surface(shapes: MultiPolygon, edge: int) -> None:
    west, south, east, north = shapes.bounds
    wests = list(range(int(west) - 2 * edge, int(east) + edge, edge))
    souths = list(range(int(south) - 2 * edge, int(north) + edge, edge))
    met = squares_meeting(shapes, wests, souths, edge)
    assert met == sorted(set(met))
    found = set(met)
    for row, y in enumerate(souths):
        for column, x in enumerate(wests):
            inner = box(x + HAIR, y + HAIR, x + edge - HAIR, y + edge - HAIR)
            assert ((row, column) in found) == shapes.intersects(inner)


def test_squares_may_overlap_and_end_unevenly() -> None:
    wests, souths = [0, 96, 150], [0, 90]
    assert squares_meeting(box(140, 10, 160, 20), wests, souths, 128) == [(0, 1), (0, 2)]
    assert squares_meeting(box(100, 95, 101, 96), wests, souths, 128) == [(0, 0), (0, 1), (1, 0), (1, 1)]
