"""The season read from the cube once more, block by block: NDVI sums of parcels and squares, small and full true colour, clear dates.

What a block says is small; blocks are computed by the engine, a few at a time, and added up in their order. So memory doesn't grow with
the area but for the sums themselves: 8 bytes a parcel and date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from catalog.grid import PIXEL, Window, clipped, inside
from catalog.lattice import squares_meeting
from processors.cube.layout import BLOCK as CHUNK
from processors.patches.cube_patches import CubePatches

BLOCK = 2 * CHUNK
"""Edge of a block, pixels: whole chunks of the cube, so that each is decoded once."""

SATURATED = 65535

TRUE_COLOR = ("B04", "B03", "B02")
NDVI = ("B08", "B04")


def blocks_of_season(zone_area: BaseGeometry, area_window: Window) -> list[Window]:
    """The blocks, whole chunks of the cube, that an area meets, from the north, row by row."""
    rows = np.arange(area_window.bottom // BLOCK, -(-area_window.top // BLOCK)) * BLOCK  # of their southern edges
    columns = np.arange(area_window.left // BLOCK, -(-area_window.right // BLOCK)) * BLOCK
    met = squares_meeting(zone_area, columns * PIXEL, rows * PIXEL, BLOCK * PIXEL)
    places = sorted((-int(rows[row]) - BLOCK, int(columns[column])) for row, column in met)
    return [Window(area_window.epsg, left, -above, BLOCK, BLOCK) for above, left in places]


@dataclass(frozen=True, slots=True)
class Squares:
    """A window cut into squares from its north-west corner; the last ones reach out of it."""

    window: Window
    edge: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return -(-self.window.height // self.edge), -(-self.window.width // self.edge)

    def of(self, part: Window) -> tuple[npt.NDArray[np.int64], tuple[slice, slice]]:
        """Number (H, W) of each pixel's square among those that a part of the window meets, row by row, and where these lie."""
        row, column = self.window.top - part.top, part.left - self.window.left
        rows = (row + np.arange(part.height)) // self.edge
        columns = (column + np.arange(part.width)) // self.edge
        there = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        width = there[1].stop - there[1].start
        return (rows - there[0].start)[:, None] * width + (columns - there[1].start), there


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings that every block needs."""

    source: CubePatches
    ranks: tuple[int, ...]
    """Dates of the source, the best for a picture first."""
    squares: Squares
    """Of the grid of curves."""
    small: Squares
    """A pixel of the thumbnails each."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block: its window's number in the source, the part that lies in the area's window, the part of the area in it, and numbers."""

    index: int
    part: Window
    zone_area: BaseGeometry
    numbers: tuple[npt.NDArray[np.int32], ...]
    """Layers (H, W) of numbers of parcels on the part, 0 for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums (rows, columns, T, C) and counts (rows, columns, T) over the squares at ``where``."""

    where: tuple[slice, slice]
    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class ParcelSums:
    """NDVI sums and counts (n, T), and pixels (n,), of the parcels of those numbers (n,)."""

    numbers: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.int32]
    pixels: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class BlockViews:
    """What one block says. T: dates of the source, in their order."""

    part: Window
    clear_count: npt.NDArray[np.uint16]
    within: npt.NDArray[np.bool_]
    parcels: tuple[ParcelSums, ...]
    """One a layer."""
    squares: Sums | None
    """NDVI, C = 1."""
    color: npt.NDArray[np.uint16] | None
    """(3, H, W): of the first date by rank that is clear at a pixel, else of the first with data; 0 = no data."""
    color_dates: npt.NDArray[np.int64]
    """(T,): pixels of it by date."""
    small: Sums | None
    """Reflectance, C = 3."""


def block_views(recipe: Recipe, block: Block) -> BlockViews:
    """Read a block of the season and add it up."""
    source, part = recipe.source, block.part
    whole = source.windows[block.index]
    rows, columns = whole.slices(part)
    patch = source.read(block.index)
    values, clear = patch.values[:, :, rows, columns], patch.clear[:, rows, columns]
    within = inside(clipped(block.zone_area, part), part)
    clear = clear & within
    has = {name: index for index, name in enumerate(source.bands)}
    squares = color = small = None
    color_dates = np.zeros(len(clear), np.int64)
    ndvi, seen = np.zeros(clear.shape, np.float32), np.zeros(clear.shape, np.bool_)
    if all(name in has for name in NDVI):
        ndvi, seen = _ndvi(values[:, has["B08"]], values[:, has["B04"]], clear)
        squares = _of_squares(ndvi[:, None], seen, recipe.squares, part)
    if all(name in has for name in TRUE_COLOR):
        visible = values[:, [has[name] for name in TRUE_COLOR]]
        there = (visible > 0).all(axis=1) & within
        color, color_dates = _first_by_rank(visible, there, clear, recipe.ranks)
        small = _of_squares(visible, there, recipe.small, part)
    parcels = tuple(_of_numbers(ndvi, seen, np.where(within, layer, 0)) for layer in block.numbers)
    return BlockViews(part, clear.sum(axis=0).astype(np.uint16), within, parcels, squares, color, color_dates, small)


def _ndvi(
    nir: npt.NDArray[np.integer], red: npt.NDArray[np.integer], clear: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """NDVI (T, H, W) (Rouse et al., 1974), 0 where nothing is seen, and where something is: clear, with data, not saturated."""
    seen = clear & (nir > 0) & (red > 0) & (nir < SATURATED) & (red < SATURATED)
    a, b = nir.astype(np.float32), red.astype(np.float32)
    ndvi = np.zeros(seen.shape, np.float32)
    np.divide(a - b, a + b, out=ndvi, where=seen)
    return ndvi, seen


def _of_numbers(
    ndvi: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_], numbers: npt.NDArray[np.int32]
) -> ParcelSums:
    here = np.flatnonzero(numbers)
    own, local = np.unique(numbers.ravel()[here], return_inverse=True)
    total = np.zeros((len(own), len(seen)))
    count = np.zeros((len(own), len(seen)), np.int32)
    for date in range(len(seen) if len(own) else 0):
        total[:, date] = np.bincount(local, ndvi[date].ravel()[here], len(own))
        count[:, date] = np.bincount(local[seen[date].ravel()[here]], minlength=len(own))
    return ParcelSums(own.astype(np.int64), total, count, np.bincount(local, minlength=len(own)))


def _of_squares(
    values: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    seen: npt.NDArray[np.bool_],
    squares: Squares,
    part: Window,
) -> Sums:
    """Sums (rows, columns, T, C) of values (T, C, H, W) where they are seen, counts (rows, columns, T)."""
    of, there = squares.of(part)
    shape = there[0].stop - there[0].start, there[1].stop - there[1].start
    size, (dates, bands) = shape[0] * shape[1], values.shape[:2]
    total = np.zeros((size, dates, bands))
    count = np.zeros((size, dates), np.int32)
    for date in range(dates):
        own = of[seen[date]]
        count[:, date] = np.bincount(own, minlength=size)
        for band in range(bands):
            total[:, date, band] = np.bincount(own, values[date, band][seen[date]], size)
    return Sums(there, total.reshape(*shape, dates, bands), count.reshape(*shape, dates))


def _first_by_rank(
    visible: npt.NDArray[np.integer], there: npt.NDArray[np.bool_], clear: npt.NDArray[np.bool_], ranks: Sequence[int]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """True colour (3, H, W) of the first date by rank at each pixel, one that is clear there if any is, and pixels by date."""
    color = np.zeros(visible.shape[1:], np.uint16)
    dates = np.zeros(len(visible), np.int64)
    open_still = np.ones(color.shape[1:], np.bool_)
    for usable in (clear & there, there):
        for date in ranks:
            taken = open_still & usable[date]
            if taken.any():
                color[:, taken] = visible[date][:, taken]
                dates[date] += int(taken.sum())
                open_still &= ~taken
    return color, dates
