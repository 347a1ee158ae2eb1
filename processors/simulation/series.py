"""Series of simulated fields without images: pixels of many places, as ten-day or monthly composites or on single dates. **All synthetic.**

A place has its climate, weather, soil and customs; its fields grow there as those of the simulated land do. Beside them stands what
nobody can know from afar and what therefore varies without pattern: how a product was corrected for the air, how a field is lit and
looked at, neighbours in the pixel, cloud and snow that a mask has left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from catalog.products import BANDS, CROP_BANDS
from processors.simulation.land.appearance import Geometry, reflectance
from processors.simulation.land.climates import climate_near
from processors.simulation.land.crops import CROPS, Crop
from processors.simulation.land.growth import Season, grow
from processors.simulation.land.growth_state import Growth
from processors.simulation.land.practice import practice, soil_brightness
from processors.simulation.land.weather import Weather, weather
from processors.simulation.mission.mission import snow_cover
from processors.simulation.noise.seeded import keys

Floats = npt.NDArray[np.float32]

_COLUMNS = [list(BANDS).index(name) for name in CROP_BANDS]
_WAVELENGTHS = np.array([0.492, 0.560, 0.665, 0.704, 0.741, 0.783, 0.833, 0.865, 1.614, 2.202])
_AEROSOL = (_WAVELENGTHS / 0.492) ** -1.5
_MONTH, _LEAST_CLOUDY = 30, 5.0
"""Days of a composite that hold too few clear dates for a median, and how much oftener cloud is left in what was least cloudy then."""

_AT_ONCE = 64
"""Places whose states are seen at once."""

_SNOW = np.array([0.80, 0.80, 0.78, 0.77, 0.75, 0.73, 0.71, 0.69, 0.12, 0.10], np.float32)
_CLOUD = np.array([0.45, 0.44, 0.44, 0.45, 0.46, 0.47, 0.47, 0.48, 0.38, 0.30], np.float32)


@dataclass(frozen=True, slots=True)
class Place:
    """Place that series come from."""

    longitude: float
    latitude: float
    seed: int


@dataclass(frozen=True, slots=True)
class Residuals:
    """Standard deviations of what can't be known, reflectance or its logarithm; 0 leaves it out."""

    calibration: float = 0.03
    """Of a place's product, per band."""
    lighting: float = 0.05
    """Of a date, all bands alike: bidirectional effects."""
    band: float = 0.02
    """Of a date, per band."""
    aerosol: float = 0.008
    """Of a date, in the blue."""
    haze: float = 0.05
    """Share of the dates with four times as much, brighter only."""
    pixel: float = 0.02
    """Of a pixel and date, per band."""
    mixed: float = 0.3
    """Share of the pixels that hold a part of their neighbour."""
    cloud: float = 0.05
    """Share of pixels and dates with some cloud that no mask took out."""


NOTHING_UNKNOWN = Residuals(*(0.0,) * len(fields(Residuals)))


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSeries:
    """N pixels over T dates."""

    days: npt.NDArray[np.int64]
    """(T,): days of the year of harvest, from 1 on."""
    values: npt.NDArray[np.uint16]
    """(N, T, 10): reflectance x 10000 in the order of `CROP_BANDS`, 0 where nothing clear was seen."""
    crop: npt.NDArray[np.int64]
    """(N,): codes of `crops.CROPS`."""
    place: npt.NDArray[np.int64]
    """(N,): positions in the places asked for."""


def simulate(
    places: Sequence[Place],
    share: Mapping[int, float],
    fields_of_place: int,
    days: Sequence[int],
    year: int = 2019,
    *,
    crops: Mapping[int, Crop] = CROPS,
    window: int = 0,
    gaps: float = 0.1,
    residuals: Residuals | None = None,
) -> SimulatedSeries:
    """Series of so many fields of each place, on the same days of the year; those before it are 0 and less.

    ``share``: weights by code of the crop. ``window``: days that a composite is made of, 0 for single dates. ``gaps``: largest share of
    pixels and dates without a clear look, drawn by place.
    """
    grown = [_grown(place, share, fields_of_place, days, year, crops, window) for place in places]
    unknown = residuals or Residuals()
    if window >= _MONTH:
        unknown = replace(unknown, cloud=_LEAST_CLOUDY * unknown.cloud)
    values = _reflectance(grown).reshape(len(places), len(days), fields_of_place, len(CROP_BANDS)).swapaxes(1, 2)
    numbers = [_numbers(part, one, unknown, gaps) for part, one in zip(values, grown, strict=True)]
    return SimulatedSeries(
        np.array(days),
        np.concatenate(numbers),
        np.concatenate([one.crop for one in grown]),
        np.repeat(np.arange(len(places)), fields_of_place),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Grown:
    """The fields of a place on all dates, one date after the other."""

    random: np.random.Generator
    crop: npt.NDArray[np.int64]
    state: Growth
    moisture: Floats
    brightness: Floats
    angles: Floats
    """(N, 3): of the sun and the satellite, degrees."""
    snow: npt.NDArray[np.float64]
    """(T,): share of the ground."""
    satellite: str


def _grown(
    place: Place,
    share: Mapping[int, float],
    count: int,
    days: Sequence[int],
    year: int,
    crops: Mapping[int, Crop],
    window: int,
) -> _Grown:
    random = np.random.default_rng([place.seed, 0x5E81E5])
    climate = climate_near(place.longitude, place.latitude).varied(place.seed)
    series = weather(climate, year, place.seed)
    key = keys(place.seed, np.arange(count), 0xF1E1D)
    season = _season(random, key, share, crops)
    bright = soil_brightness(practice(climate, place.seed), key) * np.exp(0.05 * random.normal(size=(count, 1)))
    wetness = random.uniform(0.6, 1.0) * np.exp(0.2 * random.normal(size=count))
    vigour, closed = np.exp(0.10 * random.normal(size=count)), 1 - 0.02 * np.abs(random.normal(size=count))
    states, moist, zenith, snow = [], [], [], []
    for day in days:
        when = _seen_on(random, series, year, int(day), window, climate.latitude < 0)
        state = grow(season, series, when, crops=crops)
        state.leaf_area = state.leaf_area * vigour
        state.chlorophyll = state.chlorophyll * np.sqrt(vigour)
        state.cover = state.cover * closed
        states.append(state)
        moist.append(np.clip(series.surface_moisture[series.index(when)] * wetness, 0, 1))
        zenith.append(sun_zenith(abs(climate.latitude), when))
        snow.append(snow_cover(series, series.index(when)))
    angles = np.empty((len(days) * count, 3), np.float32)
    angles[:, 0] = np.repeat(zenith, count)
    angles[:, 1:] = random.uniform(0, 9), random.uniform(20, 160)
    return _Grown(
        random, season.now, _joined(states), np.concatenate(moist).astype(np.float32),
        np.tile(bright, (len(days), 1)).astype(np.float32), angles, np.array(snow),
        "S2A" if random.uniform() < 0.5 else "S2B",
    )  # fmt: skip


def _reflectance(grown: Sequence[_Grown]) -> Floats:
    """Of all places, in their order: many states at once are quicker than some."""
    size = len(grown[0].moisture)
    values = np.empty((len(grown), size, len(CROP_BANDS)), np.float32)
    for satellite in sorted({one.satellite for one in grown}):
        chosen = [number for number, one in enumerate(grown) if one.satellite == satellite]
        for start in range(0, len(chosen), _AT_ONCE):
            numbers = chosen[start : start + _AT_ONCE]
            part = [grown[number] for number in numbers]
            geometry = Geometry(*np.concatenate([one.angles for one in part]).T)
            moisture, brightness = (
                np.concatenate([getattr(one, name) for one in part]) for name in ("moisture", "brightness")
            )
            seen = reflectance(_joined([one.state for one in part]), moisture, brightness, geometry, satellite)
            values[numbers] = seen[:, _COLUMNS].reshape(len(part), size, -1)
    return values


def _numbers(values: Floats, grown: _Grown, residuals: Residuals, gaps: float) -> npt.NDArray[np.uint16]:
    measured = _disturbed(values, grown.snow, grown.random, residuals)
    numbers = np.clip(np.round(measured * 1e4), 1, 65534).astype(np.uint16)
    numbers[grown.random.uniform(size=numbers.shape[:2]) < gaps * grown.random.uniform()] = 0
    return numbers


def _seen_on(random: np.random.Generator, series: Weather, year: int, day: int, window: int, south: bool) -> date:
    """Day of the season that a value is of; a composite's is dry rather than wet, as clear days are."""
    candidates = []
    for _ in range(3 if window else 1):
        drawn = day + round(window * random.uniform(-0.4, 0.4))
        when = date(year, 1, 1) + timedelta(days=min(max(drawn, min(day, 1)), 365) - 1)
        if south:
            when = date(year, 1, 1) + timedelta(days=(when.timetuple().tm_yday + 182) % 365)
        candidates.append(when)
    return min(candidates, key=lambda when: float(series.surface_moisture[series.index(when)]))


def _season(
    random: np.random.Generator, key: npt.NDArray[np.uint64], share: Mapping[int, float], crops: Mapping[int, Crop]
) -> Season:
    codes = np.array(list(share))
    weights = np.array(list(share.values()), float)
    now = random.choice(codes, len(key), p=weights / weights.sum())
    annual = np.array([code for code in codes if crops[int(code)].habit == "annual"])
    if not len(annual):
        return Season(key, now, now, now)
    lasting = np.isin(now, annual, invert=True)
    around = [np.where(lasting, now, random.choice(annual, len(key))) for _ in range(2)]
    return Season(key, around[0], now, around[1])


def _joined(states: Sequence[Growth]) -> Growth:
    return Growth(
        **{field.name: np.concatenate([getattr(state, field.name) for state in states]) for field in fields(Growth)}
    )


def sun_zenith(latitude: float, day: date) -> float:
    """Degrees at half past ten by the sun, when Sentinel-2 passes; declination after Cooper (1969)."""
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day.timetuple().tm_yday) / 365)
    hour, north = math.radians(-22.5), math.radians(latitude)
    up = math.sin(north) * math.sin(declination) + math.cos(north) * math.cos(declination) * math.cos(hour)
    return min(math.degrees(math.acos(up)), 78.0)


def _disturbed(
    values: Floats, snow: npt.NDArray[np.float64], random: np.random.Generator, residuals: Residuals
) -> Floats:
    """What a product holds (N, T, 10) of surface reflectance (N, T, 10)."""
    count, dates, bands = values.shape
    neighbour = values[random.permutation(count)]
    part = np.where(random.uniform(size=count) < residuals.mixed, 0.35 * random.uniform(size=count) ** 2, 0)
    mixed = values + part[:, None, None] * (neighbour - values)
    lying = snow if random.uniform() < 0.5 else 0 * snow  # masks of some products take snow out
    white = lying[None, :, None] * random.uniform(0.3, 1.0, (count, 1, 1))
    mixed = mixed + white * (_SNOW - mixed)
    often = residuals.cloud * 5 * random.uniform() ** 4
    clouded = (random.uniform(size=(count, dates)) < often) * random.uniform(size=(count, dates))
    mixed = mixed + clouded[..., None] * (_CLOUD - mixed)
    scale = (
        residuals.calibration * random.normal(size=(1, 1, bands))
        + residuals.lighting * random.normal(size=(1, dates, 1))
        + residuals.band * random.normal(size=(1, dates, bands))
        + residuals.pixel * random.normal(size=(count, dates, bands))
    )
    air = residuals.aerosol * random.normal(size=(1, dates, 1))
    air = np.where(random.uniform(size=air.shape) < residuals.haze, 4 * np.abs(air), air)
    return np.asarray(np.maximum(mixed * np.exp(scale) + air * _AEROSOL, 1e-4), np.float32)
