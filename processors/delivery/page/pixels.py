"""Rasters as a page holds them: 8 bits a pixel, in small blocks of which only those with data travel, at the finest level that fits."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from catalog.grid import PIXEL, Window
from processors.delivery.page.aggregate import READ, majority, mean, squares_read, with_gaps
from processors.delivery.page.packing import LEVEL
from processors.rasters import Variable

BLOCK = 64
"""Edge of a block, pixels of the level: an area of many far-apart fields is small blocks, and little else."""

MOST_PIXELS = 64_000_000
"""Pixels that a browser is given to unpack, at a byte each."""

NO_VALUE = 255
"""Code of no data."""

STEPS = 250
"""Steps that the range of a measurement is cut into."""

Squares = Callable[[npt.NDArray[Any]], npt.NDArray[np.uint8]]
"""Pixels (B, H, W) to the codes of their squares (h, w)."""


@dataclass(frozen=True, slots=True)
class PackedRaster:
    """One band at one level.

    ``factor``: edge of a square in pixels of 10 m; ``blocks``: number of each block in the grid of `BLOCK` squares, row by row from
    the north-west, in the order of ``values`` (bytes of each block, row by row, deflated, in base64).
    """

    factor: int
    blocks: tuple[int, ...]
    values: str

    def record(self) -> dict[str, Any]:
        """The raster as the page's data hold it."""
        return {"factor": self.factor, "blocks": self.blocks, "values": self.values}

    @property
    def metres(self) -> int:
        return self.factor * PIXEL


@dataclass(frozen=True, slots=True)
class Scale:
    """What the codes of a measurement mean: ``low + code * step``.

    ``below``, ``above``: the lowest code stands for values that are lower still, the highest for higher ones.
    """

    low: float
    step: float
    below: bool = False
    above: bool = False

    def codes(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Nearest codes; `NO_VALUE` for NaN."""
        steps = np.clip(np.rint((values.astype(np.float64) - self.low) / self.step), 0, STEPS)
        return np.where(np.isfinite(values), steps, NO_VALUE).astype(np.uint8)


def packed_classes(
    path: Path, variable: Variable, whole: Window, zone_area: BaseGeometry, most: int, *, at_10_m: bool
) -> PackedRaster:
    """A class raster at the finest level whose packed size is at most ``most`` bytes; ``at_10_m``: its very pixels, whatever the size."""
    nodata = int(variable.nodata)
    factor = 1
    while True:

        def squares(values: npt.NDArray[Any], factor: int = factor) -> npt.NDArray[np.uint8]:
            shown = majority(values[0], factor, nodata)
            return np.where(shown == nodata, NO_VALUE, shown).astype(np.uint8)

        found = _packed(path, whole, zone_area, factor, squares, None if at_10_m else most)
        if found is not None:
            return found
        factor += 1


def packed_band(
    path: Path, variable: Variable, band: int, scale: Scale, whole: Window, zone_area: BaseGeometry, most: int
) -> PackedRaster:
    """One band (from 0) of measurements at a level whose packed size is at most ``most`` bytes: 10, 20, 30, 40, 60, 80, … m."""
    factor = 1
    while True:

        def squares(values: npt.NDArray[Any], factor: int = factor) -> npt.NDArray[np.uint8]:
            return scale.codes(mean(with_gaps(values[band : band + 1], variable.nodata), factor)[0])

        found = _packed(path, whole, zone_area, factor, squares, most)
        if found is not None:
            return found
        factor += 1 if factor < 4 else factor // 2


def scales_of(path: Path, variable: Variable, zone_area: BaseGeometry) -> tuple[Scale, ...]:
    """The scale of each band: the variable's limits, widened to what the band holds, by their own width at most."""
    low, high = np.full(len(variable.bands), np.inf), np.full(len(variable.bands), -np.inf)
    for _, _, values in squares_read(path, zone_area, 1):
        known = with_gaps(values, variable.nodata)
        low = np.fmin(low, np.fmin.reduce(known, axis=(1, 2)))
        high = np.fmax(high, np.fmax.reduce(known, axis=(1, 2)))
    least, largest = variable.limits
    width = (largest - least) or 1.0
    lows = np.clip(low, least - width, least)
    highs = np.clip(high, largest, largest + width)
    scales = []
    for band, (bottom, top) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        # Counts are told as they are.
        whole = variable.dtype != "float32" and float(bottom).is_integer() and top - bottom <= STEPS
        step = 1.0 if whole else (top - bottom) / STEPS
        scales.append(Scale(bottom, step, below=bool(low[band] < bottom), above=bool(high[band] > top)))
    return tuple(scales)


def _packed(
    path: Path, whole: Window, zone_area: BaseGeometry, factor: int, squares: Squares, most: int | None
) -> PackedRaster | None:
    """The raster at a level; None where it takes more than ``most`` bytes, or more pixels than a browser is given."""
    columns = -(-whole.width // (factor * BLOCK))
    deflate = zlib.compressobj(LEVEL)
    parts: list[bytes] = []
    numbers: list[int] = []
    size = 0
    for row, column, values in squares_read(path, zone_area, factor):
        for down, right, block in _filled(squares(values)):
            numbers.append((row // BLOCK + down) * columns + column // BLOCK + right)
            parts.append(deflate.compress(block.tobytes()))
            size += len(parts[-1])
        if most is not None and (size * 4 > most * 3 or len(numbers) * BLOCK**2 > MOST_PIXELS):
            return None
    parts.append(deflate.flush())
    content = base64.b64encode(b"".join(parts)).decode()
    if most is not None and len(content) > most:
        return None
    return PackedRaster(factor, tuple(numbers), content)


def _filled(values: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int, npt.NDArray[np.uint8]]]:
    """The blocks that hold anything, by row and column."""
    count = READ // BLOCK
    blocks = values.reshape(count, BLOCK, count, BLOCK).swapaxes(1, 2)
    for down, right in np.argwhere((blocks != NO_VALUE).any(axis=(2, 3))).tolist():
        yield down, right, blocks[down, right]
