"""What lasts for years: meadows and fodder with their cuts, trees and vines with what grows between the rows."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from processors.simulation.land.crops import FODDER, MEADOW, ROAD, VILLAGE, WOOD, Crop
from processors.simulation.land.growth_state import Growth, Stage, dryness, leaves, logistic, warm
from processors.simulation.land.practice import Practice
from processors.simulation.land.surfaces import Ground
from processors.simulation.land.weather import TEMPERATE, WARMEST, Climate, Weather
from processors.simulation.noise.seeded import Keys, keys, normal, uniform

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SWARD = 0.75
"""Share of a closed sward that stands when its history begins."""


def grass(
    crop: Crop, lasting: Keys, thirst: Floats, year: int, weather: Weather, index: int, sown: Ints, lag: float
) -> Growth:
    """Meadows, fodder, verges: growth by warmth and water, cut or grazed."""
    state = Growth.bare(len(lasting))
    leaves(state, crop, lasting)
    state.stage[:] = Stage.PERENNIAL
    mild = warm(weather)
    vigour = np.exp(0.22 * crop.ragged * normal(lasting, 31))
    height = np.where(uniform(lasting, 32) < 0.3, 0.62, 1.0) * vigour  # pastures are kept short
    if crop.code == FODDER:
        # Lucerne rests in winter, and stands grow thin with age.
        height = height * (0.35 + 0.65 * np.clip((mild[index] - 5) / 9, 0, 1))
        state.cover = np.clip(1 - 0.10 * np.exp(0.8 * normal(lasting, 48)), 0.4, 1)
    begin, cuts, swards = _swards(crop, lasting.tobytes(), thirst.tobytes(), year, weather, lag)
    sward = swards[index - begin]
    since_cut = np.min(np.where(cuts <= index, index - cuts, np.inf), axis=0)
    fresh_cut = np.exp(-since_cut / 7)
    cold = np.clip((7 - mild[index]) / 10, 0, 0.5)
    dry = np.clip(thirst * dryness(weather, index) * np.exp(0.3 * normal(lasting, 33)), 0, 1)
    established = 1 - np.exp(-np.maximum(index - sown, 0) / 45)
    state.leaf_area = crop.peak * height * sward * established
    state.chlorophyll = crop.chlorophyll * np.exp(0.12 * normal(lasting, 34)) * (1 - 0.18 * cold - 0.35 * dry)
    state.brown = 0.18 + 0.25 * cold + 0.55 * dry
    state.water = crop.water * (1 - 0.35 * dry)
    state.leaf_angle = state.leaf_angle + 4 * normal(lasting, 35)
    dead = np.clip(0.32 + 0.18 * cold + 0.35 * fresh_cut + 0.3 * dry, 0, 0.9) * established
    state.ground[:, Ground.LITTER] = 0.5 * dead
    state.ground[:, Ground.STRAW] = 0.5 * dead
    state.ground[:, Ground.SOIL] = 1 - dead
    if crop.code == ROAD:
        state.ground[:] = np.eye(len(Ground))[Ground.ASPHALT]
    return state


@lru_cache(maxsize=32)
def _floor(weather: Weather, thirst: float) -> Floats:
    """(D,): share of the grass between rows that is green; it comes back slowly with warmth and rain, and withers in drought."""
    mild, green = warm(weather), np.empty(len(weather.temperature))
    share = 0.6
    for day in range(len(green)):
        dry = thirst * weather.drought[day]
        pace = 0.14 * min(max((mild[day] - 3) / 10, 0.0), 1.0) * (1 - dry)
        share += pace * (share + 0.03) * (1 - share) - 0.05 * dry * share - 0.001 * (mild[day] < 3) * share
        green[day] = share
    return green


@lru_cache(maxsize=16)
def _swards(
    crop: Crop, lasting: bytes, thirst: bytes, year: int, weather: Weather, lag: float
) -> tuple[int, Floats, npt.NDArray[np.float32]]:
    """First day of a history, days of the cuts (9, N), and the share of a closed sward (D, N) until the end of the year."""
    fields_, thirsty = np.frombuffer(lasting, np.uint64), np.frombuffer(thirst, np.float64)
    mild = warm(weather)
    # What grows in a day, as a share of the way to a closed sward: a fortnight in May, two months in winter.
    pace = 0.08 * np.clip((mild - 2.0) / 11.0, 0.06, 1.0)
    if crop.code == FODDER:
        pace = 0.14 * np.clip((mild - 5.0) / 10.0, 0.03, 1.0)
    begin = weather.index(date(year - 1, 1, 1))
    climate, key = weather.climate, weather.seed
    cuts = np.concatenate(
        [
            begin + _cuts(crop, fields_, year - 1, climate, key),
            weather.index(date(year, 1, 1)) + _cuts(crop, fields_, year, climate, key),
        ]
    )
    cuts = np.round(cuts + lag)
    sward = np.full(len(fields_), _SWARD)
    history = np.empty((len(mild) - begin, len(fields_)), np.float32)
    for day in range(begin, len(mild)):
        dry = thirsty * weather.drought[day]
        sward += pace[day] * (1 - 0.85 * dry) * sward * (1.15 - sward)
        # Old leaves die off in winter and when water lacks.
        sward -= sward * (0.012 * dry + 0.0025 * (mild[day] < 6))
        cut = (cuts == day).any(axis=0)
        sward[cut] = np.minimum(sward[cut], 0.07 if crop.code == FODDER else 0.2)
        history[day - begin] = sward
    return begin, cuts, history


def _cuts(crop: Crop, lasting: Keys, year: int, climate: Climate, seed: int) -> Floats:
    """(9, N): days from 1 January; infinite where there is no cut."""
    if crop.code not in (MEADOW, FODDER):
        return np.full((9, len(lasting)), np.inf)
    # Hay meadows are cut once or twice from June on, intensive ones four or five times from the end of April in a temperate
    # lowland. Warmth moves the first cut and shortens the pauses, each half as far as degree-days alone would.
    key = keys(0, lasting.view(np.int64), year, 4)
    custom = float(normal(np.atleast_1d(keys(seed, crop.code, 0xC07)), 1)[0])
    intensive = uniform(lasting, 36) < (0.95 if crop.code == FODDER else 0.5)
    days = np.arange(1, 300)
    gathered = np.cumsum(np.maximum([climate.normal(float(day)) - 4 for day in days], 0))

    def moved(day: float) -> float:
        warmth = TEMPERATE.heat(4.0, 1, day)
        return 0.5 * (day + min(float(np.searchsorted(gathered, warmth)), day + 60)) + 5 * custom

    day = np.where(intensive, moved(126) + 11 * normal(key, 37), moved(163) + 14 * normal(key, 37))
    usual = np.where(intensive, 37 + 4 * normal(key, 38), 68 + 10 * normal(key, 38))
    end = WARMEST + climate.turning(11.0)
    last = np.where(intensive, end, end - 35)
    cuts = []
    for turn in range(9):
        cuts.append(np.where(day < last, day + 3 * normal(key, 39 + turn), np.inf))
        warmth = np.clip(climate.mean + climate.swing * np.cos(2 * np.pi * (day - WARMEST) / 365.25) - 4, 5, 24)
        day = day + usual * (0.5 + 0.5 * 11.5 / warmth)
    if crop.code == FODDER:
        # Before winter most stands are cut or grazed once more.
        cuts[-1] = np.where(uniform(key, 61) < 0.7, end + 12 + 20 * uniform(key, 62), np.inf)
    return np.stack(cuts)


def woody(
    crop: Crop, lasting: Keys, place: Practice, thirst: Floats, weather: Weather, index: int, start: int, lag: float
) -> Growth:
    """Trees and vines: leaves by warmth since 1 January, gone as autumn cools; a fifth of the woods is evergreen.

    What grows between rows is green while there is water: in summer by the ocean, in winter by the Mediterranean.
    """
    state = Growth.bare(len(lasting))
    leaves(state, crop, lasting)
    state.stage[:] = Stage.PERENNIAL
    gathered = weather.thermal_time(crop.base)
    warmth = np.interp(index + 1 - lag, np.arange(len(gathered)), gathered) - gathered[start]
    day = index - start - lag
    kinds = normal(lasting, 41) + (crop.kinds / 0.12) * normal(keys(0, lasting.view(np.int64), 7), 1)
    out = logistic(crop.rate * (warmth - crop.rise * np.exp(0.12 * kinds)))
    # Day length and warmth have a half each.
    falls = crop.fade + 0.5 * (weather.climate.turning(9.0) - TEMPERATE.turning(9.0)) + 6 * normal(lasting, 42)
    off = logistic((day - falls) / 7)
    yellow = logistic((day - falls + 14) / 9)
    evergreen = (uniform(lasting, 43) < 0.2) & (crop.code == WOOD)
    leafy = np.where(evergreen, 0.85, out * (1 - off))
    state.leaf_area = crop.peak * np.exp(0.12 * crop.ragged * normal(lasting, 44)) * leafy + 0.15
    state.chlorophyll = crop.chlorophyll * np.exp(0.1 * normal(lasting, 45)) * np.where(evergreen, 1, 1 - 0.6 * yellow)
    state.brown = np.where(evergreen, 0.15, 0.6 * yellow)
    state.shade = crop.shade * np.where(evergreen, 0.72, 1.0) * np.exp(0.05 * normal(lasting, 46))
    age = np.minimum(0.1 + uniform(lasting, 56) / max(crop.young, 1e-3), 1.0)
    state.cover = np.clip(state.cover * age * np.exp(crop.cover_spread * normal(lasting, 47)), 0.05, 1.0)
    litter = 0.8 if crop.code == WOOD else 0.2
    sown_grass = np.zeros(len(lasting)) if crop.code == WOOD else 0.85 * place.floor * uniform(lasting, 49)
    # Water comes to the stems by pipes; some plantations are flooded.
    flooded = (uniform(lasting, 52) < 0.25) & (thirst < 1)
    green = np.where(flooded, _floor(weather, 0.1)[index], _floor(weather, 1.0)[index])
    mild = float(warm(weather)[index])
    # Where water is short the grass is ploughed in spring, elsewhere mown.
    ploughed = uniform(lasting, 55) < place.floor_ploughed
    left = np.where(ploughed, 0.15, 0.6 + 0.4 * uniform(lasting, 54))
    mown = np.where((day > 80 + 45 * uniform(lasting, 53)) & (day < 310), left, 1.0)
    grassy = sown_grass * green * mown
    # Weeds come up on bare strips with the rain of autumn, and are sprayed or ploughed in spring.
    weedy = (1 - sown_grass) * np.clip(place.weeds * 0.7 * uniform(lasting, 50), 0, 0.9) * (crop.code != WOOD)
    in_season = np.where(day < 75 + 40 * uniform(lasting, 51), 1.0, logistic((day - 320) / 10))
    weeds = weedy * in_season * _floor(weather, 1.0)[index] * np.clip((mild - 1) / 6, 0, 1)
    straw = (sown_grass - grassy) * 0.8
    bare = 1 - grassy - weeds - straw
    state.ground[:, Ground.LITTER] = litter * bare
    state.ground[:, Ground.SWARD] = grassy + weeds
    state.ground[:, Ground.STRAW] = straw
    state.ground[:, Ground.SOIL] = (1 - litter) * bare
    if crop.code == VILLAGE:
        roofs, gardens = 0.3 + 0.4 * uniform(lasting, 48), 0.25
        state.ground[:] = 0
        state.ground[:, Ground.ROOF] = roofs * (1 - gardens)
        state.ground[:, Ground.ASPHALT] = (1 - roofs) * (1 - gardens)
        state.ground[:, Ground.SWARD] = gardens
    if crop.top is not None:
        scaled = warmth * np.exp(-0.12 * kinds)
        shown = logistic(0.08 * (scaled - crop.top_from)) * logistic(0.08 * (crop.top_until - scaled))
        state.top[:, crop.top] = crop.top_share * shown
    return state
