"""NDVI curves as a page holds them: 8 bits a date, of each parcel and of squares on the ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL
from processors.delivery.page.aggregate import mean
from processors.delivery.page.packing import packed
from processors.delivery.page.pixels import Scale
from processors.views.views import Curves

SCALE = Scale(low=-0.25, step=0.005)
"""NDVI from -0.25 to 1 in steps of 0.005."""


def grid_record(curves: Curves, most: int) -> dict[str, Any]:
    """The curves of the squares, in squares so large that they take at most ``most`` bytes."""
    grid, pixels = curves.grid, curves.grid_pixels
    while len(values := _values(grid)) > most and min(grid.shape[:2]) > 1:
        grid, pixels = _joined(grid), 2 * pixels
    return {"metres": pixels * PIXEL, "rows": grid.shape[0], "columns": grid.shape[1], "values": values}


def parcels_record(curves: Curves, most: int) -> str | None:
    """The curves of the parcels, in their order; None where there are none or they take more than ``most`` bytes."""
    if curves.parcels is None:
        return None
    values = _values(curves.parcels)
    return values if len(values) <= most else None


def _values(curves: npt.NDArray[np.float32]) -> str:
    return packed(SCALE.codes(curves).tobytes())


def _joined(grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Means of 2 x 2 squares; NaN where none of the four has a value."""
    rows, columns, _ = grid.shape
    padded = np.pad(grid, ((0, rows % 2), (0, columns % 2), (0, 0)), constant_values=np.nan)
    return np.moveaxis(mean(np.moveaxis(padded, 2, 0), 2), 0, 2)
