"""What farmers and soils of a place have in common, drawn by its seed and climate: irrigation, catch crops, tillage, weeds, colour of soil.

None of it can be known from afar, so all of it varies: widely between places, less between the fields of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from processors.simulation.land.weather import Climate
from processors.simulation.noise.seeded import Keys, keys, normal, uniform

Floats = npt.NDArray[np.float64]

# Centres of the 13 bands, µm: from the first to the last 0 to 1 on a logarithmic scale.
_WAVELENGTHS = np.array(
    [0.443, 0.492, 0.560, 0.665, 0.704, 0.741, 0.783, 0.833, 0.865, 0.945, 1.375, 1.614, 2.202], np.float64
)
_WAY = np.log(_WAVELENGTHS / 0.443) / math.log(2.202 / 0.443)
_TILT = 2 * _WAY - 1
_BOW = 4 * _WAY * (1 - _WAY) - 0.5
_SHAPES = (np.ones(13), _TILT, _BOW)

_SOIL = (0.10, 0.05, 0.04)
"""Standard deviations of `Practice.soil` between the fields of a place."""


@dataclass(frozen=True, slots=True)
class Practice:
    """Customs and soils of a place."""

    irrigated: float
    """Share of the fields that don't suffer from drought."""
    catch_crops: float
    """Share of the fields that lie free before a spring crop and are covered."""
    untilled: float
    """Share of the fields whose stubble stays until the next crop is sown."""
    weeds: float
    """Factor of the leaf area of weeds and volunteers."""
    floor: float
    """Factor of the share of the ground between rows of vines and trees that is sown with grass."""
    floor_ploughed: float
    """Share of the plantations whose grass is ploughed in spring, to keep the water for the roots."""
    soil: tuple[float, float, float]
    """Brightness, tilt towards the short-wave infrared and bow of the soil's reflectance, as logarithms."""


def aridity(climate: Climate) -> float:
    """Part of what crops would use in summer that rain and soil don't give, 0 to 1."""
    need = 0.85 * 92 * 0.4 * math.exp(0.115 * min(climate.mean + climate.swing, 28.0))
    supply = climate.rain * (1 + 0.8 * climate.summer_rain) / 4 + 110
    return max(0.0, 1 - supply / need)


@lru_cache(maxsize=1024)
def practice(climate: Climate, seed: int) -> Practice:
    """Practice of a place."""
    key = np.atleast_1d(keys(seed, 0x9AC))
    drawn = [float(normal(key, purpose)[0]) for purpose in range(1, 8)]
    even = [float(uniform(key, purpose)[0]) for purpose in range(11, 14)]
    dry = aridity(climate)
    return Practice(
        irrigated=min(max(1.6 * dry + 0.15 * drawn[0], 0.0), 0.97),
        # Asked for by the rules of the Union's farm payments, rare where nobody asks.
        catch_crops=0.3 * even[0] if even[0] < 0.5 else 0.4 + 0.9 * (even[0] - 0.5),
        untilled=0.5 * even[1] ** 2,
        weeds=math.exp(0.6 * drawn[1]),
        floor=0.3 + 0.7 * even[2],
        floor_ploughed=min(max(0.9 * dry + 0.15 * drawn[5], 0.0), 0.9),
        soil=(0.25 * dry + 0.22 * drawn[2], 0.12 * drawn[3], 0.08 * drawn[4]),
    )


def irrigated(place: Practice, fields: Keys) -> npt.NDArray[np.bool_]:
    """(N,): fields that are watered."""
    return np.asarray(uniform(fields, 81) < place.irrigated)


def soil_brightness(place: Practice, fields: Keys) -> npt.NDArray[np.float32]:
    """(N, 13): factor of the soil's reflectance."""
    parts = [
        (common + spread * normal(fields, purpose))[:, None] * shape
        for common, spread, purpose, shape in zip(place.soil, _SOIL, (72, 73, 74), _SHAPES, strict=True)
    ]
    return np.exp(sum(parts)).astype(np.float32)
