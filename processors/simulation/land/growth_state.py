"""What a field looks like on a day, as numbers that `appearance` makes reflectance of, and what all plants have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from processors.simulation.land.crops import Crop
from processors.simulation.land.surfaces import Ground, Top
from processors.simulation.land.weather import Weather
from processors.simulation.noise.seeded import Keys, normal

Floats = npt.NDArray[np.float64]


class Stage(IntEnum):
    """Phenology, coarse; the truth beside the crop."""

    NONE = 0  # background
    BARE = 1  # tilled or weathered, nothing sown yet or nothing seen of it
    EMERGED = 2  # up to half of the largest leaf area
    GROWN = 3  # until leaves fade, flowering included
    RIPENING = 4  # leaves fade
    STUBBLE = 5  # harvested, not yet tilled
    COVER = 6  # a catch crop or volunteers between two crops
    PERENNIAL = 7  # grass, vines, orchards


@dataclass(slots=True, eq=False)
class Growth:
    """State of N fields on one day; arrays (N,) unless said otherwise. Names and units of the leaves are those of `canopy.RANGES`."""

    leaf_area: Floats
    chlorophyll: Floats
    water: Floats
    dry_matter: Floats
    leaf_angle: Floats
    brown: Floats
    hotspot: Floats
    structure: Floats
    cover: Floats
    """Share of the ground that the canopy stands on."""
    shade: Floats
    """Factor of the reflectance."""
    shadow: Floats
    """Open ground in the shadow of what stands beside it when the sun is 45 degrees high, as a share of ``cover``."""
    ground: Floats
    """(N, 7): shares in the order of `Ground`."""
    top: Floats
    """(N, 5): shares of the canopy hidden by what `Top` lists."""
    stage: npt.NDArray[np.uint8]

    @classmethod
    def bare(cls, count: int) -> Growth:
        constant = {
            "leaf_area": 0.0, "chlorophyll": 45.0, "water": 0.016, "dry_matter": 0.005, "leaf_angle": 50.0, "brown": 0.0,
            "hotspot": 0.1, "structure": 1.5, "cover": 1.0, "shade": 1.0, "shadow": 0.0,
        }  # fmt: skip
        ground = np.zeros((count, len(Ground)))
        ground[:, Ground.SOIL] = 1
        arrays = {name: np.full(count, value) for name, value in constant.items()}
        return cls(**arrays, ground=ground, top=np.zeros((count, len(Top))), stage=np.full(count, Stage.BARE, np.uint8))

    def put(self, where: npt.NDArray[np.intp], part: Growth) -> None:
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(part, field.name)


def logistic(x: npt.ArrayLike) -> Floats:
    """1 / (1 + exp(-x))."""
    curve: Floats = 1 / (1 + np.exp(-np.clip(np.asarray(x, float), -40, 40)))
    return curve


def leaves(state: Growth, crop: Crop, key: Keys) -> None:
    """Put a crop's leaves and stand into the state."""
    open_ground = gaps(key, crop.ragged)
    state.leaf_angle[:] = crop.leaf_angle
    state.structure[:] = crop.structure
    state.hotspot[:] = crop.hotspot
    state.dry_matter[:] = crop.dry_matter
    state.water[:] = crop.water
    state.cover[:] = crop.cover * (1 - open_ground)
    state.shade[:] = crop.shade
    state.shadow[:] = crop.shadow


def gaps(key: Keys, ragged: float) -> Floats:
    """(N,): share of a field's ground that no canopy covers."""
    # Tramlines, missing plants, stems: a turbid medium of leaves alone would be greener than any field.
    return np.asarray(np.clip(0.065 * np.exp(0.45 * ragged * normal(key, 51)), 0.01, 0.3))


@lru_cache(maxsize=16)
def warm(weather: Weather) -> Floats:
    """(D,): mean temperature of the twenty days before, °C."""
    return np.convolve(weather.temperature, np.ones(20) / 20)[: len(weather.temperature)]


def dryness(weather: Weather, index: int) -> float:
    """Drought of the last ten days, 0 to 1."""
    return float(weather.drought[max(0, index - 9) : index + 1].mean())
