"""Composites of dates: medians of what is clear, and training steps that see them."""

from __future__ import annotations

import numpy as np

from agrunet.data.composites import composited
from agrunet.data.patches import Patch


def test_a_composite_is_the_median_of_what_is_clear() -> None:
    values = np.array([100, 300, 900, 50], np.uint16)[:, None, None, None] * np.ones((1, 2, 1, 2), np.uint16)
    clear = np.array([[[1, 1]], [[1, 0]], [[1, 0]], [[1, 0]]], bool)
    made = composited(Patch(values, clear, np.array([1, 4, 9, 25], np.int32), None), 10)
    assert made.days.tolist() == [5, 25]
    assert made.values[:, 0, 0].tolist() == [[300, 100], [50, 0]]
    assert made.clear[:, 0].tolist() == [[True, True], [True, False]]
    assert made.values.dtype == np.uint16
    assert made.days.dtype == np.int32


def test_windows_start_where_they_are_told() -> None:
    days = np.array([0, 12, 29, 30], np.int32)
    patch = Patch(np.full((4, 1, 1, 1), 7, np.uint16), np.ones((4, 1, 1), bool), days, None)
    assert composited(patch, 30).days.tolist() == [15, 45]
    assert composited(patch, 30, first=-15).days.tolist() == [0, 30]
