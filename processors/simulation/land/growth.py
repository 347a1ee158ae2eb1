"""State of a field on a day: leaves, their pigments and water, flowers, straw, bare soil, from sowing dates and weather.

A field's story runs from harvest to harvest. After a harvest come stubble, volunteers or a cover crop, tillage, then the next
crop; grass and woody plants have no such breaks. All draws hang on the field's key and the year, never on a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from processors.simulation.land.calendars import Calendar, calendar
from processors.simulation.land.crops import CROPS, FODDER, MEADOW, ROAD, VILLAGE, WOOD, Crop
from processors.simulation.land.practice import Practice, irrigated, practice
from processors.simulation.land.surfaces import Ground, Top
from processors.simulation.land.weather import TEMPERATE, WARMEST, Climate, Weather
from processors.simulation.noise.seeded import Keys, keys, normal, uniform

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SWARD = 0.75
"""Share of a closed sward that stands when its history begins."""


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
    ground: Floats
    """(N, 7): shares in the order of `Ground`."""
    top: Floats
    """(N, 5): shares of the canopy hidden by what `Top` lists."""
    stage: npt.NDArray[np.uint8]

    @classmethod
    def bare(cls, count: int) -> Growth:
        constant = {
            "leaf_area": 0.0, "chlorophyll": 45.0, "water": 0.016, "dry_matter": 0.005, "leaf_angle": 50.0, "brown": 0.0,
            "hotspot": 0.1, "structure": 1.5, "cover": 1.0, "shade": 1.0,
        }  # fmt: skip
        ground = np.zeros((count, len(Ground)))
        ground[:, Ground.SOIL] = 1
        arrays = {name: np.full(count, value) for name, value in constant.items()}
        return cls(**arrays, ground=ground, top=np.zeros((count, len(Top))), stage=np.full(count, Stage.BARE, np.uint8))

    def put(self, where: npt.NDArray[np.intp], part: Growth) -> None:
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(part, field.name)


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """The crops of N fields around a year: codes harvested the year before, in the year, and the year after."""

    key: Keys
    before: Ints
    now: Ints
    after: Ints


def grow(
    season: Season, weather: Weather, day: date, lag: float = 0.0, crops: Mapping[int, Crop] = CROPS
) -> Growth:
    """The fields on ``day`` of the weather's own year, ``lag`` days late."""
    index = weather.index(day)
    start, before, after = (
        weather.index(date(day.year + step, 1, 1)) if step < 1 else _length(weather) for step in (0, -1, 1)
    )
    harvest = _harvests(crops, season.now, season.after, season.key, weather, start, day.year)
    earlier = _harvests(crops, season.before, season.now, season.key, weather, before, day.year - 1)
    passed = index > harvest
    last = np.where(passed, harvest, earlier)
    previous = np.where(passed, season.now, season.before)
    crop = np.where(passed, season.after, season.now)
    year = np.where(passed, day.year + 1, day.year)
    new_year = np.where(passed, after, start)
    sown = np.maximum(new_year + _sowings(crops, crop, season.key, year, weather), last + 6)
    # What stood there already has no day of sowing.
    lasts = np.isin(crop, [kind.code for kind in crops.values() if kind.habit != "annual"])
    sown = np.where(lasts & (previous == crop), -10_000, sown)
    state = Growth.bare(len(crop))
    key = keys(0, season.key.view(np.int64), year, 3)
    place = practice(weather.climate, weather.seed)
    thirst = np.where(irrigated(place, season.key), 0.1, 1.0)
    waiting = np.flatnonzero(index < sown)
    residue = np.array([crops[int(code)].residue for code in previous])
    state.put(
        waiting,
        _between(
            residue[waiting], key[waiting], place, weather, index, last[waiting], sown[waiting], new_year[waiting]
        ),
    )
    for code in np.unique(crop):
        kind = crops[int(code)]
        here = np.flatnonzero((crop == code) & (index >= sown))
        if kind.habit == "annual":
            custom = _calendar(kind, weather)
            state.put(here, _annual(kind, custom, key[here], thirst[here], weather, index, sown[here], lag))
        elif kind.habit == "grass":
            state.put(here, _grass(kind, season.key[here], thirst[here], day.year, weather, index, sown[here], lag))
        elif kind.habit == "woody":
            state.put(here, _woody(kind, season.key[here], place, thirst[here], weather, index, start, lag))
        else:
            state.ground[here] = np.eye(len(Ground))[Ground.WATER]
        if kind.code >= WOOD:
            state.stage[here] = Stage.NONE
    return state


def _length(weather: Weather) -> int:
    return len(weather.temperature)


def _calendar(crop: Crop, weather: Weather) -> Calendar:
    return calendar(crop, weather.climate, weather.seed)


def _sowings(crops: Mapping[int, Crop], crop: Ints, key: Keys, year: npt.ArrayLike, weather: Weather) -> Ints:
    """Days from 1 January of the year of harvest."""
    kinds, which = np.unique(crop, return_inverse=True)
    customs = [_calendar(crops[int(code)], weather) for code in kinds]
    mean, spread = (np.array([getattr(custom, name) for custom in customs]) for name in ("sowing", "spread"))
    drawn = np.clip(normal(keys(0, key.view(np.int64), year, 1), 1), -2.2, 2.2)
    return np.round(mean[which] + spread[which] * drawn).astype(np.int64)


def _harvests(
    crops: Mapping[int, Crop], crop: Ints, following: Ints, key: Keys, weather: Weather, start: int, year: int
) -> Ints:
    """Index of the day of harvest in the year that begins at ``start``; of lasting plants its last, or September before another crop."""
    drawn = keys(0, key.view(np.int64), year, 2)
    broken = start + 250 + np.round(8 * normal(drawn, 4)).astype(np.int64)
    harvest = np.where(following == crop, start + 364, broken)
    sown = start + _sowings(crops, crop, key, year, weather)
    for code in np.unique(crop):
        kind = crops[int(code)]
        if kind.habit != "annual":
            continue
        here = np.flatnonzero(crop == code)
        custom = _calendar(kind, weather)
        gathered = weather.thermal_time(kind.base)
        spread = 1 + 0.02 * normal(drawn[here], 1) * kind.ragged
        wanted = gathered[np.maximum(sown[here], 0)] + kind.ripe * custom.ripe * spread
        ripe = np.searchsorted(gathered, wanted)
        # Machines and dry days are waited for; late in the year it is brought in, ripe or not.
        waited = ripe + np.round(10 * uniform(drawn[here], 2) ** 1.5)
        latest = start + custom.latest + np.round(6 * normal(drawn[here], 3))
        harvest[here] = np.minimum(waited, latest)
    return harvest


def _logistic(x: Floats) -> Floats:
    curve: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return curve


def _leaves(state: Growth, crop: Crop, key: Keys) -> None:
    gaps = _gaps(key, crop.ragged)
    state.leaf_angle[:] = crop.leaf_angle
    state.structure[:] = crop.structure
    state.hotspot[:] = crop.hotspot
    state.dry_matter[:] = crop.dry_matter
    state.water[:] = crop.water
    state.cover[:] = crop.cover * (1 - gaps)
    state.shade[:] = crop.shade


def _gaps(key: Keys, ragged: float) -> Floats:
    # Tramlines, missing plants, stems: a turbid medium of leaves alone would be greener than any field.
    return np.asarray(np.clip(0.065 * np.exp(0.45 * ragged * normal(key, 51)), 0.01, 0.3))


def _annual(
    crop: Crop, custom: Calendar, key: Keys, thirst: Floats, weather: Weather, index: int, sown: Ints, lag: float
) -> Growth:
    state = Growth.bare(len(key))
    _leaves(state, crop, key)
    gathered = weather.thermal_time(crop.base)
    today = np.interp(index + 1 - lag, np.arange(len(gathered)), gathered)
    warmth = np.maximum(today - gathered[np.maximum(sown, 0)], 0)
    # Fields differ in variety, nitrogen and soil.
    rise = crop.rise * custom.rise * (1 + 0.06 * crop.ragged * normal(key, 11))
    rate = crop.rate / custom.rise * np.exp(0.08 * normal(key, 12))
    peak = crop.peak * np.exp(0.18 * crop.ragged * normal(key, 13))
    fade = crop.fade * custom.ripe * (1 + 0.018 * crop.ragged * normal(key, 14))
    risen = (_logistic(rate * (warmth - rise)) - _logistic(-rate * rise)) / (1 - _logistic(-rate * rise))
    fade_rate = crop.fade_rate / custom.ripe
    dead = _logistic(fade_rate * (warmth - fade))
    yellowing = _logistic(0.75 * fade_rate * (warmth - fade + 1.3 / fade_rate))
    dry = thirst * _dryness(weather, index)
    grown = peak * risen
    state.leaf_area = grown * (1 - dead) * (1 - 0.25 * dry)
    young = 0.72 + 0.28 * np.minimum(grown / (0.6 * peak), 1)
    cold = np.clip((7 - weather.temperature[max(0, index - 19) : index + 1].mean()) / 10, 0, 0.5)
    pigment = crop.chlorophyll * np.exp(0.10 * normal(key, 15)) * young * (1 - 0.4 * cold)
    state.chlorophyll = pigment * (1 - 0.75 * yellowing)
    state.brown = 0.9 * yellowing
    state.water = crop.water * (1 - 0.45 * yellowing) * np.exp(0.08 * normal(key, 16))
    state.leaf_angle = state.leaf_angle + 4 * normal(key, 17)
    straw = 1 - np.exp(-0.55 * grown * dead)
    state.ground[:, Ground.STRAW] = np.maximum(straw, 0.07 * uniform(key, 18))
    state.ground[:, Ground.SOIL] = 1 - state.ground[:, Ground.STRAW]
    if crop.top is not None:
        edge = 0.03 / max(1.0, (crop.top_until - crop.top_from) / 400)
        scaled = warmth / custom.ripe
        shown = _logistic(edge * (scaled - crop.top_from)) * _logistic(edge * (crop.top_until - scaled))
        state.top[:, crop.top] = np.clip(crop.top_share * shown * (0.8 + 0.4 * uniform(key, 19)), 0, 0.9) * (1 - straw)
    state.stage = np.select(
        [grown < 0.15, dead > 0.25, risen < 0.5], [Stage.BARE, Stage.RIPENING, Stage.EMERGED], Stage.GROWN
    ).astype(np.uint8)
    return state


def _between(
    residue: Floats, key: Keys, place: Practice, weather: Weather, index: int, last: Ints, sown: Ints, new_year: Ints
) -> Growth:
    """State between two crops; ``residue`` is left of the one harvested on day ``last``, ``new_year`` that before the next harvest."""
    state = Growth.bare(len(key))
    since = (index - last).astype(float)
    gap = sown - last
    # A catch crop needs a free autumn; it ends by frost or plough between Christmas and March.
    early = last < new_year - 85
    catch = (uniform(key, 21) < place.catch_crops) & early & (gap > 150)
    tilled = last + 8 + np.round(45 * uniform(key, 22) ** 1.3).astype(np.int64)
    tilled = np.where(catch, last + 4 + np.round(18 * uniform(key, 22)).astype(np.int64), tilled)
    # Half of the late stubble stays over the winter.
    wintered = ~early & (gap > 90) & (uniform(key, 23) < 0.6)
    wintered |= ~catch & (gap > 30) & (uniform(key, 30) < place.untilled)
    tilled = np.where(wintered, sown - 12, np.minimum(tilled, sown - 3))
    ended = new_year + np.round(-12 + 85 * uniform(key, 24)).astype(np.int64)
    ended = np.minimum(ended, sown - 12)
    seedbed = sown - 3
    gathered = weather.thermal_time(4.0)
    size = len(gathered) - 1
    now = gathered[index]

    def warmth(day: Ints) -> Floats:
        return np.asarray(np.maximum(now - gathered[np.clip(day, 0, size)], 0), float)

    standing = index < tilled
    growing = catch & ~standing & (index < ended)
    ploughed = catch & (index >= ended)
    vigour = np.exp(0.25 * normal(key, 25))
    volunteers = place.weeds * (0.05 + 1.3 * uniform(key, 26) ** 3)
    weeds = volunteers * vigour * _logistic(0.014 * (warmth(np.where(standing, last, tilled)) - 330))
    weeds = np.where(ploughed, 0.7 * volunteers * _logistic(0.016 * (warmth(ended) - 150)), weeds)
    cover = 3.2 * vigour * _logistic(0.0125 * (warmth(tilled + 4) - 400))
    state.leaf_area = np.where(growing, cover, weeds) * (index < seedbed)
    state.chlorophyll = np.where(growing, 42.0, 36.0) * np.exp(0.12 * normal(key, 27))
    state.water[:] = 0.022
    state.leaf_angle[:] = np.where(growing, 40 + 8 * normal(key, 28), 48.0)
    state.structure[:] = 1.6
    state.cover = 1 - _gaps(key, 1.3)
    straw = np.where(standing, residue * np.exp(-since / 160), 0.18 * residue * np.exp(-since / 120))
    # Dead stems of a catch crop lie on the ground until the seedbed.
    straw = np.where(ploughed, 0.30 * (uniform(key, 29) < 0.5), straw)
    state.ground[:, Ground.STRAW] = np.where(index < seedbed, straw, 0.04)
    state.ground[:, Ground.SOIL] = 1 - state.ground[:, Ground.STRAW]
    state.stage = np.select([state.leaf_area > 0.8, standing], [Stage.COVER, Stage.STUBBLE], Stage.BARE).astype(
        np.uint8
    )
    return state


def _grass(
    crop: Crop, lasting: Keys, thirst: Floats, year: int, weather: Weather, index: int, sown: Ints, lag: float
) -> Growth:
    """Meadows, fodder, verges: growth by warmth and water, cut or grazed."""
    state = Growth.bare(len(lasting))
    _leaves(state, crop, lasting)
    state.stage[:] = Stage.PERENNIAL
    warm = _warm(weather)
    vigour = np.exp(0.22 * crop.ragged * normal(lasting, 31))
    height = np.where(uniform(lasting, 32) < 0.3, 0.62, 1.0) * vigour  # pastures are kept short
    if crop.code == FODDER:
        # Lucerne rests in winter, and stands grow thin with age.
        height = height * (0.25 + 0.75 * np.clip((warm[index] - 4) / 9, 0, 1))
        state.cover = np.clip(1 - 0.10 * np.exp(0.8 * normal(lasting, 48)), 0.4, 1)
    begin, cuts, swards = _swards(crop, lasting.tobytes(), thirst.tobytes(), year, weather, lag)
    sward = swards[index - begin]
    since_cut = np.min(np.where(cuts <= index, index - cuts, np.inf), axis=0)
    fresh_cut = np.exp(-since_cut / 7)
    cold = np.clip((7 - warm[index]) / 10, 0, 0.5)
    dry = np.clip(thirst * _dryness(weather, index) * np.exp(0.3 * normal(lasting, 33)), 0, 1)
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


@lru_cache(maxsize=16)
def _swards(
    crop: Crop, lasting: bytes, thirst: bytes, year: int, weather: Weather, lag: float
) -> tuple[int, Floats, npt.NDArray[np.float32]]:
    """First day of a history, days of the cuts (9, N), and the share of a closed sward (D, N) until the end of the year."""
    fields_, thirsty = np.frombuffer(lasting, np.uint64), np.frombuffer(thirst, np.float64)
    warm = _warm(weather)
    # What grows in a day, as a share of the way to a closed sward: a fortnight in May, two months in winter.
    pace = (0.14 if crop.code == FODDER else 0.08) * np.clip((warm - 2.0) / 11.0, 0.06, 1.0)
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
    history = np.empty((len(warm) - begin, len(fields_)), np.float32)
    for day in range(begin, len(warm)):
        dry = thirsty * weather.drought[day]
        sward += pace[day] * (1 - 0.85 * dry) * sward * (1.15 - sward)
        # Old leaves die off in winter and when water lacks.
        sward -= sward * (0.012 * dry + 0.0025 * (warm[day] < 6))
        cut = (cuts == day).any(axis=0)
        sward[cut] = np.minimum(sward[cut], 0.07 if crop.code == FODDER else 0.2)
        history[day - begin] = sward
    return begin, cuts, history


@lru_cache(maxsize=16)
def _warm(weather: Weather) -> Floats:
    """(D,): mean temperature of the twenty days before, °C."""
    return np.convolve(weather.temperature, np.ones(20) / 20)[: len(weather.temperature)]


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
    gathered = np.cumsum(np.maximum([climate.normal(day) - 4 for day in days], 0))

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
    return np.stack(cuts)


def _woody(
    crop: Crop, lasting: Keys, place: Practice, thirst: Floats, weather: Weather, index: int, start: int, lag: float
) -> Growth:
    """Trees and vines: leaves by warmth since 1 January, gone as autumn cools; a fifth of the woods is evergreen.

    What grows between rows is green while there is water: in summer by the ocean, in winter by the Mediterranean.
    """
    state = Growth.bare(len(lasting))
    _leaves(state, crop, lasting)
    state.stage[:] = Stage.PERENNIAL
    gathered = weather.thermal_time(crop.base)
    warmth = np.interp(index + 1 - lag, np.arange(len(gathered)), gathered) - gathered[start]
    day = index - start - lag
    kinds = normal(lasting, 41) + (crop.kinds / 0.12) * normal(keys(0, lasting.view(np.int64), 7), 1)
    out = _logistic(crop.rate * (warmth - crop.rise * np.exp(0.12 * kinds)))
    # Day length and warmth have a half each.
    falls = crop.fade + 0.5 * (weather.climate.turning(9.0) - TEMPERATE.turning(9.0)) + 6 * normal(lasting, 42)
    off = _logistic((day - falls) / 7)
    yellow = _logistic((day - falls + 14) / 9)
    evergreen = (uniform(lasting, 43) < 0.2) & (crop.code == WOOD)
    leafy = np.where(evergreen, 0.85, out * (1 - off))
    state.leaf_area = crop.peak * np.exp(0.12 * crop.ragged * normal(lasting, 44)) * leafy + 0.15
    state.chlorophyll = crop.chlorophyll * np.exp(0.1 * normal(lasting, 45)) * np.where(evergreen, 1, 1 - 0.6 * yellow)
    state.brown = np.where(evergreen, 0.15, 0.6 * yellow)
    state.shade = crop.shade * np.where(evergreen, 0.72, 1.0) * np.exp(0.05 * normal(lasting, 46))
    state.cover = np.clip(state.cover * np.exp(crop.cover_spread * normal(lasting, 47)), 0.05, 1.0)
    litter = 0.8 if crop.code == WOOD else 0.2
    sown_grass = np.zeros(len(lasting)) if crop.code == WOOD else 0.85 * place.floor * uniform(lasting, 49)
    # Water comes to the stems by pipes; some plantations are flooded.
    dry = np.where(uniform(lasting, 52) < 0.25, thirst, 1.0) * _dryness(weather, index)
    water = 1 - dry
    warm = float(_warm(weather)[index])
    grassy = sown_grass * np.clip(1.3 * water - 0.3, 0, 1) * (0.45 + 0.55 * np.clip((warm - 2) / 6, 0, 1))
    # Weeds come up on bare strips with the rain of autumn, and are sprayed or ploughed in spring.
    weedy = (1 - sown_grass) * np.clip(place.weeds * 0.7 * uniform(lasting, 50), 0, 0.9) * (crop.code != WOOD)
    rain_fed = 1 - _dryness(weather, index)
    in_season = np.where(day < 75 + 40 * uniform(lasting, 51), 1.0, _logistic((day - 320) / 10))
    weeds = weedy * in_season * np.clip(1.4 * rain_fed - 0.4, 0, 1) * np.clip((warm - 1) / 6, 0, 1)
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
        shown = _logistic(0.08 * (scaled - crop.top_from)) * _logistic(0.08 * (crop.top_until - scaled))
        state.top[:, crop.top] = crop.top_share * shown
    return state


def _dryness(weather: Weather, index: int) -> float:
    return float(weather.drought[max(0, index - 9) : index + 1].mean())
