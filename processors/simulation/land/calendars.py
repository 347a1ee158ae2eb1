"""When a crop is sown somewhere, and which varieties: by the climate, and by what farmers of the place happen to do.

The day of sowing that `crops` gives for a temperate lowland stands for a temperature. Elsewhere the window opens on the day that the
temperature is to be expected, and closes when too little warmth is left until autumn; where seasons are long, windows are wide and
varieties are late. So maize is sown in March in the south and in May inland, without a calendar of either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from processors.simulation.land.crops import Crop
from processors.simulation.land.weather import TEMPERATE, WARMEST, Climate
from processors.simulation.noise.seeded import keys, normal

_COOL = 3.0
"""Degrees above the base temperature at which the season ends."""

_EARLIEST_VARIETY = 0.85


@dataclass(frozen=True, slots=True)
class Calendar:
    """Customs of a place in growing one crop."""

    sowing: float
    """Mean day, counted from 1 January of the year of harvest."""
    spread: float
    """Standard deviation between fields, days."""
    rise: float
    """Factor of the degree-days until half of the leaves are out."""
    ripe: float
    """Factor of the degree-days until leaves fade and grain is ripe."""
    latest: float
    """Day of the year by which it is harvested in any case."""


@lru_cache(maxsize=4096)
def calendar(crop: Crop, climate: Climate, seed: int) -> Calendar:
    """The calendar of a place, whose customs are drawn by ``seed``."""
    key = np.atleast_1d(keys(seed, crop.code, 0xCA1))
    earlier, later, variety, wide = (float(normal(key, purpose)[0]) for purpose in range(1, 5))
    warmth = TEMPERATE.normal(crop.sowing) + crop.calendar_spread * earlier
    if crop.sowing < 0:
        return _autumn(crop, climate, warmth, variety)
    # Frost leaves the ground, and melt water the fields, later than the air is warm.
    thaw = 1.8 * max(0.0, TEMPERATE.mean - TEMPERATE.swing - climate.mean + climate.swing)
    opens = WARMEST - climate.turning(warmth)
    opens += min(thaw, 18.0) * min(max((12.0 - warmth) / 6, 0.0), 1.0)
    # A temperate lowland's window is in the crop's own day and spread.
    usual = _closes(crop, TEMPERATE, crop.sowing) - crop.sowing
    window = max(0.0, _closes(crop, climate, opens) - opens - usual)
    sowing = opens + min(max(crop.late + 0.08 * later, 0.0), 0.7) * window
    spread = math.hypot(crop.sowing_spread, crop.late_spread * window) * math.exp(0.2 * wide)
    there, here = (
        where.heat(crop.base, first, WARMEST + where.turning(crop.base + _COOL))
        for where, first in ((TEMPERATE, crop.sowing), (climate, sowing))
    )
    longer = min(max((here / there) ** crop.adapts, 0.75), 2.4) * math.exp(0.05 * variety)
    shift = climate.turning(10.0) - TEMPERATE.turning(10.0)
    return Calendar(sowing, spread, longer**0.4, longer, crop.latest + min(max(shift, -30), 45))


def _closes(crop: Crop, climate: Climate, opens: float) -> float:
    """Last day on which an early variety can be sown."""
    end = WARMEST + climate.turning(crop.base + _COOL)
    days = np.arange(opens, end)
    normal = climate.mean + climate.swing * np.cos(2 * math.pi * (days - WARMEST) / 365.25)
    left = np.maximum(normal - crop.base, 0)[::-1].cumsum()[::-1]
    return float(opens + (left >= _EARLIEST_VARIETY * crop.ripe).sum())


def _autumn(crop: Crop, climate: Climate, warmth: float, variety: float) -> Calendar:
    """Winter crops: sown as autumn cools; where winters are long and hard, long days ripen them with less warmth."""
    sowing = WARMEST + climate.turning(warmth) - 365
    # Nobody sows winter crops before August's end or after Christmas.
    sowing = min(max(sowing, -125.0 if crop.sowing > -120 else -140.0), -12.0)
    there, here = (
        where.heat(crop.base, first, WARMEST - 5) for where, first in ((TEMPERATE, crop.sowing), (climate, sowing))
    )
    shorter = min(max(here / there, 0.7), 1.0) * math.exp(0.02 * variety)
    return Calendar(sowing, crop.sowing_spread, shorter, shorter, crop.latest)
