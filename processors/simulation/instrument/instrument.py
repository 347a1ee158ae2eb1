"""The MultiSpectral Instrument: blur, sampling at 10, 20 and 60 m, noise, saturation, and the numbers that products hold.

Radiance L = reflectance x E U cos(sun's zenith) / pi, with E the band's solar irradiance and U the squared distance of the sun
(1 = 1 AU); the instrument counts A L, with A its physical gain.

Noise has the variance ``ALPHA² + BETA L`` in counts. ALPHA and BETA stand in the datastrip metadata of real products. Read with L as
radiance they reproduce the signal-to-noise ratios measured in orbit (Gascon et al., 2017: B03 249, B04 230, B11 159; here 247, 227, 154)
in all bands but those of 60 m, whose pixels are means of several; read with counts in place of radiance they would fall short of
what the mission requires by up to three times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from catalog.baseline import OFFSET_SINCE, baseline_number
from catalog.errors import RequestError
from catalog.grid import PIXEL, Window
from catalog.orbits.angles import Angles
from catalog.products import BANDS, NO_DATA, REFLECTANCE_SCALE, SATURATED
from processors.simulation.noise.seeded import keys

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.uint16]

MARGIN = 12
"""Pixels of 10 m around a window that its blur reaches into."""

ALIGNMENT = 6
"""Windows start and end at multiples of this, pixels: where pixels of 60 m do."""

OFFSET = 1000
"""Added to numbers since baseline 04.00."""

_CONTRAST = {10: 0.28, 20: 0.31, 60: 0.36}
"""Modulation transfer at the Nyquist frequency, by pixel size: within what was required (0.15 to 0.30, 60 m below 0.45) or measured."""

_STRAY = {"B10": 6e-4}
"""Reflectance that is there over the darkest scenes: B10 of clear real scenes is at 0.0008 to 0.0012 where vapour hides the ground."""

_BLOCK = 120
"""Noise is drawn in blocks of this many pixels that have fixed places in the zone, so that all windows agree."""


@dataclass(frozen=True, slots=True)
class Radiometry:
    """One band of one satellite."""

    irradiance: float
    """W/m²/µm"""
    gain: float
    """Counts per W/m²/sr/µm."""
    alpha: float
    """Noise in the dark, counts."""
    beta: float
    """Growth of its variance, counts² per W/m²/sr/µm."""
    brightest: float
    """Radiance at which it saturates, W/m²/sr/µm (ESA, Sentinel-2 User Handbook, 2015)."""
    reference: float
    """Radiance for which the signal-to-noise ratio is stated, W/m²/sr/µm (same source)."""


# ALPHA, BETA: MTD_DS.xml of S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM. Irradiances and gains: MTD_MSIL1C.xml of the same product, and of
# S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF. All contain modified Copernicus Sentinel data.
_ALPHA = (0.56, 0.567, 0.488, 0.489, 0.578, 0.576, 0.576, 0.571, 0.574, 0.563, 1.067, 0.683, 0.704)
_BETA = (
    0.00054,
    0.04696,
    0.03482,
    0.04047,
    0.03123,
    0.04388,
    0.0422,
    0.04447,
    0.08714,
    0.10258,
    0.00961,
    0.09292,
    0.08259,
)
_BRIGHTEST = (588, 615.5, 559, 484, 449.5, 413, 387, 308, 308, 233, 45, 70, 24.5)
_REFERENCE = (129, 128, 128, 108, 74.5, 68, 67, 103, 52.5, 9, 6, 4, 1.5)
_IRRADIANCE = {
    "S2A": (
        1884.69,
        1959.72,
        1823.24,
        1512.06,
        1424.64,
        1287.61,
        1162.08,
        1041.63,
        955.32,
        812.92,
        367.15,
        245.59,
        85.25,
    ),
    "S2B": (
        1874.3,
        1959.75,
        1824.93,
        1512.79,
        1425.78,
        1291.13,
        1175.57,
        1041.28,
        953.93,
        817.58,
        365.41,
        247.08,
        87.75,
    ),
}
_GAIN = {
    "S2A": (4.1132, 3.7572, 4.1845, 4.5154, 5.1989, 4.8647, 4.5280, 6.1524, 5.1251, 8.5169, 54.947, 35.181, 106.320),
    "S2B": (3.9637, 3.8202, 4.2377, 4.7755, 5.1834, 5.0899, 4.7640, 6.8207, 5.7605, 9.3754, 56.405, 37.179, 108.690),
}


def _of(platform: str) -> Mapping[str, Radiometry]:
    columns = zip(_IRRADIANCE[platform], _GAIN[platform], _ALPHA, _BETA, _BRIGHTEST, _REFERENCE, strict=True)
    return MappingProxyType({name: Radiometry(*column) for name, column in zip(BANDS, columns, strict=True)})


RADIOMETRY: Mapping[str, Mapping[str, Radiometry]] = MappingProxyType(
    {"S2A": _of("S2A"), "S2B": _of("S2B"), "S2C": _of("S2B")}
)
"""Radiometry by satellite and band; 2C has 2B's, and all have 2A's noise, for no product at hand tells theirs."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One satellite's instrument on one day."""

    platform: str
    day: int
    """Day of the year: the sun's distance follows from it."""

    def __post_init__(self) -> None:
        if self.platform not in RADIOMETRY:
            raise RequestError(f"no instrument {self.platform!r}. Simulated are {', '.join(RADIOMETRY)}.")

    @property
    def sun_distance(self) -> float:
        """Distance factor U: 1 / (distance in AU)², by the first terms of Spencer (1971)."""
        angle = 2 * math.pi * (self.day - 1) / 365
        return 1.00011 + 0.034221 * math.cos(angle) + 0.00128 * math.sin(angle)

    def radiance(self, band: str, angles: Angles) -> float:
        """W/m²/sr/µm of a reflectance of 1."""
        return RADIOMETRY[self.platform][band].irradiance * self.sun_distance * angles.sun / math.pi

    def noise_variance(self, band: str, angles: Angles) -> tuple[float, float]:
        """(a, b): noise of reflectance r has the variance a + b r."""
        one, scale = RADIOMETRY[self.platform][band], self.radiance(band, angles)
        counts = one.gain * scale
        return one.alpha**2 / counts**2, one.beta * scale / counts**2

    def brightest(self, band: str, angles: Angles) -> float:
        """Reflectance at which the band saturates."""
        return RADIOMETRY[self.platform][band].brightest / self.radiance(band, angles)

    def measure(self, band: str, top: Floats, window: Window, angles: Angles, seed: int) -> Floats:
        """Reflectance at the band's own pixel size (h, w) of what arrives at 10 m (H + 2 MARGIN, W + 2 MARGIN); inf where saturated.

        ``window``: without the margin, aligned to pixels of 60 m. ``seed``: the acquisition's; each block of the zone has its own noise.
        """
        check_alignment(window)
        blurred = sample(band, top)
        factor = BANDS[band].resolution // PIXEL
        blurred += np.float32(_STRAY.get(band, 0.0))
        a, b = self.noise_variance(band, angles)
        spread = np.maximum(blurred, 0)
        spread *= np.float32(b)
        spread += np.float32(a)
        np.sqrt(spread, out=spread)
        spread *= _noise(seed, band, window.left // factor, window.top // factor, blurred.shape)
        saturated = np.greater(blurred, self.brightest(band, angles))
        blurred += spread
        blurred[saturated] = np.inf
        return blurred


def check_alignment(window: Window) -> None:
    """Raise `ValueError` where a window's edges aren't those of pixels of 60 m."""
    if any(value % ALIGNMENT for value in (window.left, window.top, window.width, window.height)):
        raise ValueError(f"a window's edges lie at multiples of {ALIGNMENT} pixels, not {window}")


def sample(band: str, top: Floats) -> Floats:
    """Blur (H + 2 MARGIN, W + 2 MARGIN) as the band's optics and detectors do, and take its pixels' means (h, w)."""
    metres = BANDS[band].resolution
    factor = metres // PIXEL
    width = _width(metres)
    radius = min(MARGIN, math.ceil(4 * width))
    blurred: Floats = gaussian_filter(top, width, radius=radius, mode="nearest")
    blurred = blurred[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return means(blurred, factor)


@lru_cache
def _width(metres: int) -> float:
    """Standard deviation, pixels of 10 m, of the sampled Gaussian that makes up the contrast wanted together with the pixels' means."""
    factor = metres // PIXEL
    steps = np.arange(-MARGIN, MARGIN + 1)
    # Means over 10 m, which the land comes in, then over the band's own pixels: together a mean over these.
    box = math.sin(math.pi / 2) / (math.pi / 2)

    def contrast(width: float) -> float:
        weights = np.exp(-((steps / width) ** 2) / 2)
        return float(weights @ np.cos(math.pi * steps / factor) / weights.sum()) * box - _CONTRAST[metres]

    return float(brentq(contrast, 0.2 * factor, 0.9 * factor))


def means(values: Floats, factor: int) -> Floats:
    """Average blocks of ``factor`` x ``factor`` pixels."""
    if factor == 1:
        return np.ascontiguousarray(values)
    height, width = values.shape
    blocks = values.reshape(height // factor, factor, width // factor, factor)
    result: Floats = blocks.mean(axis=(1, 3), dtype=np.float32)
    return result


def to_numbers(reflectance: Floats, baseline: str, seen: npt.NDArray[np.bool_] | None = None) -> Numbers:
    """Convert to a product's numbers by its baseline: 0 where ``seen`` is false, 65535 where saturated (inf), else at least 1."""
    shift = OFFSET if (number := baseline_number(baseline)) is None or number >= OFFSET_SINCE else 0
    scaled = reflectance * np.float32(1 / REFLECTANCE_SCALE)
    scaled += np.float32(shift + 0.5)
    saturated = np.isinf(scaled)
    np.clip(scaled, NO_DATA + 1, SATURATED - 1, out=scaled)
    numbers = scaled.astype(np.uint16)
    numbers[saturated] = SATURATED
    if seen is not None:
        numbers[~seen] = NO_DATA
    return numbers


def whole_pixels(seen: npt.NDArray[np.bool_], metres: int) -> npt.NDArray[np.bool_]:
    """(h, w): pixels of a size all of which was seen, from (H, W) at 10 m."""
    factor = metres // PIXEL
    height, width = seen.shape
    return np.asarray(seen.reshape(height // factor, factor, width // factor, factor).all(axis=(1, 3)))


def _noise(seed: int, band: str, left: int, top: int, shape: tuple[int, ...]) -> Floats:
    """(h, w) of variance 1; ``left`` and ``top`` in the band's own pixels from the zone's origin, ``top`` northward."""
    height, width = shape
    result = np.empty((height, width), np.float32)
    number = tuple(BANDS).index(band)
    first_row, last_row = -top, -top + height
    for row in range(first_row // _BLOCK, (last_row - 1) // _BLOCK + 1):
        for column in range(left // _BLOCK, (left + width - 1) // _BLOCK + 1):
            key = keys(seed, number, row, column)
            drawn = np.random.Generator(np.random.Philox(int(key))).standard_normal((_BLOCK, _BLOCK), dtype=np.float32)
            rows = slice(max(row * _BLOCK, first_row), min((row + 1) * _BLOCK, last_row))
            columns = slice(max(column * _BLOCK, left), min((column + 1) * _BLOCK, left + width))
            result[rows.start - first_row : rows.stop - first_row, columns.start - left : columns.stop - left] = drawn[
                rows.start - row * _BLOCK : rows.stop - row * _BLOCK,
                columns.start - column * _BLOCK : columns.stop - column * _BLOCK,
            ]
    return result
