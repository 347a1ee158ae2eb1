"""Pixels of a delivered raster made fewer: the majority of classes, or the mean of measurements, over squares of N x N pixels.

Squares are counted from the raster's north-west corner. Pixels without data don't count; a square of them alone has none. Of values
that are equally frequent in a square the lowest is taken; background is a value like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window as RasterWindow
from shapely.geometry.base import BaseGeometry

from catalog.errors import DeliveryError
from catalog.grid import PIXEL, Window, blocks_meeting
from catalog.guards.rasters import open_raster
from catalog.storage.pixels import DRIVERS

READ = 512
"""Edge, in squares, of what is read and made fewer at once."""


def majority(values: npt.NDArray[np.uint8], factor: int, nodata: int) -> npt.NDArray[np.uint8]:
    """The most frequent value of each square of ``values`` (H, W), whose edges are multiples of ``factor``."""
    if factor == 1:
        return values
    squares = values.reshape(values.shape[0] // factor, factor, values.shape[1] // factor, factor)
    shown = np.full((squares.shape[0], squares.shape[2]), nodata, np.uint8)
    most = np.zeros(shown.shape, np.int64)
    for value in np.unique(values):  # rising: of equally frequent ones the lowest stays
        if value == nodata:
            continue
        count = (squares == value).sum(axis=(1, 3))
        more = count > most
        shown[more], most[more] = value, count[more]
    return shown


def mean(values: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """The mean of each square of ``values`` (B, H, W), whose edges are multiples of ``factor``; NaN is no data."""
    if factor == 1:
        return values
    bands, height, width = values.shape
    squares = values.reshape(bands, height // factor, factor, width // factor, factor)
    there = np.isfinite(squares)
    count = there.sum(axis=(2, 4))
    total = np.where(there, squares, 0).sum(axis=(2, 4), dtype=np.float64)
    means = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means.astype(np.float32)


def window_of(path: Path) -> Window:
    """The pixels that a delivered raster covers."""
    with open_delivered_raster(path) as raster:
        return _window(raster)


def squares_read(path: Path, zone_area: BaseGeometry, factor: int) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Blocks of `READ` x `READ` squares that the area touches: row and column of the first square, and their pixels
    (B, READ * factor, READ * factor); what lies beyond the raster has no data.

    Raises `DeliveryError` where the raster can't be read.
    """
    edge = READ * factor
    with open_delivered_raster(path) as raster:
        whole = _window(raster)
        for block in blocks_meeting(zone_area, whole, edge):
            row, column = whole.top - block.top, block.left - whole.left
            values = raster.read(window=RasterWindow(column, row, block.width, block.height))
            if values.shape[1:] != (edge, edge):
                short = ((0, 0), (0, edge - values.shape[1]), (0, edge - values.shape[2]))
                values = np.pad(values, short, constant_values=0 if raster.nodata is None else raster.nodata)
            yield row // factor, column // factor, values


def with_gaps(values: npt.NDArray[Any], nodata: float) -> npt.NDArray[np.float32]:
    """Measurements as float32 with NaN where there is no data."""
    floats = values.astype(np.float32)
    if not np.isnan(nodata):
        floats[values == nodata] = np.nan
    floats[~np.isfinite(floats)] = np.nan
    return floats


def open_delivered_raster(path: Path) -> Any:
    """A raster of a delivery, as a context. Raises `DeliveryError` where it can't be read."""
    return open_raster(path, lambda why: DeliveryError(f"{path} can't be read: {why}. Make it again."), DRIVERS)


def _window(raster: Any) -> Window:
    left, top = round(raster.transform.c / PIXEL), round(raster.transform.f / PIXEL)
    return Window(raster.crs.to_epsg(), left, top, raster.width, raster.height)
