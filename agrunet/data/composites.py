"""Composites: the median of what was clear within so many days, as products of ten days or of a month are made."""

from __future__ import annotations

from typing import Any

import numpy as np

from agrunet.data.patches import Patch

WINDOWS = (10, 30)
"""Days of the composites that training makes."""


def composited(patch: Patch, window: int, first: int = 0) -> Patch:
    """The patch with one date for each ``window`` days that have any date, counted from day ``first`` on, dated at their middle.

    A pixel is clear where it was on any of them, its value the median of those, 0 where there are none. Saturated values count as values.
    """
    of_window = (patch.days - first) // window
    values: list[Any] = []
    clear, days = [], []
    for number in np.unique(of_window):
        here = of_window == number
        seen = patch.clear[here]
        counted = np.where(seen[:, None], patch.values[here], np.nan).astype(np.float32)
        any_clear = seen.any(axis=0)
        # Without any clear one a median would warn; what is put there is not clear, and so nothing.
        counted[:, :, ~any_clear] = 0
        values.append(np.nanmedian(counted, axis=0).round().astype(patch.values.dtype, copy=False))
        clear.append(any_clear)
        days.append(max(first + int(number) * window + window // 2, 0))
    return Patch(np.stack(values), np.stack(clear), np.array(days, patch.days.dtype), patch.label)
