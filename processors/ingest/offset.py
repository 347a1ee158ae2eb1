"""Check of a radiometric offset against the numbers: catalogues say one thing and files hold another.

Land, water and shadows are dark in blue, green and red: nearly every scene that isn't all cloud has pixels of a reflectance of a
few per cent there. An offset that was applied already takes them far below zero; real products go there by a per cent or two of
reflectance at most, in few pixels (Sen2Cor since baseline 04.00: 0.05 % of a swath over coast and sea lies below -0.02).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.baseline import OFFSET_SINCE, baseline_number
from catalog.errors import ProductError, Reason
from catalog.products import SATURATED, Asset, Product
from processors.cube.pixel_source import OffsetFinding

CHECKED_BANDS = ("B02", "B03", "B04")

DARKEST_SHARE = 0.01
"""The darkest pixels are this share of those with data: fewer may be artefacts."""

LOWEST = -200
"""Least value at which these may lie, in 1e-4 reflectance."""

DARK = 1500
"""Limit in 1e-4 reflectance: where nothing is darker there is only cloud, snow or sand, which says nothing about offsets."""

SHIFT = 1000
"""Offset that baselines since 04.00 add to raw numbers."""

LEAST_PIXELS = 1000
"""Pixels with data that a check needs."""

_SAMPLE = 128
"""A part of a band is looked at in about as many rows and columns."""

_BIN = 8


class OffsetCheck(NamedTuple):
    """Outcome of a check."""

    finding: OffsetFinding
    words: str
    """For people; no code reads them."""


class NumberCounts:
    """Histogram of a sample of a band's raw numbers."""

    def __init__(self) -> None:
        self._counts = np.zeros((SATURATED + 1) // _BIN, np.int64)

    def add(self, raw: npt.NDArray[Any], nodata: float | None) -> None:
        """Count a part of the band (H, W). Not where no data is next to a pixel: at a swath's edge, means of both are too dark."""
        rows, columns = (max(1, size // _SAMPLE) for size in raw.shape)
        if min(raw.shape) < 3:
            return
        around = [[_strided(raw, top, left, rows, columns) for left in range(3)] for top in range(3)]
        sample = around[1][1]
        known = (sample >= 0) & (sample < SATURATED)
        for near in (part for line in around for part in line):
            known &= np.isfinite(near) & (near != nodata)
        self._counts += np.bincount(sample[known].astype(np.int64) // _BIN, minlength=len(self._counts))

    @property
    def total(self) -> int:
        return int(self._counts.sum())

    def darkest(self) -> int:
        """The raw number that only `DARKEST_SHARE` lie below, to within 8."""
        return int(np.searchsorted(self._counts.cumsum(), DARKEST_SHARE * self.total, side="right")) * _BIN


def _strided(raw: npt.NDArray[Any], top: int, left: int, rows: int, columns: int) -> npt.NDArray[Any]:
    """Samples at regular steps of the inner pixels (``top`` and ``left`` 1), or of their neighbours (0 and 2)."""
    height, width = raw.shape
    return raw[top : height - 2 + top : rows, left : width - 2 + left : columns]


def check_offset(product: Product, assets: Mapping[str, Asset], counts: Mapping[str, NumberCounts]) -> OffsetCheck:
    """Check an offset against the numbers. ``counts``: by band, of `CHECKED_BANDS`.

    What a request gives is not suspected.

    Raises `ProductError` where the offset takes the darkest pixels of a band too far below zero.
    """
    darkest = {band: one.darkest() for band, one in counts.items() if one.total >= LEAST_PIXELS}
    if not darkest:
        return OffsetCheck(OffsetFinding.NOT_TOLD, "not checked: too few pixels of B02, B03 or B04")
    shifted = {band: number + assets[band].offset for band, number in darkest.items()}
    band, least = min(shifted.items(), key=lambda entry: entry[1])
    if least < LOWEST:
        asset = assets[band]
        raise ProductError(
            f"{product.id}: the offset {asset.offset} ({asset.offset_from}) doesn't fit the numbers of {band}, {asset.href}: "
            f"{DARKEST_SHARE:.0%} of its pixels lie below {darkest[band]}, which would become {least * 1e-4:.3f} reflectance. "
            f"It seems to be applied already: correct the {'catalogue' if product.offset is None else 'request'}'s offset.",
            Reason.OFFSET_REFUSED,
        )
    if least > DARK:
        words = f"not checked: nothing darker than {least * 1e-4:.2f} in {', '.join(sorted(darkest))}"
        return OffsetCheck(OffsetFinding.NOT_TOLD, words)
    baseline = baseline_number(product.baseline)
    unshifted = all(assets[band].offset == 0 for band in darkest) and len(darkest) == len(CHECKED_BANDS)
    if unshifted and least >= SHIFT and (baseline is None or baseline >= OFFSET_SINCE):
        if product.offset is not None:
            words = f"ok, as the request says: nothing darker than {least * 1e-4:.2f}"
            return OffsetCheck(OffsetFinding.NOT_TOLD, words)
        words = (
            f"suspicious: nothing darker than {least * 1e-4:.2f}, as if an offset of -{SHIFT} were missing "
            f"({assets[band].offset_from})"
        )
        return OffsetCheck(OffsetFinding.MISSING, words)
    return OffsetCheck(OffsetFinding.FITS, "ok")
