"""Outlines of numbered parcels as polygons: smoothed along their edges, with what neighbours share kept shared.

The edges of pixels are stairs. Each outline goes through the middles of the pixels' edges instead, except where three parcels meet: then it
holds the same pixel centres, and a stair of single steps is a straight line. What is left is simplified as one coverage (Visvalingam and
Whyatt, 1993, by GEOS), with the largest of `TOLERANCES` that gives the pixels back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import shapes
from shapely import GeometryType

from catalog.grid import MEMORY_RASTERS, PIXEL, Window, burnt
from processors.views.segments import NumberRaster, Segments

TOLERANCES = (6.0, 4.0, 2.0, 0.0)
"""Simplification, m: the square root of the area of triangles that are cut off."""

LEAST_EQUAL = 0.98
"""Share of its pixels that each parcel must get back where the outlines are burnt."""

MOST_OFF = 0.005
"""Difference between a crop's hectares in the map's parcels and in the outlines burnt back, as a share."""

_AT_ONCE = 1_000_000
"""Vertices of outlines that are simplified at once; the parcels beside them come with them."""


def outline(segments: Segments) -> npt.NDArray[Any]:
    """Polygons (N,) of parcels, in the metres of the zone, by number.

    At least `LEAST_EQUAL` of each one's pixels come back where they are burnt, and each crop's hectares within `MOST_OFF`.
    """
    rough = rough_outlines(segments.numbers, len(segments.value))
    for tolerance in TOLERANCES:
        smooth = simplified(rough, tolerance)
        if tolerance == 0 or _holds(smooth, segments):
            break
    return smooth


def rough_outlines(numbers: NumberRaster, count: int) -> npt.NDArray[Any]:
    """Polygons (N,) through the middles of the pixels' edges, that hold just the centres of their own pixels."""
    pieces: list[Any] = []
    owners: list[npt.NDArray[np.int64]] = []
    nodes: list[npt.NDArray[np.int64]] = []
    for block in numbers.blocks:
        around = numbers.read(block.widened(1))
        if not around[1:-1, 1:-1].any():
            continue
        made = [(polygon, number) for polygon, number in _pieces(around[1:-1, 1:-1], block)]
        pieces += [polygon for polygon, _ in made]
        owners.append(np.array([number for _, number in made], np.int64))
        nodes.append(_nodes(around, block))
    if not pieces:
        return np.zeros(0, object)
    whole = _whole(np.array(pieces, object), np.concatenate(owners), count)
    return _through_middles(whole, np.unique(np.concatenate(nodes)))


def _pieces(numbers: npt.NDArray[np.int32], block: Window) -> Iterator[tuple[Any, int]]:
    """The parts of parcels in a block, along the pixels' edges."""
    with MEMORY_RASTERS:
        for geometry, number in shapes(numbers, mask=numbers > 0, connectivity=4, transform=block.transform):
            shell, *holes = geometry["coordinates"]
            yield shapely.Polygon(shell, holes), int(number)


def _whole(pieces: npt.NDArray[Any], owners: npt.NDArray[np.int64], count: int) -> npt.NDArray[Any]:
    """Polygons (N,) with a vertex at every corner of a pixel, put together from what lies in each block."""
    pieces = shapely.segmentize(pieces, PIXEL)
    order = np.argsort(owners, kind="stable")
    pieces, owners = pieces[order], owners[order]
    starts = np.searchsorted(owners, np.arange(1, count + 2))
    whole = np.empty(count, object)
    several = np.diff(starts) > 1
    whole[~several] = pieces[starts[:-1][~several]]
    for number in np.flatnonzero(several):
        # With a vertex at every corner of a pixel their common edges are the same on both sides.
        whole[number] = shapely.coverage_union_all(pieces[starts[number] : starts[number + 1]])
    return whole


def _nodes(around: npt.NDArray[np.int32], block: Window) -> npt.NDArray[np.int64]:
    """Keys of the corners of a block's pixels where more than two outlines end. ``around``: numbers with a pixel more on each side."""
    a, b, c, d = around[:-1, :-1], around[:-1, 1:], around[1:, 1:], around[1:, :-1]
    ends = (a != b).astype(np.int8) + (b != c) + (c != d) + (d != a)
    rows, columns = np.nonzero(ends > 2)
    return _key(block.left + columns, block.top - rows)


def _key(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """One number for a corner (x, y) in pixels."""
    key: npt.NDArray[np.int64] = (x.astype(np.int64) << 32) + y.astype(np.int64)
    return key


def _through_middles(polygons: npt.NDArray[Any], nodes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Polygons that go through the middles of the edges of polygons with a vertex at every corner of a pixel, and through nodes."""
    kind, coordinates, (rings, parts) = shapely.to_ragged_array(polygons)
    if kind != GeometryType.POLYGON:
        raise ValueError(f"outlines are polygons, got {kind}")
    corners = np.rint(coordinates / PIXEL)
    keys = _key(corners[:, 0], corners[:, 1])
    place = np.minimum(np.searchsorted(nodes, keys), max(0, len(nodes) - 1))
    node = nodes[place] == keys if len(nodes) else np.zeros(len(keys), np.bool_)
    last = np.zeros(len(corners), np.bool_)
    last[rings[1:] - 1] = True  # says the first of its ring again
    following = corners[np.minimum(np.arange(len(corners)) + 1, len(corners) - 1)]
    middles = (corners + following) / 2
    # Of each vertex but the last: itself where it is a node, and the middle of the edge after it. Of the last: the first written.
    counts = np.where(last, 1, 1 + node)
    ends = np.cumsum(counts)
    starts = ends - counts
    made = np.empty((int(ends[-1]), 2))
    inner = ~last
    made[starts[inner & node]] = corners[inner & node]
    made[ends[inner] - 1] = middles[inner]
    made[starts[last]] = made[starts[rings[:-1]]]
    new_rings = np.concatenate([[0], ends[rings[1:] - 1]])
    smooth: npt.NDArray[Any] = shapely.from_ragged_array(GeometryType.POLYGON, made * PIXEL, (new_rings, parts))
    return smooth


def simplified(polygons: npt.NDArray[Any], tolerance: float) -> npt.NDArray[Any]:
    """Simplify polygons (N,) that share edges so that they still share them."""
    if not len(polygons):
        return polygons
    return np.asarray(shapely.coverage_simplify(polygons, tolerance))


def _holds(polygons: npt.NDArray[Any], segments: Segments) -> bool:
    """Return whether polygons, burnt back, are the parcels that they outline, within `LEAST_EQUAL` and `MOST_OFF`."""
    equal, burnt_pixels = np.zeros((2, len(polygons) + 1), np.int64)
    for block, numbers in burnt_blocks(polygons, segments.numbers):
        equal += np.bincount(block[numbers == block], minlength=len(equal))
        burnt_pixels += np.bincount(numbers.ravel(), minlength=len(burnt_pixels))
    mapped = np.bincount(segments.value, weights=segments.pixels, minlength=256)
    outlined = np.bincount(segments.value, weights=burnt_pixels[1:], minlength=256)
    enough = equal[1:] >= LEAST_EQUAL * segments.pixels
    return bool(enough.all() and (abs(outlined - mapped) <= MOST_OFF * mapped).all())


def burnt_blocks(
    polygons: npt.NDArray[Any], numbers: NumberRaster
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Numbers (H, W) of each block, as they are and as the polygons give them back."""
    tree = shapely.STRtree(polygons)
    for block in numbers.blocks:
        west, south, east, north = block.bounds
        near = np.sort(tree.query(shapely.box(west, south, east, north)))
        large = near[shapely.get_num_coordinates(polygons[near]) > 1000]
        shown = dict(zip(large.tolist(), shapely.clip_by_rect(polygons[large], *block.widened(1).bounds), strict=True))
        pairs = ((shown.get(number, polygons[number]), number + 1) for number in near.tolist())
        yield (
            numbers.read(block),
            burnt(((polygon, number) for polygon, number in pairs if not polygon.is_empty), block),
        )
