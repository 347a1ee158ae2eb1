"""Curves of parcels and squares: sums of the season's blocks added up, and the means that they make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt

from catalog.grid import Window
from processors.views.season_pass import BlockViews, Squares
from processors.views.views import MOST_SQUARES, Curves

FINEST = 8
"""Edge of the smallest squares, pixels."""

LEAST_CLEAR = 0.5
"""Share of a parcel that must be clear at a date whose NDVI may be its peak."""


def squares_of_curves(area_window: Window) -> Squares:
    """Squares of the area's window: the smallest of 8, 16, 32, … pixels that are at most `MOST_SQUARES`."""
    edge = FINEST
    while (squares := Squares(area_window, edge)).shape[0] * squares.shape[1] > MOST_SQUARES:
        edge *= 2
    return squares


class CurveSums:
    """NDVI sums and counts of N parcels and of squares over T dates."""

    def __init__(self, parcels: int, squares: Squares, dates: int) -> None:
        self._total = np.zeros((parcels, dates), np.float32)
        self._count = np.zeros((parcels, dates), np.int32)
        self.pixels = np.zeros(parcels, np.int64)
        """Pixels of each parcel in the area, (N,)."""
        self._squares = squares
        self._grid_total = np.zeros((*squares.shape, dates), np.float32)
        self._grid_count = np.zeros((*squares.shape, dates), np.int32)

    def add(self, block: BlockViews) -> None:
        for layer in block.parcels:
            rows = layer.numbers - 1
            self._total[rows] += layer.total
            self._count[rows] += layer.count
            self.pixels[rows] += layer.pixels
        if block.squares is not None:
            self._grid_total[block.squares.where] += block.squares.total[..., 0]
            self._grid_count[block.squares.where] += block.squares.count

    def curves(self) -> Curves:
        parcels = _means(self._total, self._count) if len(self._total) else None
        clear = self._count / np.maximum(self.pixels, 1)[:, None] if len(self._total) else None
        return Curves(
            parcels,
            _means(self._grid_total, self._grid_count),
            self._squares.edge,
            None if clear is None else clear.astype(np.float32),
        )

    def peaks(self, days: Sequence[date]) -> tuple[npt.NDArray[np.float64], list[date | None]]:
        """The greatest mean NDVI (N,) of dates at which half of a parcel is clear, NaN where there is none, and its date."""
        means = _means(self._total, self._count)
        means[(self._count < LEAST_CLEAR * self.pixels[:, None]) | (self._count == 0)] = np.nan
        known = np.isfinite(means).any(axis=1) if means.shape[1] else np.zeros(len(means), np.bool_)
        peak = np.full(len(means), np.nan)
        when: list[date | None] = [None] * len(means)
        if known.any():
            best = np.nanargmax(means[known], axis=1)
            peak[known] = means[known][np.arange(len(best)), best]
            for row, index in zip(np.flatnonzero(known).tolist(), best.tolist(), strict=True):
                when[row] = days[index]
        return peak, when


def _means(total: npt.NDArray[np.float32], count: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Means, float32, NaN where nothing was counted."""
    means = np.full(total.shape, np.nan, np.float32)
    np.divide(total, count, out=means, where=count > 0)
    return means
