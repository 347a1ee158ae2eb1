"""Segments of a class map: connected pixels of one class, grouped across the borders of blocks, and numbered where they are large enough.

Two pixels are connected where they share an edge. A map is read block by block; of each block only what touches its border or is large
enough by itself is remembered, so that memory grows with neither the area nor the speckles of a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window as RasterWindow

from catalog.grid import Window
from processors.rasters import TILE

LEAST_PIXELS = 50
"""Pixels of the smallest segment that is a parcel: 0.5 ha."""

LEAST_HECTARES = 0.5

BLOCK = TILE
"""Edge of a block, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The segments of a map that are parcels, numbered from 1 by value, then from north to south and from west to east.

    ``value`` (N,) map values, ``pixels`` (N,); ``below``: pixels by map value in smaller segments.
    """

    numbers: NumberRaster
    value: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.int64]
    below: dict[int, int]
    edges: int
    """Edges of pixels along the outlines of all parcels, but for those along the borders of blocks."""


class NumberRaster:
    """Numbers of parcels on the pixels of a window, 0 for none: a tiled file of which only blocks with parcels take room."""

    def __init__(self, path: Path, window: Window, blocks: Sequence[Window]) -> None:
        """``blocks``: those of `Window.blocks` that may hold parcels, from the north, row by row."""
        self.path, self.window, self.blocks = path, window, tuple(blocks)

    def create(self) -> None:
        with rasterio.open(
            self.path, "w", driver="GTiff", width=self.window.width, height=self.window.height, count=1, dtype="int32",
            crs=f"EPSG:{self.window.epsg}", transform=self.window.transform, tiled=True, blockxsize=BLOCK, blockysize=BLOCK,
            compress="deflate", zlevel=1, bigtiff="IF_SAFER", sparse_ok=True,
        ):  # fmt: skip
            pass

    def read(self, window: Window) -> npt.NDArray[np.int32]:
        """Numbers (H, W) of any window; 0 beyond the raster."""
        numbers = np.zeros(window.shape, np.int32)
        part = window.intersection(self.window)
        if part is not None:
            with rasterio.open(self.path) as raster:
                numbers[window.slices(part)] = raster.read(1, window=self._place(part))
        return numbers

    def write(self, block: Window, numbers: npt.NDArray[np.int32]) -> None:
        with rasterio.open(self.path, "r+") as raster:
            raster.write(numbers, 1, window=self._place(block))

    def _place(self, part: Window) -> RasterWindow:
        return RasterWindow(part.left - self.window.left, self.window.top - part.top, part.width, part.height)


def find_segments(classes: MapBlocks, values: Sequence[int], path: Path, least: int = LEAST_PIXELS) -> Segments:
    """Group the pixels of a class map. ``values``: of the classes that have parcels; ``path``: where the numbers are kept.

    The map is read twice.
    """
    found = _Found()
    below = dict.fromkeys(values, 0)
    for block, map_values in classes:
        labels, about = _labelled(map_values, values)
        for value in values:
            below[value] += int(about.pixels[about.value == value].sum())
        found.add(block, labels, about, least)
    number_of, of_number, pixels = found.numbered(classes.window, least)
    for kept, size in zip(of_number.tolist(), pixels.tolist(), strict=True):
        below[kept] -= size
    numbers = NumberRaster(path, classes.window, [block for block, _ in found.ranges])
    numbers.create()
    edges = 0
    for (block, map_values), (_, labels_kept) in zip(classes, found.ranges, strict=True):
        labels, _ = _labelled(map_values, values)
        table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
        table[labels_kept.labels] = number_of[labels_kept.first : labels_kept.first + len(labels_kept.labels)]
        if table.any():
            own = table[labels]
            numbers.write(block, own)
            # An edge between two parcels is on the outline of both.
            for first, second in ((own[:-1], own[1:]), (own[:, :-1], own[:, 1:])):
                apart = first != second
                edges += int((apart & (first > 0)).sum() + (apart & (second > 0)).sum())
    return Segments(numbers, of_number, pixels, {value: count for value, count in below.items() if count}, edges)


@dataclass(frozen=True, slots=True)
class MapBlocks:
    """The blocks of a class map's raster that an area touches, with their values; can be gone through several times."""

    path: Path
    window: Window
    blocks: tuple[Window, ...]

    def __iter__(self) -> Iterator[tuple[Window, npt.NDArray[np.uint8]]]:
        with rasterio.open(self.path) as raster:
            for block in self.blocks:
                column, row = block.left - self.window.left, self.window.top - block.top
                yield block, raster.read(1, window=RasterWindow(column, row, block.width, block.height))


@dataclass(frozen=True, slots=True, eq=False)
class _About:
    """What is known of the labels 1 to n of one block, each (n,): map value, pixels, row and column of the first pixel."""

    value: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]


def _labelled(map_values: npt.NDArray[np.uint8], values: Sequence[int]) -> tuple[npt.NDArray[np.int32], _About]:
    """Labels (H, W) of the connected pixels of each class, 0 for none, and what is known of them."""
    from scipy import ndimage  # slow to import, and a request's check doesn't need it

    labels = np.zeros(map_values.shape, np.int32)
    highest = 0
    of_value = []
    for value in values:
        part = map_values == value
        if not part.any():
            continue
        own, count = ndimage.label(part, output=np.int32)
        np.add(own, highest, out=labels, where=part)
        of_value.append(np.full(count, value, np.uint8))
        highest += count
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=highest + 1)[1:]
    first = np.full(highest + 1, flat.size, np.int64)
    there = np.flatnonzero(flat)
    first[flat[there][::-1]] = there[::-1]  # the last that is written is the first pixel
    row, column = np.divmod(first[1:], map_values.shape[1])
    return labels, _About(np.concatenate([*of_value, np.zeros(0, np.uint8)]), pixels, row, column)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Labels of a block that are remembered, and the number of the first of them among those of all blocks."""

    labels: npt.NDArray[np.int32]
    first: int


class _Found:
    """Segments of the blocks gone through so far."""

    def __init__(self) -> None:
        self.ranges: list[tuple[Window, _Kept]] = []
        self._value: list[npt.NDArray[np.uint8]] = []
        self._pixels: list[npt.NDArray[np.int64]] = []
        self._place: list[npt.NDArray[np.int64]] = []
        self._count = 0
        self._borders: dict[tuple[str, int, int], npt.NDArray[np.int64]] = {}
        self._pairs: list[npt.NDArray[np.int64]] = []

    def add(self, block: Window, labels: npt.NDArray[np.int32], about: _About, least: int) -> None:
        """Remember of a block what touches its border or has at least so many pixels."""
        wanted = np.concatenate([[False], about.pixels >= least])
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            wanted[edge] = True
        wanted[0] = False
        kept = np.flatnonzero(wanted).astype(np.int32)
        index = np.full(len(wanted), -1, np.int64)
        index[kept] = self._count + np.arange(len(kept))
        self.ranges.append((block, _Kept(kept, self._count)))
        self._value.append(about.value[kept - 1])
        self._pixels.append(about.pixels[kept - 1])
        self._place.append(np.stack([block.top - about.row[kept - 1], block.left + about.column[kept - 1]], axis=1))
        self._count += len(kept)
        self._join(("row", block.left, block.top), index[labels[0]])
        self._join(("column", block.top, block.left), index[labels[:, 0]])
        self._borders["row", block.left, block.bottom] = index[labels[-1]]
        self._borders["column", block.top, block.right] = index[labels[:, -1]]

    def _join(self, border: tuple[str, int, int], here: npt.NDArray[np.int64]) -> None:
        there = self._borders.pop(border, None)  # blocks come row by row from the north, from west to east
        if there is None:
            return
        both = (here >= 0) & (there >= 0)
        self._pairs.append(np.unique(np.stack([there[both], here[both]], axis=1), axis=0))

    def numbered(
        self, window: Window, least: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Number of each remembered label (0 where its segment is too small), and map value and pixels of the numbers from 1 on."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        if not self._count:
            return np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.int64)
        value, pixels = np.concatenate(self._value), np.concatenate(self._pixels)
        place = np.concatenate(self._place)
        pairs = np.concatenate([*self._pairs, np.zeros((0, 2), np.int64)])
        pairs = pairs[value[pairs[:, 0]] == value[pairs[:, 1]]]
        links = coo_matrix((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape=(self._count,) * 2)
        count, segment = connected_components(links, directed=False)
        size = np.bincount(segment, weights=pixels, minlength=count).astype(np.int64)
        # From the north to the south, then from west to east, as one number that rises.
        order = (window.top - place[:, 0]) * window.width + (place[:, 1] - window.left)
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, segment, order)
        of_segment = np.zeros(count, np.uint8)
        of_segment[segment] = value
        large = np.flatnonzero(size >= least)
        large = large[np.lexsort((first[large], of_segment[large]))]
        number = np.zeros(count, np.int32)
        number[large] = 1 + np.arange(len(large))
        return number[segment], of_segment[large], size[large]
