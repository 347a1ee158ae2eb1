"""Outlines of numbered parcels as polygons: smoothed along their edges, with what neighbours share kept shared.

The edges of pixels are stairs. Each outline goes through the middles of the pixels' edges instead, except where three parcels meet: then it
holds the same pixel centres, and a stair of single steps is a straight line. What is left is simplified as one coverage (Visvalingam and
Whyatt, 1993, by GEOS), as far as each parcel gets its pixels back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import shapes
from shapely import GeometryType

from catalog.grid import MEMORY_RASTERS, PIXEL, Window, burnt
from processors.views.segments import NumberRaster, Segments

TOLERANCE = 8.0
"""Simplification, m: the square root of the area of triangles that are cut off. With 8 edges of fields are straight, and of a map's pixels
in parcels 99.8 % come back; with 10 it is 99.3 %."""

ROUNDS = 3
"""Times that parcels are set aside which lose too much."""

LEAST_EQUAL = 0.98
"""Share of its pixels that each parcel must get back where the outlines are burnt."""

MOST_OFF = 0.005
"""Difference between a crop's hectares in the map's parcels and in the outlines burnt back, as a share."""

MOST_SIMPLIFIED = 8_000_000
"""Vertices up to which outlines are simplified, which takes 200 bytes each. Of a map with more, which is speckle for the most part, they
only go through the middles of the pixels' edges."""

MOST_EDGES = 20_000_000
"""Edges of pixels up to which parcels are outlined, which takes 150 bytes each: 2,500 km² of fields of 3.6 ha with 1 % of speckle have 8
million, the same ground of noise alone 24 million."""

_AT_ONCE = 500_000
"""Edges of pixels that are looked at at once."""


def outline(segments: Segments) -> npt.NDArray[Any]:
    """Polygons (N,) of parcels, in the metres of the zone, by number.

    At least `LEAST_EQUAL` of each one's pixels come back where they are burnt, and each crop's hectares within `MOST_OFF`: where
    simplified ones would lose more, these keep their outline through the middles of the pixels' edges, and what others share with them.
    """
    rough = rough_outlines(segments.numbers, len(segments.value))
    if not len(rough) or shapely.get_num_coordinates(rough).sum() > MOST_SIMPLIFIED:
        return rough
    smooth, simple = simplified(rough), np.ones(len(rough), np.bool_)
    for _ in range(ROUNDS):
        lossy = _lossy(smooth, segments)
        if not lossy.any():
            return smooth
        simple &= ~lossy
        # What borders on a parcel that isn't simplified is the boundary of those that are, and stays.
        smooth = rough.copy()
        smooth[simple] = simplified(rough[simple], boundary=False)
    return rough if _lossy(smooth, segments).any() else smooth


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
    del pieces
    corners = np.unique(np.concatenate(nodes))
    # Several at a time: with a vertex at every corner of a pixel they are large.
    group = np.cumsum(shapely.length(whole)) // (_AT_ONCE * PIXEL)
    for start, end in pairwise([*np.flatnonzero(np.diff(group, prepend=-1)), count]):
        whole[start:end] = _through_middles(whole[start:end], corners)
    return whole


def _pieces(numbers: npt.NDArray[np.int32], block: Window) -> Iterator[tuple[Any, int]]:
    """The parts of parcels in a block, along the pixels' edges."""
    with MEMORY_RASTERS:
        for geometry, number in shapes(numbers, mask=numbers > 0, connectivity=4, transform=block.transform):
            shell, *holes = geometry["coordinates"]
            yield shapely.Polygon(shell, holes), int(number)


def _whole(pieces: npt.NDArray[Any], owners: npt.NDArray[np.int64], count: int) -> npt.NDArray[Any]:
    """Polygons (N,) along the pixels' edges, put together from what lies in each block."""
    order = np.argsort(owners, kind="stable")
    pieces, owners = pieces[order], owners[order]
    starts = np.searchsorted(owners, np.arange(1, count + 2))
    whole = np.empty(count, object)
    several = np.diff(starts) > 1
    whole[~several] = pieces[starts[:-1][~several]]
    for number in np.flatnonzero(several):
        whole[number] = _joined(pieces[starts[number] : starts[number + 1]])
    return whole


def _joined(pieces: npt.NDArray[Any]) -> Any:
    """One polygon of the pieces of a parcel in several blocks."""
    # A hole of a piece lies inside its block, or it would be none: only shells meet.
    rings, owners = shapely.get_rings(pieces, return_index=True)
    is_shell = np.diff(owners, prepend=-1) > 0
    # With a vertex at every corner of a pixel their common edges are the same on both sides.
    corners, starts, polygons = _dense(np.asarray(shapely.polygons(rings[is_shell])))
    closed = np.insert(corners, starts[1:], corners[starts[:-1]], axis=0)
    ends = starts + np.arange(len(starts))
    shells = shapely.from_ragged_array(GeometryType.POLYGON, closed * float(PIXEL), (ends, polygons))
    shell, *holes = shapely.get_rings(shapely.coverage_union_all(shells))
    return shapely.Polygon(shell, [*holes, *rings[~is_shell]])


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
    """Polygons along the edges of pixels made to go through the middles of these edges, and through nodes."""
    corners, rings, parts = _dense(polygons)
    sizes = np.diff(rings)
    keys = _key(corners[:, 0], corners[:, 1])
    corners = corners * 2  # in halves of a pixel
    place = np.minimum(np.searchsorted(nodes, keys), max(0, len(nodes) - 1))
    node = nodes[place] == keys if len(nodes) else np.zeros(len(keys), np.bool_)
    # Of each vertex: itself where it is a node, and the middle of the edge after it.
    ends = np.cumsum(1 + node)
    made = np.empty((int(ends[-1]), 2), np.int64)
    made[ends[node] - 2] = corners[node]
    made[ends - 1] = (corners + corners[_next(sizes)]) >> 1
    kept = np.zeros(len(made), np.bool_)
    kept[ends[node] - 2] = True
    ring_ends = np.append(0, ends[np.cumsum(sizes) - 1])
    after = _next(np.diff(ring_ends))
    before = np.empty_like(after)
    before[after] = np.arange(len(after))
    into, out = made - made[before], made[after] - made
    kept |= into[:, 0] * out[:, 1] != into[:, 1] * out[:, 0]  # a turn
    own = np.add.reduceat(kept, ring_ends[:-1], dtype=np.int64)
    starts = np.append(0, np.cumsum(own))
    closed = np.insert(made[kept], starts[1:], made[kept][starts[:-1]], axis=0)
    new_rings = starts + np.arange(len(starts))
    smooth: npt.NDArray[Any] = shapely.from_ragged_array(GeometryType.POLYGON, closed * (PIXEL / 2), (new_rings, parts))
    return smooth


def _dense(
    polygons: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.integer]]:
    """Corners (n, 2) of pixels along the rings of polygons, each once, in pixels; where each ring and each polygon's rings start."""
    kind, coordinates, (rings, parts) = shapely.to_ragged_array(polygons)
    if kind != GeometryType.POLYGON:
        raise ValueError(f"outlines are polygons, got {kind}")
    turns = np.delete(
        np.rint(coordinates / PIXEL).astype(np.int64), rings[1:] - 1, axis=0
    )  # the last says the first again
    sizes = np.diff(rings) - 1
    step = turns[_next(sizes)] - turns
    length = abs(step).sum(axis=1)  # one of both is 0
    starts = np.append(0, np.cumsum(length))
    along = np.arange(starts[-1]) - np.repeat(starts[:-1], length)
    corners = np.repeat(turns, length, axis=0) + along[:, None] * np.repeat(np.sign(step), length, axis=0)
    return corners, starts[np.append(0, np.cumsum(sizes))], parts


def _next(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Index of the vertex after each one in its ring, of rings of those sizes that stand one after the other."""
    after = np.arange(1, int(sizes.sum()) + 1)
    ends = np.cumsum(sizes)
    after[ends - 1] = ends - sizes
    return after


def simplified(polygons: npt.NDArray[Any], *, boundary: bool = True) -> npt.NDArray[Any]:
    """Simplify polygons (N,) that share edges so that they still share them; with ``boundary`` also edges that none shares."""
    if not len(polygons):
        return polygons
    return np.asarray(shapely.coverage_simplify(polygons, TOLERANCE, simplify_boundary=boundary))


def _lossy(polygons: npt.NDArray[Any], segments: Segments) -> npt.NDArray[np.bool_]:
    """True (N,) for polygons that lose more of their parcel than `LEAST_EQUAL` where they are burnt, or are of a crop that loses more than
    `MOST_OFF`, or wins it."""
    equal, burnt_pixels = np.zeros((2, len(polygons) + 1), np.int64)
    for block, numbers in burnt_blocks(polygons, segments.numbers):
        equal += np.bincount(block[numbers == block], minlength=len(equal))
        burnt_pixels += np.bincount(numbers.ravel(), minlength=len(burnt_pixels))
    mapped = np.bincount(segments.value, weights=segments.pixels, minlength=256)
    outlined = np.bincount(segments.value, weights=burnt_pixels[1:], minlength=256)
    off = abs(outlined - mapped) > MOST_OFF * mapped
    lossy: npt.NDArray[np.bool_] = (equal[1:] < LEAST_EQUAL * segments.pixels) | off[segments.value]
    return lossy


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
