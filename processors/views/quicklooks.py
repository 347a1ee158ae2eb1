"""True colour of a season: one picture of the clearest pixels, and a thumbnail of each date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.windows import Window as RasterWindow

from catalog.grid import Window
from processors.rasters import Variable, raster_writer
from processors.views.season_pass import BlockViews, Squares
from processors.views.views import THUMBNAIL

DARKEST, BRIGHTEST = 0.01, 0.99
"""Shares of the pixels that are black and white."""

LEAST_RANGE = 500
"""Difference between black and white, units of 1e-4 reflectance: an area of one colour stays dull."""

GAMMA = 1.4
"""Brightness of what lies between: above 1 shows fields brighter."""

_REFLECTANCE = Variable(name="composite", title="True colour", dtype="uint16", bands=("red", "green", "blue"), nodata=0)
_PICTURE = Variable(name="true_color", title="True colour", dtype="uint8", bands=("red", "green", "blue"), nodata=0)


def squares_of_thumbnails(area_window: Window) -> Squares:
    """A pixel of the thumbnails each."""
    return Squares(area_window, -(-max(area_window.shape) // THUMBNAIL))


class Stretch:
    """Reflectance (…, 3) to 8 bits: each band's dark end is black, and one range for all three keeps their hues."""

    def __init__(self, histogram: npt.NDArray[np.int64]) -> None:
        """``histogram``: (3, 65536) pixels by band and value, without 0."""
        ends = [_percentiles(band) for band in histogram]
        self.low = np.array([low for low, _ in ends], np.float32)
        self.range = np.float32(max([LEAST_RANGE, *(high - low for low, high in ends)]))

    def __call__(self, values: npt.NDArray[np.floating] | npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """1 to 255."""
        share = np.clip((values.astype(np.float32) - self.low) / self.range, 0, 1) ** np.float32(1 / GAMMA)
        stretched: npt.NDArray[np.uint8] = (1 + np.rint(share * 254)).astype(np.uint8)
        return stretched


def _percentiles(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    below = np.cumsum(counts)
    if not below[-1]:
        return 0.0, 0.0
    low, high = np.searchsorted(below, [DARKEST * below[-1], BRIGHTEST * below[-1]])
    return float(low), float(high)


class QuickLooks:
    """True colour that is being added up block by block; whole when the block ends well."""

    def __init__(self, folder: Path, area_window: Window, small: Squares, dates: int) -> None:
        self._folder, self._window, self._small = folder, area_window, small
        self._composite = folder / "composite.tif"
        self._histogram = np.zeros((3, 65536), np.int64)
        self._pixels = np.zeros(dates, np.int64)
        self._total = np.zeros((*small.shape, dates, 3), np.float32)
        self._count = np.zeros((*small.shape, dates), np.int32)
        self._parts: list[Window] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._writer = self._stack.enter_context(raster_writer(self._composite, _REFLECTANCE, self._window))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, block: BlockViews) -> None:
        if block.color is None or block.small is None:
            return
        for band, values in enumerate(block.color):
            self._histogram[band] += np.bincount(values[values > 0], minlength=65536)
        self._pixels += block.color_dates
        self._total[block.small.where] += block.small.total
        self._count[block.small.where] += block.small.count
        if block.color.any():
            self._writer.write(block.part, block.color)
            self._parts.append(block.part)

    def write(self, names: Sequence[str]) -> tuple[Path, tuple[str, ...], dict[str, Path]]:
        """Write true colour and thumbnails, after the block. Returns the first, the dates in it, most of it first, and the others by name.

        ``names``: of the dates.
        """
        stretch = Stretch(self._histogram)
        picture = self._folder / "true_color.tif"
        with raster_writer(picture, _PICTURE, self._window) as writer, rasterio.open(self._composite) as raster:
            for part in self._parts:
                column, row = part.left - self._window.left, self._window.top - part.top
                values = raster.read(window=RasterWindow(column, row, part.width, part.height))
                colors = stretch(np.moveaxis(values, 0, -1))
                writer.write(part, np.moveaxis(np.where(values.any(axis=0)[..., None], colors, 0), -1, 0))
        with rasterio.open(picture, "r+") as raster:
            raster.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        self._composite.unlink()
        order = np.lexsort((np.arange(len(names)), -self._pixels))
        used = tuple(names[date] for date in order if self._pixels[date])
        return picture, used, {name: self._thumbnail(date, name, stretch) for date, name in enumerate(names)}

    def _thumbnail(self, date: int, name: str, stretch: Stretch) -> Path:
        count = self._count[:, :, date]
        mean = self._total[:, :, date] / np.maximum(count, 1)[..., None]
        shown = np.dstack([stretch(mean), np.where(count > 0, 255, 0).astype(np.uint8)])
        shown[count == 0] = 0
        path = self._folder / f"thumbnail-{date:03d}-{re.sub(r'[^0-9A-Za-z_-]+', '_', name)[:60]}.png"
        Image.fromarray(shown, "RGBA").save(path, optimize=True)
        return path
