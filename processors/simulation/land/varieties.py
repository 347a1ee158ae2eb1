"""Crops as a place grows them: varieties, stands and leaves differ from place to place as nobody can know from afar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from processors.simulation.land import canopy
from processors.simulation.land.crops import Crop
from processors.simulation.noise.seeded import keys, normal

_FACTORS: Mapping[str, float] = {
    "rise": 0.08,
    "rate": 0.12,
    "peak": 0.18,
    "fade": 0.05,
    "fade_rate": 0.2,
    "chlorophyll": 0.13,
    "water": 0.2,
    "dry_matter": 0.22,
    "cover": 0.06,
    "shade": 0.05,
    "residue": 0.3,
    "top_share": 0.4,
}
"""As logarithms."""

_OFFSETS: Mapping[str, float] = {"leaf_angle": 5.0, "structure": 0.12}

BETWEEN_PLACES: Mapping[str, float] = MappingProxyType({**_FACTORS, **_OFFSETS})
"""Standard deviations of traits between places."""

_DAYS = 6.0
"""Standard deviation of the day on which woody plants lose their leaves."""

_BOUNDS = {name: canopy.RANGES[name] for name in ("leaf_angle", "structure", "chlorophyll", "water", "dry_matter")}
_MOST = {"cover": 1.0, "shade": 1.0, "residue": 0.95, "top_share": 0.85}


@lru_cache(maxsize=4096)
def of_place(crop: Crop, seed: int) -> Crop:
    """The crop as a place grows it."""
    key = np.atleast_1d(keys(seed, crop.code, 0x7A9))
    return with_traits(
        crop, {name: float(normal(key, purpose)[0]) for purpose, name in enumerate(BETWEEN_PLACES, start=1)}
    )


def with_traits(crop: Crop, deviations: Mapping[str, float]) -> Crop:
    """The crop with some traits so many standard deviations off. What ripens late also keeps its leaves late."""
    traits = {
        name: getattr(crop, name) * math.exp(_FACTORS[name] * far)
        for name, far in deviations.items()
        if name in _FACTORS
    }
    traits |= {name: getattr(crop, name) + _OFFSETS[name] * far for name, far in deviations.items() if name in _OFFSETS}
    if "fade" in deviations and crop.habit == "woody":
        traits["fade"] = crop.fade + _DAYS * deviations["fade"]  # a day of the year, not a sum of warmth
    elif "fade" in deviations:
        traits["ripe"] = crop.ripe * math.exp(_FACTORS["fade"] * deviations["fade"])
    for name in traits:
        low, high = _BOUNDS.get(name, (0.0, _MOST.get(name, math.inf)))
        traits[name] = min(max(traits[name], low), high)
    return replace(crop, **traits)
