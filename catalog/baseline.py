"""Processing baselines as numbers, where they are numbers."""

from __future__ import annotations

import re

from catalog.products import UNKNOWN

_BASELINE = re.compile(r"N?(\d{1,2})\.?(\d{2})")

# Reprocessing campaigns and test products carry these in place of a number.
_NOT_NUMBERS = {(0, 1), (99, 99)}

OFFSET_SINCE = (4, 0)
"""The first baseline whose numbers are shifted by 1000 (Sentinel-2 Products Specification 14.9, ESA 2021)."""


def normal_baseline(text: object) -> str:
    """Write a baseline as ``05.09``, be it given as ``05.09``, ``5.09`` or ``N0509``; `UNKNOWN` of anything else."""
    if isinstance(text, float):  # the number 4.0 is 04.00 whose last zeros JSON dropped
        text = f"{text:.2f}"
    match = _BASELINE.fullmatch(str(text).strip()) if text is not None else None
    return f"{int(match.group(1)):02d}.{match.group(2)}" if match else UNKNOWN


def baseline_number(baseline: str) -> tuple[int, int] | None:
    """(5, 9) of ``05.09``; None where the baseline is unknown, or 00.01 or 99.99, which say nothing about age."""
    normal = normal_baseline(baseline)
    if normal == UNKNOWN:
        return None
    major, minor = normal.split(".")
    number = int(major), int(minor)
    return None if number in _NOT_NUMBERS else number
