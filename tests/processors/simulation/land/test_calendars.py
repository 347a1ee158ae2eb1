"""Climates, calendars, customs and varieties: what a land elsewhere has other than a temperate lowland."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.errors import RequestError
from processors.simulation.land.calendars import Calendar, calendar
from processors.simulation.land.climates import PLACES, climate_near
from processors.simulation.land.crops import CROPS
from processors.simulation.land.fits import ALL, fits, fitted_crops
from processors.simulation.land.practice import aridity, practice, soil_brightness
from processors.simulation.land.varieties import of_place, with_traits
from processors.simulation.land.weather import TEMPERATE, Climate, weather
from processors.simulation.noise.seeded import keys

DELTA, VALLEY, ONTARIO = climate_near(-91.0, 34.5), climate_near(-121.5, 38.8), climate_near(-81.0, 43.2)


def usual(code: int, climate: Climate) -> Calendar:
    """Mean over places."""
    drawn = [calendar(CROPS[code], climate, seed) for seed in range(40)]
    return Calendar(*(float(np.mean([getattr(one, name) for one in drawn])) for name in Calendar.__slots__))


def test_a_place_of_the_table_has_its_own_climate() -> None:
    for longitude, latitude, coldest, warmest, _, summer in PLACES[:5]:
        climate = climate_near(longitude, latitude)
        assert climate.mean == pytest.approx((coldest + warmest) / 2, abs=0.4)
        assert climate.swing == pytest.approx((warmest - coldest) / 2, abs=0.4)
        assert climate.summer_rain == pytest.approx(summer, abs=0.15)


def test_a_temperate_lowland_keeps_the_days_that_agronomy_gives() -> None:
    for code in (2, 3, 5, 6, 9, 13):
        made = usual(code, TEMPERATE)
        assert made.sowing == pytest.approx(CROPS[code].sowing, abs=6)
        assert made.ripe == pytest.approx(1, abs=0.08)


def test_spring_comes_first_to_the_south_and_last_inland() -> None:
    assert usual(3, DELTA).sowing < usual(3, TEMPERATE).sowing - 20
    assert usual(3, TEMPERATE).sowing < usual(3, ONTARIO).sowing
    # Usual planting dates of the statistical service (USDA, 2010): maize in April, soybeans a month later in the delta.
    assert 75 < usual(3, DELTA).sowing < 115
    assert usual(15, DELTA).sowing > usual(3, DELTA).sowing + 25
    assert usual(15, DELTA).spread > 1.5 * usual(15, ONTARIO).spread


def test_long_seasons_have_late_varieties_and_hard_winters_early_wheat() -> None:
    assert usual(3, DELTA).ripe > 1.25
    assert usual(15, DELTA).ripe > usual(3, DELTA).ripe
    assert usual(2, ONTARIO).sowing < usual(2, TEMPERATE).sowing
    assert usual(2, ONTARIO).ripe < 1
    assert usual(2, VALLEY).sowing > usual(2, TEMPERATE).sowing + 20


def test_rain_falls_when_it_does_there() -> None:
    summer = np.r_[152:244]
    dry, even = (
        np.mean([weather(climate, 2000 + 3 * turn, 5).rain[731:][summer].mean() for turn in range(8)])
        for climate in (VALLEY, replace(VALLEY, summer_rain=0.0))
    )
    assert dry < 0.2 * even


def test_dry_places_are_watered() -> None:
    assert aridity(TEMPERATE) < 0.1 < aridity(DELTA) < aridity(VALLEY)
    shares = [np.mean([practice(climate, seed).irrigated for seed in range(40)]) for climate in (TEMPERATE, VALLEY)]
    assert shares[0] < 0.2
    assert shares[1] > 0.8


def test_soils_differ_between_places_more_than_between_fields() -> None:
    fields = keys(1, np.arange(50))
    levels = np.log([soil_brightness(practice(TEMPERATE, seed), fields).mean(axis=1) for seed in range(40)])
    assert levels.mean(axis=1).std() > levels.std(axis=1).mean()


def test_traits_stay_possible() -> None:
    for code, crop in CROPS.items():
        for seed in range(20):
            grown = of_place(crop, seed)
            assert 15 <= grown.leaf_angle <= 80
            assert 0 < grown.cover <= 1
            assert grown.code == code
    late = with_traits(CROPS[3], {"fade": 2.0})
    assert late.fade / CROPS[3].fade == pytest.approx(late.ripe / CROPS[3].ripe)
    assert with_traits(CROPS[8], {"fade": 1.0}).fade == CROPS[8].fade + 6


def test_every_region_has_a_fit_that_left_it_out() -> None:
    known = fits()
    assert {"all", "without-arkansas", "without-california", "without-canada", "without-flanders"} == set(known)
    # Vines, lucerne and orchards were seen in California alone, potatoes and beet in Flanders.
    assert not {8, 14, 16} & set(known["without-california"])
    assert not {9, 13} & set(known["without-flanders"])
    assert fitted_crops(ALL)[15] != CROPS[15]
    assert fitted_crops("without-california")[8] == CROPS[8]
    with pytest.raises(RequestError, match="without-mars"):
        fitted_crops("without-mars")
