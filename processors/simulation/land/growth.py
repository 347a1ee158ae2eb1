"""State of a field on a day: leaves, their pigments and water, flowers, straw, bare soil, from sowing dates and weather.

A field's story runs from harvest to harvest. After a harvest come stubble, volunteers or a cover crop, tillage, then the next
crop; grass and woody plants have no such breaks. All draws hang on the field's key and the year, never on a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from processors.simulation.land.calendars import Calendar, calendar
from processors.simulation.land.crops import CROPS, WOOD, Crop
from processors.simulation.land.growth_state import Growth, Stage, dryness, gaps, leaves, logistic
from processors.simulation.land.perennials import grass, woody
from processors.simulation.land.practice import Practice, irrigated, practice
from processors.simulation.land.surfaces import Ground
from processors.simulation.land.varieties import of_place
from processors.simulation.land.weather import Weather
from processors.simulation.noise.seeded import Keys, keys, normal, uniform

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """The crops of N fields around a year: codes harvested the year before, in the year, and the year after."""

    key: Keys
    before: Ints
    now: Ints
    after: Ints


def grow(season: Season, weather: Weather, day: date, lag: float = 0.0, crops: Mapping[int, Crop] = CROPS) -> Growth:
    """The fields on ``day`` of the weather's own year, ``lag`` days late."""
    index = weather.index(day)
    crops = {code: of_place(crops[code], weather.seed) for code in _codes(season)}
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
            state.put(here, grass(kind, season.key[here], thirst[here], day.year, weather, index, sown[here], lag))
        elif kind.habit == "woody":
            state.put(here, woody(kind, season.key[here], place, thirst[here], weather, index, start, lag))
        else:
            state.ground[here] = np.eye(len(Ground))[Ground.WATER]
        if kind.code >= WOOD:
            state.stage[here] = Stage.NONE
    return state


def _codes(season: Season) -> list[int]:
    return [int(code) for code in np.unique([season.before, season.now, season.after])]


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


def _annual(
    crop: Crop, custom: Calendar, key: Keys, thirst: Floats, weather: Weather, index: int, sown: Ints, lag: float
) -> Growth:
    state = Growth.bare(len(key))
    leaves(state, crop, key)
    gathered = weather.thermal_time(crop.base)
    today = np.interp(index + 1 - lag, np.arange(len(gathered)), gathered)
    warmth = np.maximum(today - gathered[np.maximum(sown, 0)], 0)
    # Fields differ in variety, nitrogen and soil.
    rise = crop.rise * custom.rise * (1 + 0.06 * crop.ragged * normal(key, 11))
    rate = crop.rate / custom.rise * np.exp(0.08 * normal(key, 12))
    peak = crop.peak * np.exp(0.18 * crop.ragged * normal(key, 13))
    fade = crop.fade * custom.ripe * (1 + 0.018 * crop.ragged * normal(key, 14))
    risen = (logistic(rate * (warmth - rise)) - logistic(-rate * rise)) / (1 - logistic(-rate * rise))
    fade_rate = crop.fade_rate / custom.ripe
    dead = logistic(fade_rate * (warmth - fade))
    yellowing = logistic(0.75 * fade_rate * (warmth - fade + 1.3 / fade_rate))
    dry = thirst * dryness(weather, index)
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
        shown = logistic(edge * (scaled - crop.top_from)) * logistic(edge * (crop.top_until - scaled))
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
    weeds = volunteers * vigour * logistic(0.014 * (warmth(np.where(standing, last, tilled)) - 330))
    weeds = np.where(ploughed, 0.7 * volunteers * logistic(0.016 * (warmth(ended) - 150)), weeds)
    cover = 3.2 * vigour * logistic(0.0125 * (warmth(tilled + 4) - 400))
    state.leaf_area = np.where(growing, cover, weeds) * (index < seedbed)
    state.chlorophyll = np.where(growing, 42.0, 36.0) * np.exp(0.12 * normal(key, 27))
    state.water[:] = 0.022
    state.leaf_angle[:] = np.where(growing, 40 + 8 * normal(key, 28), 48.0)
    state.structure[:] = 1.6
    state.cover = 1 - gaps(key, 1.3)
    straw = np.where(standing, residue * np.exp(-since / 160), 0.18 * residue * np.exp(-since / 120))
    # Dead stems of a catch crop lie on the ground until the seedbed.
    straw = np.where(ploughed, 0.30 * (uniform(key, 29) < 0.5), straw)
    state.ground[:, Ground.STRAW] = np.where(index < seedbed, straw, 0.04)
    state.ground[:, Ground.SOIL] = 1 - state.ground[:, Ground.STRAW]
    state.stage = np.select([state.leaf_area > 0.8, standing], [Stage.COVER, Stage.STUBBLE], Stage.BARE).astype(
        np.uint8
    )
    return state
