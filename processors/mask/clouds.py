"""Clouds, cirrus and cloud shadows of L1C, as functions of arrays."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from processors.mask.options import L1CMask

if TYPE_CHECKING:
    from s2cloudless.cloud_detector import S2PixelCloudDetector

Mask = npt.NDArray[np.bool_]

CLOUD_HEIGHTS = (200.0, 6000.0)
"""Heights in m between which clouds are looked for; a part of the range of Zhu & Woodcock (2012), Fmask."""

NEEDED_BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands that s2cloudless looks at."""


@lru_cache(maxsize=4)
def _detector(average: int = 0, dilation: int = 0) -> S2PixelCloudDetector:
    from s2cloudless.cloud_detector import S2PixelCloudDetector  # scikit-learn and LightGBM: for L1C alone

    detector = S2PixelCloudDetector(all_bands=True, average_over=average, dilation_size=dilation)
    _ = detector.classifier  # loads the trees now: it would else do so at the first use, in several threads at once
    return detector


def cloud_probability(reflectance: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Probability of cloud (..., H, W), 0 to 1, of L1C reflectance (..., H, W, 13), by s2cloudless (Zupanc, 2017)."""
    if reflectance.shape[-1] != 13 or reflectance.ndim < 3:
        raise ValueError(f"reflectance of shape {reflectance.shape} is not (..., H, W, 13)")
    pixels = reflectance.reshape(-1, *reflectance.shape[-3:])
    # One thread: acquisitions are masked side by side, and LightGBM's threads gain nothing on trees this small.
    found = _detector().get_cloud_probability_maps(pixels, num_threads=1)
    return np.asarray(found, np.float32).reshape(reflectance.shape[:-1])


def cloud_mask(probability: npt.NDArray[np.float32], options: L1CMask) -> Mask:
    """True (H, W) where there is cloud: probability averaged over a disc, cut at the threshold, dilated.

    ``probability``: at the options' resolution.
    """
    average, dilation = (
        max(1, round(radius / options.resolution)) if radius else 0 for radius in (options.average, options.dilation)
    )
    found = _detector(average, dilation).get_mask_from_prob(
        np.ascontiguousarray(probability[np.newaxis], np.float32), options.cloud_threshold
    )
    return np.asarray(found[0] != 0)


def dilated(mask: Mask, radius: float) -> Mask:
    """True within ``radius`` pixels of a True pixel, between centres."""
    spread = mask.copy()
    if radius < 1 or not mask.any():
        return spread
    square = math.floor(radius**2)
    # Row by row of the disc from its poles, where it is narrowest: each row widens the one before. For the few pixels that masks
    # are dilated by, this is several times faster than a distance transform.
    row, half = mask.copy(), 0
    for away in range(min(math.isqrt(square), len(mask) - 1), -1, -1):
        for _ in range(math.isqrt(square - away**2) - half):
            wider = row.copy()
            wider[:, 1:] |= row[:, :-1]
            wider[:, :-1] |= row[:, 1:]
            row, half = wider, half + 1
        spread[away:] |= row[: len(row) - away]
        spread[: len(row) - away] |= row[away:]
    return spread


def cast_shadows(clouds: Mask, zenith: float, azimuth: float, resolution: float, distance: float = math.inf) -> Mask:
    """True (H, W) where a cloud at any of `CLOUD_HEIGHTS` throws its shadow on flat ground, at most ``distance`` m away.

    ``zenith``, ``azimuth`` (from north, clockwise): of the sun, degrees; rows run southward, pixels have ``resolution`` m.
    """
    lowest, highest = (height * math.tan(math.radians(min(zenith, 85.0))) / resolution for height in CLOUD_HEIGHTS)
    highest = min(highest, distance / resolution, float(max(clouds.shape)))
    if not clouds.any() or lowest > highest:
        return np.zeros_like(clouds)
    # A cloud at height h lies h tan(zenith) towards the sun from its shadow.
    south, east = math.cos(math.radians(azimuth)), -math.sin(math.radians(azimuth))
    steps = max(1, math.ceil(highest - lowest)) + 1
    moves = {(round(south * length), round(east * length)) for length in np.linspace(lowest, highest, steps)}
    shadows = np.zeros_like(clouds)
    for down, right in moves:
        to, of = _overlap(clouds.shape, down, right)
        shadows[to] |= clouds[of]
    return shadows


def _overlap(shape: tuple[int, ...], down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices where an array that is moved lands in itself, and of the part that does."""
    height, width = shape
    to = slice(max(0, down), max(0, height + min(0, down))), slice(max(0, right), max(0, width + min(0, right)))
    of = slice(max(0, -down), max(0, height - max(0, down))), slice(max(0, -right), max(0, width - max(0, right)))
    return to, of


def shadow_reach(zenith: float) -> float:
    """Greatest distance of a shadow from its cloud, m."""
    return CLOUD_HEIGHTS[1] * math.tan(math.radians(min(zenith, 85.0)))
