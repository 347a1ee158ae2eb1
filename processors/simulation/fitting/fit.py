"""Traits of crops fitted to the statistics of real regions, as far as agronomy lets them.

Per crop and region the medians and the spread over fields, by date, of reflectance in some bands and of NDVI are all that is used. A
trait may leave the value that agronomy gives, at the price of its standard deviation between places (`land.varieties`); what no region
shows stays as it is. The posterior mode is found by nonlinear least squares (Levenberg-Marquardt in `scipy`), with the same random
numbers for every trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from catalog.products import CROP_BANDS
from processors.simulation.land.crops import CROPS, Crop
from processors.simulation.land.varieties import with_traits
from processors.simulation.scoring.regions import RealSeries, Region
from processors.simulation.series import NOTHING_UNKNOWN, Place, simulate

Floats = npt.NDArray[np.float64]

FITTED = ("rise", "peak", "fade", "chlorophyll", "water", "dry_matter", "cover", "shade", "leaf_angle", "structure")
"""Traits that are fitted, of those in `BETWEEN_PLACES`."""

BANDS = ("B03", "B04", "B05", "B06", "B08", "B11", "B12")
PLACES, FIELDS = 6, 12
_DATES = 12
"""Dates of a region that are compared, evenly chosen."""
_SURE = 40.0
"""Independent observations that a region's curves count as."""
_FLOOR = 0.02
"""Least standard deviation of what is compared: the simulation isn't better than that."""
_MOST = 2.5
"""Standard deviations that a trait may leave its prior by."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What a region says of one crop."""

    region: str
    code: int
    days: tuple[int, ...]
    median: Floats
    """(T, K): NDVI and bands."""
    spread: Floats
    """(T, K): half the range between the 16th and the 84th percentile."""
    places: tuple[Place, ...]
    window: int


def statistics(name: str, region: Region, real: RealSeries, seed: int = 0) -> list[Statistics]:
    """Statistics of each class that one crop of the land stands for."""
    random = np.random.default_rng(seed)
    chosen = np.unique(np.linspace(0, len(real.days) - 1, _DATES).round().astype(int))
    found = []
    for number, kind in enumerate(region.classes.values()):
        here = np.flatnonzero(real.label == number)
        drawn = here[random.integers(0, len(here), PLACES)]
        places = tuple(
            Place(float(real.longitude[row]), float(real.latitude[row]), 7000 + turn) for turn, row in enumerate(drawn)
        )
        median, spread = _curves(real.values[here][:, chosen], real.bands)
        days = tuple(int(day) for day in real.days[chosen])
        found.append(Statistics(name, kind.codes[0], days, median, spread, places, region.window))
    return found


def fit(code: int, known: Sequence[Statistics], start: Crop | None = None) -> dict[str, float]:
    """Traits of a crop, as standard deviations from what agronomy gives; empty where no region knows it."""
    crop = start or CROPS[code]
    if not known:
        return {}
    middle = np.full(len(FITTED), _MOST + 1)  # differences are taken relative to the values, so none may be 0

    def residuals(shifted: Floats) -> Floats:
        values = shifted - middle
        tried = {**CROPS, code: with_traits(crop, dict(zip(FITTED, values, strict=True)))}
        return np.concatenate([*(_differences(one, tried) for one in known), values])

    solved = least_squares(
        residuals, middle, bounds=(middle - _MOST, middle + _MOST), loss="soft_l1", diff_step=0.1, x_scale=1.0,
        max_nfev=4, ftol=1e-2,
    )  # fmt: skip
    return {name: round(float(value), 3) for name, value in zip(FITTED, solved.x - middle, strict=True)}


def _differences(known: Statistics, crops: Mapping[int, Crop]) -> Floats:
    made = simulate(
        known.places, {known.code: 1.0}, FIELDS, known.days, crops=crops, window=known.window, gaps=0.0,
        residuals=NOTHING_UNKNOWN,
    )  # fmt: skip
    median, _ = _curves(made.values, CROP_BANDS)
    scaled = (median - known.median) / (known.spread + _FLOOR)
    return np.asarray(np.nan_to_num(scaled).ravel() * np.sqrt(_SURE / scaled.size))


def _curves(values: npt.NDArray[np.uint16], bands: Sequence[str]) -> tuple[Floats, Floats]:
    """Median and spread (T, K) over the first axis."""
    seen = np.where(values > 0, values, np.nan).astype(float) * 1e-4
    of: dict[str, Any] = {band: seen[..., list(bands).index(band)] for band in BANDS}
    index = (of["B08"] - of["B04"]) / (of["B08"] + of["B04"])
    stacked = np.stack([index, *(of[band] for band in BANDS)], axis=-1)
    low, middle, high = np.nanpercentile(stacked, (16, 50, 84), axis=0)
    return middle, (high - low) / 2
