"""Where satellites are: frames, folding, the reference ground track, and which elements apply."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import RequestError
from catalog.orbits.clock import seconds_of, time_of
from catalog.orbits.elements import Elements, read_elements
from catalog.orbits.orbit import Orbit, flights, nodes, reference_orbit, sidereal_angle
from catalog.orbits.reference_track import (
    CYCLE,
    CYCLE_ORBITS,
    ECCENTRICITY,
    FIRST_NODE,
    INCLINATION,
    NODE_LOCAL_TIME,
    STATIONS,
    node_longitude,
    relative_orbit,
)

Lines = Callable[..., tuple[str, str]]


def _date(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def test_sidereal_time_of_a_textbook() -> None:
    # Vallado (2007), Fundamentals of Astrodynamics and Applications, example 3-5: 1992-08-20 12:14 UT1, 152.578788 degrees
    seconds = np.array([seconds_of(datetime(1992, 8, 20, 12, 14, tzinfo=UTC))])
    assert np.degrees(sidereal_angle(seconds))[0] == pytest.approx(152.578788, abs=1e-5)


def test_time_goes_to_seconds_and_back() -> None:
    time = datetime(2023, 8, 15, 9, 57, 57, 246000, tzinfo=UTC)
    assert time_of(seconds_of(time)) == time


def test_relative_orbits_are_numbered_as_they_follow_each_other() -> None:
    assert [relative_orbit(node_longitude(number)) for number in range(1, 144)] == list(range(1, 144))
    # one revolution later the node lies 10/143 of a turn to the west
    assert (node_longitude(1) - node_longitude(2)) % 360 == pytest.approx(3600 / 143)


def test_the_reference_flies_every_relative_orbit_once_and_closes() -> None:
    orbit = reference_orbit("S2B", 6)
    start = orbit.elements.epoch_seconds - CYCLE / 2
    seconds = start + np.arange(5.0, CYCLE, 10.0)
    found = nodes(seconds, orbit.positions(seconds))
    assert sorted(node.relative_orbit for node in found) == list(range(1, 144))
    assert max(abs(node.offset) for node in found) < 0.005  # 0.5 km
    assert max(abs(node.local_time - NODE_LOCAL_TIME) for node in found) * 3600 < 1
    spacing = np.diff([node.time for node in found])
    assert spacing.mean() * CYCLE_ORBITS == pytest.approx(CYCLE, abs=0.5)


def test_the_reference_is_the_mean_of_the_published_elements(real_elements: list[Elements]) -> None:
    found = [Orbit(one).node for one in real_elements]
    assert all(Orbit(one).on_reference for one in real_elements)
    offsets = np.array([node.offset for node in found])
    assert abs(offsets.mean()) < 0.001
    assert np.abs(offsets).max() < 0.02  # 2 km
    times = np.array([node.local_time for node in found])
    assert np.median(times) == pytest.approx(NODE_LOCAL_TIME, abs=0.0005)
    assert np.mean([one.satrec.inclo for one in real_elements]) == pytest.approx(np.radians(INCLINATION), abs=1e-5)
    assert np.mean([one.satrec.ecco for one in real_elements]) == pytest.approx(ECCENTRICITY, abs=1e-6)
    assert -180 <= FIRST_NODE <= 180


def test_every_published_set_stands_where_the_table_of_stations_says(real_elements: list[Elements]) -> None:
    for one in real_elements:
        (station,) = [each for each in STATIONS if each.platform == one.platform and each.holds(one.epoch)]
        assert Orbit(one).day == station.day


@pytest.mark.parametrize(
    "product",
    [
        "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU",
        "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM",
        "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF",
        "S2A_MSIL2A_20230815T095031_N0509_R079_T33TWL",
        "S2A_MSIL2A_20230818T100031_N0509_R122_T33TWL",
    ],
)
def test_datatakes_of_real_products_are_on_their_relative_orbit(product: str) -> None:
    parts = product.split("_")
    start = datetime.strptime(parts[2] + "Z", "%Y%m%dT%H%M%S%z")
    (flight,) = [one for one in flights(start, start + timedelta(hours=1)) if one.platform == parts[0]]
    # the last ascending node before the datatake began
    seconds = seconds_of(start) + np.arange(-6200.0, 0.0, 10.0)
    assert f"R{nodes(seconds, flight.orbit.positions(seconds))[-1].relative_orbit:03d}" == parts[4]


def test_names_of_the_real_products_are_those_tested_here(real_data: Path) -> None:
    names = {folder.name for folder in (real_data / "safe").glob("*.SAFE")}
    assert {re.sub(r".*_(R\d+)_.*", r"\1", name) for name in names} == {"R023", "R030", "R122"}


def test_folding_by_whole_cycles_changes_nothing(elements_of_2023: list[Elements]) -> None:
    orbit = Orbit(elements_of_2023[0])
    seconds = orbit.elements.epoch_seconds + np.array([100.0, 50_000.0, -300_000.0])
    for cycles in (-150, -1, 40):
        np.testing.assert_allclose(orbit.positions(seconds + cycles * CYCLE), orbit.positions(seconds), atol=1e-3)


def test_reference_and_elements_agree_along_the_track(elements_of_2023: list[Elements]) -> None:
    for one in elements_of_2023:
        orbit = Orbit(one)
        reference = reference_orbit(one.platform, orbit.day)
        seconds = one.epoch_seconds + np.linspace(-4, 4, 999) * 86400
        apart = np.linalg.norm(orbit.positions(seconds) - reference.positions(seconds), axis=1)
        assert apart.max() < 15 * 7.5  # 15 s of flight


def test_who_flies_when() -> None:
    def flying(start: datetime, end: datetime) -> list[tuple[str, int]]:
        return [(one.platform, one.orbit.day) for one in flights(start, end)]

    assert flying(_date(2016, 5, 1), _date(2016, 6, 1)) == [("S2A", 1)]
    assert flying(_date(2019, 1, 1), _date(2020, 1, 1)) == [("S2A", 1), ("S2B", 6)]
    assert flying(_date(2026, 1, 1), _date(2027, 1, 1)) == [("S2B", 6), ("S2C", 1), ("S2A", 3)]
    # while S2A moved, nobody says where it was
    assert flying(_date(2025, 2, 1), _date(2025, 3, 1)) == [("S2B", 6), ("S2C", 1)]
    change = flights(_date(2025, 1, 1), _date(2025, 4, 1))
    assert [(one.platform, one.start.date().isoformat(), one.end.date().isoformat()) for one in change] == [
        ("S2A", "2025-01-01", "2025-01-21"),
        ("S2B", "2025-01-01", "2025-04-01"),
        ("S2C", "2025-01-21", "2025-04-01"),
        ("S2A", "2025-03-13", "2025-04-01"),
    ]
    with pytest.raises(RequestError, match=r"no Sentinel-2 satellite observed between 2014-01-01.*began on 2015-07-04"):
        flights(_date(2014, 1, 1), _date(2014, 2, 1))


def test_elements_stand_for_their_platform_and_the_reference_for_the_others(
    tmp_path: Path, synthetic_lines: Lines
) -> None:
    near, far = synthetic_lines("S2B"), synthetic_lines("S2B", days=400)
    file = tmp_path / "b.tle"
    file.write_text("\n".join([*near, *far]))
    origins = {
        one.platform: one.orbit.elements.origin
        for one in flights(_date(2024, 9, 1), _date(2024, 10, 1), read_elements(file))
    }
    assert origins == {"S2A": "reference orbit", "S2B": f"{file}, line 1"}


def test_real_elements_of_a_satellite_that_was_moved_are_refused(real_elements: list[Elements]) -> None:
    moved = [one for one in real_elements if one.platform == "S2A" and one.epoch.year == 2026]
    with pytest.raises(RequestError) as caught:
        flights(_date(2023, 8, 1), _date(2023, 9, 1), moved)
    assert "no elements given for S2A apply from 2023-08-01 to 2023-09-01" in str(caught.value)
    assert "not at the place it has from 2015-07-04 to 2025-01-21" in str(caught.value)
    assert "sentinel2_historic.tle, line" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"day": 4}, "on day 4 of the cycle, not 6: the satellite was moved"),
        ({"motion": 1.001}, "off the reference ground track"),
    ],
)
def test_elements_elsewhere_serve_five_days_only(
    change: dict[str, float], reason: str, tmp_path: Path, synthetic_lines: Lines
) -> None:
    file = tmp_path / "moved.tle"
    file.write_text("\n".join(synthetic_lines("S2B", **{"day": 6, **change})))
    sets = read_elements(file)
    epoch = sets[0].epoch
    near = flights(epoch - timedelta(days=2), epoch + timedelta(days=4), sets)
    assert next(one for one in near if one.platform == "S2B").orbit.elements is sets[0]
    with pytest.raises(RequestError, match=reason):
        flights(epoch, epoch + timedelta(days=6), sets)


def test_elements_that_fall_from_the_sky_are_refused(tmp_path: Path, synthetic_lines: Lines) -> None:
    file = tmp_path / "low.tle"
    file.write_text("\n".join(synthetic_lines("S2B", motion=1.25)))
    (fallen,) = read_elements(file)
    with pytest.raises(RequestError, match=r"low\.tle, line 1: these elements can't be propagated"):
        flights(fallen.epoch, fallen.epoch + timedelta(days=30), [fallen])
