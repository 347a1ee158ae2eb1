"""Growth: calendars, weather, and curves that look like those of real crops."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from processors.simulation.land.appearance import Geometry, reflectance
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.land.growth import Season, grow
from processors.simulation.land.growth_state import Growth, Stage
from processors.simulation.land.surfaces import GROUND, Ground, ground
from processors.simulation.land.weather import Climate, Weather, weather
from processors.simulation.noise.seeded import keys

CLIMATE = Climate.at(51.0)
COUNT = 60


def season(code: int, before: int = 2, after: int = 2) -> Season:
    crops = [np.full(COUNT, value) for value in (before, code, after)]
    return Season(keys(1, np.arange(COUNT)), *crops)


def ndvi(code: int, day: date, **around: int) -> float:
    """Median over fields."""
    state = grow(season(code, **around), weather(CLIMATE, day.year, 1), day)
    flat = np.full(COUNT, 0.5, np.float32)
    seen = reflectance(state, flat, np.ones(COUNT, np.float32), Geometry(40.0), "S2A")
    return float(np.median((seen[:, 7] - seen[:, 3]) / (seen[:, 7] + seen[:, 3])))


def test_the_legend_of_pastis_is_whole() -> None:
    crops = [crop for crop in CROPS.values() if is_crop(crop.code)]
    assert [crop.code for crop in crops] == list(range(1, 19))
    assert all(crop.hcat and len(crop.hcat) == 10 for crop in crops)
    assert len({crop.name for crop in CROPS.values()}) == len(CROPS)


def test_degree_days_by_hand() -> None:
    series = Weather(date(2020, 1, 1), np.array([4.0, 12.0, 9.0]), *(np.zeros(3),) * 3)
    assert series.thermal_time(8.0).tolist() == [0, 0, 4, 5]


def test_a_day_has_one_weather_whoever_asks() -> None:
    early, late = weather(CLIMATE, 2019, 1), weather(CLIMATE, 2020, 1)
    day = date(2019, 5, 5)
    assert early.temperature[early.index(day)] == late.temperature[late.index(day)]
    assert early.rain[early.index(day)] == late.rain[late.index(day)]
    with pytest.raises(ValueError, match="2021-01-01"):
        early.index(date(2021, 1, 1))


def test_the_climate_is_that_of_its_latitude() -> None:
    years = [weather(CLIMATE, year, 5) for year in range(1990, 2020, 3)]
    assert np.mean([series.temperature.mean() for series in years]) == pytest.approx(CLIMATE.mean, abs=0.8)
    assert np.mean([series.rain.sum() / 3 for series in years]) == pytest.approx(CLIMATE.rain, rel=0.15)
    assert all(series.surface_moisture.min() >= 0 and series.surface_moisture.max() <= 1 for series in years)


def test_wet_soil_is_darker_most_in_the_short_wave() -> None:
    shares = np.eye(len(Ground), dtype=np.float32)[[Ground.SOIL, Ground.WATER]]
    one = np.ones(2, np.float32)
    dry, wet = ground(shares, 0 * one, one), ground(shares, one, one)
    np.testing.assert_allclose(dry, GROUND[[Ground.SOIL, Ground.WATER]])
    assert (wet[0] < dry[0]).all()
    assert wet[0, 12] / dry[0, 12] < wet[0, 3] / dry[0, 3]
    np.testing.assert_allclose(wet[1], dry[1])


def test_winter_wheat_through_its_year() -> None:
    sown, spring, ripe, stubble = (
        ndvi(2, day, before=9) for day in (date(2019, 1, 5), date(2019, 5, 15), date(2019, 8, 5), date(2019, 8, 30))
    )
    assert sown < 0.6
    assert 0.8 < spring < 0.95
    assert ripe < 0.4
    assert stubble < 0.6


def test_maize_is_bare_in_may_and_green_in_august() -> None:
    assert ndvi(3, date(2019, 5, 12)) < 0.35
    assert ndvi(3, date(2019, 8, 10)) > 0.75


def test_rapeseed_flowers_are_yellow() -> None:
    """Green and red rise against the leaves before them, blue doesn't."""
    when = date(2019, 4, 28)
    state = grow(season(5), weather(CLIMATE, 2019, 1), when)
    flat = np.full(COUNT, 0.5, np.float32)
    seen = np.median(reflectance(state, flat, flat * 2, Geometry(40.0), "S2A"), axis=0)
    state.top[:] = 0
    leaves = np.median(reflectance(state, flat, flat * 2, Geometry(40.0), "S2A"), axis=0)
    assert seen[2] > leaves[2] + 0.03
    assert seen[3] > leaves[3] + 0.03
    assert seen[1] - leaves[1] < 0.02


@pytest.mark.parametrize("code", sorted(CROPS))
def test_every_kind_has_a_possible_state_on_every_day(code: int) -> None:
    for month in range(1, 13):
        day = date(2019, month, 17)
        state = grow(
            season(code, before=3 if is_crop(code) else code, after=2 if is_crop(code) else code),
            weather(CLIMATE, 2019, 1),
            day,
        )
        np.testing.assert_allclose(state.ground.sum(axis=1), 1, atol=1e-9)
        assert (state.leaf_area >= 0).all()
        assert (state.leaf_area < 12).all()
        assert ((state.cover > 0) & (state.cover <= 1)).all()
        assert (state.top.sum(axis=1) <= 0.95).all()


def test_the_turn_of_the_year_is_no_break() -> None:
    """Two weathers and two calendars describe the same night."""
    for crops in ((9, 2, 2), (2, 3, 3), (1, 1, 1), (3, 3, 3), (2, 9, 2)):
        fields = keys(2, np.arange(COUNT))
        old, new, next_one = (np.full(COUNT, code) for code in crops)
        evening = grow(Season(fields, old, old, new), weather(CLIMATE, 2018, 1), date(2018, 12, 31))
        morning = grow(Season(fields, old, new, next_one), weather(CLIMATE, 2019, 1), date(2019, 1, 1))
        assert np.median(np.abs(evening.leaf_area - morning.leaf_area)) < 0.1


def test_harvest_ends_a_crop_before_the_next_is_sown() -> None:
    states = [
        grow(season(2, after=4), weather(CLIMATE, 2019, 1), date(2019, 6, 1) + timedelta(days=step))
        for step in range(0, 200, 10)
    ]
    stages = np.array([state.stage for state in states])
    assert (stages[0] == Stage.GROWN).mean() > 0.8
    assert (stages == Stage.STUBBLE).any(axis=0).mean() > 0.5
    assert (stages[-1] == Stage.EMERGED).mean() > 0.5


def test_bare_states_have_no_leaves() -> None:
    assert (Growth.bare(3).leaf_area == 0).all()
