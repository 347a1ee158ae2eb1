"""Synthetic daily weather: what drives growth, and how wet the ground is. No place's real weather is in it.

Temperature is a yearly wave with anomalies that persist for weeks and days; rain falls in spells (a two-state Markov chain with gamma
amounts; Richardson, 1981). Each calendar year has random numbers of its own, so that two requests for one day agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

YEARS = 3
"""Calendar years that a `Weather` spans, its own the last: the crop before the last one was sown in the first."""

WARMEST = 203
"""Day of the year: 22 July."""

HOTTEST = 28.0
"""Temperature, °C, above which plants develop no faster."""

_WET_AFTER_WET, _WET_AFTER_DRY = 0.66, 0.30


@dataclass(frozen=True, slots=True)
class Climate:
    """Normals that the weather of a location varies about."""

    latitude: float
    """Latitude, degrees; negative in the south."""
    mean: float
    """Mean of the temperature over the year, °C."""
    swing: float
    """Half the difference between the warmest and the coldest month, °C."""
    rain: float = 780.0
    """Rain, mm a year."""
    summer_rain: float = 0.0
    """How much more it rains in July than in the mean of the year, as a share: -0.95 by the Mediterranean, 0.7 in the plains inland."""

    @classmethod
    def at(cls, latitude: float) -> Climate:
        """A temperate lowland between ocean and continent; the line is drawn through Brussels, Munich's plain, Ferrara and Toulouse."""
        distance = abs(latitude)
        return cls(latitude, mean=30.5 - 0.39 * distance, swing=max(2.0, 8.0 + 0.25 * (50.5 - distance)))

    def varied(self, seed: int) -> Climate:
        """Another climate of the same latitude: nearer to the ocean or farther, wetter or drier, higher up."""
        inland, height, wet = np.random.default_rng([seed, 0xC1]).normal(size=3)
        return replace(
            self,
            mean=self.mean + 0.8 * float(height),
            swing=max(2.0, self.swing + 1.2 * float(inland)),
            rain=self.rain * math.exp(0.15 * float(wet - inland)),
        )

    def normal(self, day: float) -> float:
        """Temperature to be expected on a day of the year, °C."""
        return self.mean + self.swing * math.cos(2 * math.pi * (day - WARMEST) / 365.25)

    def turning(self, temperature: float) -> float:
        """Days before and after the warmest one on which ``temperature`` is passed; 20 to 162 where it never is."""
        share = min(max((temperature - self.mean) / self.swing, -0.94), 0.94)
        return math.acos(share) * 365.25 / (2 * math.pi)

    def heat(self, base: float, first: float, last: float) -> float:
        """Degree-days above ``base`` °C to be expected from one day of the year to another."""
        days = np.arange(first, last)
        normal = self.mean + self.swing * np.cos(2 * math.pi * (days - WARMEST) / 365.25)
        return float(np.clip(normal - base, 0, HOTTEST - base).sum())

    def season_day(self, day: date) -> date:
        """The same point of the season in the north: south of the equator half a year earlier. Crops and weather go by it."""
        return day if self.latitude >= 0 else day - timedelta(days=182)


TEMPERATE = Climate.at(51.0)
"""The climate that sowing days and degree-days of `crops` are given for."""


@dataclass(frozen=True, slots=True, eq=False)
class Weather:
    """Daily series (D,) from 1 January two years before the year asked for until its 31 December."""

    first: date
    temperature: Floats
    """Daily mean, °C."""
    rain: Floats
    """Rain, mm."""
    surface_moisture: Floats
    """Moisture of the uppermost centimetres, 0 dry to 1 wet; at the moment of the overflight, before the day's rain."""
    drought: Floats
    """Drought of the root zone, 0 none to 1 wilting."""
    climate: Climate = TEMPERATE
    seed: int = 0
    """That the weather was drawn by; what farmers of the place do is drawn by it, too."""

    def index(self, day: date) -> int:
        """Position of a day; raises `ValueError` outside the span."""
        index = (day - self.first).days
        if not 0 <= index < len(self.temperature):
            raise ValueError(f"{day} lies outside {self.first} and {len(self.temperature)} days from there")
        return index

    def thermal_time(self, base: float) -> Floats:
        """(D + 1,): degree-days above ``base`` °C gathered before each day."""
        gathered: Floats = np.concatenate([[0.0], np.cumsum(np.clip(self.temperature - base, 0, HOTTEST - base))])
        return gathered


@lru_cache(maxsize=64)
def weather(climate: Climate, year: int, seed: int) -> Weather:
    """The weather of a year and the two before it."""
    years = range(year - YEARS + 1, year + 1)
    parts = [_year(climate, each, seed) for each in years]
    temperature, rain = (np.concatenate(series) for series in zip(*parts, strict=True))
    return Weather(
        date(years[0], 1, 1), temperature, rain, _surface(temperature, rain), _drought(temperature, rain), climate, seed
    )


def _year(climate: Climate, year: int, seed: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng([seed, year, 77])
    days = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    wave = np.cos(2 * math.pi * (np.arange(days) + 1 - WARMEST) / 365.25)
    slow = _persistent(random, days, 0.97) * 1.3
    quick = _persistent(random, days, 0.72) * 2.4
    temperature = climate.mean + climate.swing * wave + slow + quick
    chances, amounts = random.uniform(size=days), random.gamma(0.75, size=days)
    wet_share = _WET_AFTER_DRY / (1 + _WET_AFTER_DRY - _WET_AFTER_WET)
    mean_amount = climate.rain / (365 * wet_share * 0.75)
    # The season lies half in how often it rains, half in how much.
    season = np.sqrt(np.maximum(1 + climate.summer_rain * wave, 0.0))
    wet, rain = chances[0] < wet_share, np.zeros(days)
    for day in range(days):
        wet = bool(chances[day] < season[day] * (_WET_AFTER_WET if wet else _WET_AFTER_DRY))
        rain[day] = wet * amounts[day] * mean_amount * season[day]
    # Where it rains little, or in one season only, years differ most.
    uneven = 0.3 * max(0.0, -climate.summer_rain) + 0.2 * max(0.0, 1 - climate.rain / 600)
    rain *= math.exp(uneven * float(random.normal()) - uneven**2 / 2)
    return temperature, rain


def _persistent(random: np.random.Generator, days: int, memory: float) -> Floats:
    """Noise of unit variance whose neighbours correlate by ``memory``."""
    noise = random.normal(size=days)
    for day in range(1, days):
        noise[day] = memory * noise[day - 1] + math.sqrt(1 - memory**2) * noise[day]
    return noise


def _evaporation(temperature: Floats) -> Floats:
    # mm a day: about 0.4 at the freezing point, 4 at 20 °C, as Hamon's (1961) formula gives in the mean.
    evaporation: Floats = 0.4 * np.exp(0.115 * np.clip(temperature, 0, 28))
    return evaporation


def _surface(temperature: Floats, rain: Floats) -> Floats:
    """Antecedent precipitation that dries within days in summer and weeks in winter; scaled by 8 mm."""
    kept = np.exp(-0.16 * _evaporation(temperature))
    stored, wet = 6.0, np.empty_like(rain)
    for day in range(len(rain)):
        wet[day] = stored
        stored = min((stored + rain[day]) * kept[day], 25.0)
    moisture: Floats = 1 - np.exp(-wet / 8.0)
    return moisture


def _drought(temperature: Floats, rain: Floats) -> Floats:
    """A bucket of 110 mm under grass, scaled so that its lower half is stress."""
    stored, shortage = 110.0, np.empty_like(rain)
    loss = _evaporation(temperature) * 0.85
    for day in range(len(rain)):
        shortage[day] = np.clip(1 - stored / 60.0, 0, 1)
        stored = min(max(stored + rain[day] - loss[day] * min(1.0, stored / 55.0), 0.0), 110.0)
    return shortage
