"""Passes against real acquisitions: dates, times, satellites, orbits, and how much of a tile is seen."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import LineString, Point, box, shape

from catalog.errors import RequestError
from catalog.orbits.elements import Elements
from catalog.orbits.orbit import Flight, flights, reference_orbit
from catalog.orbits.reference_track import CYCLE, CYCLE_DAYS
from catalog.orbits.sun import sun_angles
from catalog.orbits.swath import HALF_SWATH, Pass, approaches, earth_fixed, passes_over, track_of
from catalog.orbits.tiles import Tile

TILE = "33TWM"


def _date(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def _times(passes: list[Pass], name: str) -> dict[str, tuple[Pass, datetime]]:
    """By date: the pass and the sensing time of one tile."""
    return {f"{tile.time:%Y-%m-%d}": (one, tile.time) for one in passes for tile in one.tiles if tile.name == name}


@pytest.fixture(scope="module", params=["elements", "reference"])
def sets(request: pytest.FixtureRequest, elements_of_2023: list[Elements]) -> list[Elements]:
    """What the orbits are made from: the real elements, or nothing."""
    return elements_of_2023 if request.param == "elements" else []


def test_a_tile_is_imaged_on_the_real_dates(sets: list[Elements], real_data: Path) -> None:
    # the catalogue's own period: the items' tile was imaged five times in it
    found = _times(
        passes_over(flights(_date(2023, 8, 10), _date(2023, 8, 21), sets), Tile.from_name(TILE).footprint), TILE
    )
    assert {date: (one.platform, one.relative_orbit) for date, (one, _) in found.items()} == {
        "2023-08-10": ("S2B", "R079"),
        "2023-08-13": ("S2B", "R122"),
        "2023-08-15": ("S2A", "R079"),
        "2023-08-18": ("S2A", "R122"),
        "2023-08-20": ("S2B", "R079"),
    }
    extent = json.loads((real_data / "tiles-33TWL-33TWM/sentinel-2-l2a/collection.json").read_text())["extent"]
    first, last = (datetime.fromisoformat(text) for text in extent["temporal"]["interval"][0])
    assert (f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}") == (min(found), max(found))


def test_times_orbits_sun_and_share_of_real_items(sets: list[Elements], real_data: Path) -> None:
    items = sorted((real_data / "tiles-33TWL-33TWM/sentinel-2-l2a").glob("*/*.json"))
    assert len(items) == 4
    for file in items:
        said = json.loads(file.read_text(encoding="utf-8"))["properties"]
        sensed = datetime.fromisoformat(said["datetime"])
        platform, orbit, name = re.findall(r"(S2.)_.*_(R\d+)_T(\w+?)_", said["s2:product_uri"])[0]
        area = Tile.from_name(name).footprint
        (one,) = passes_over(flights(sensed - timedelta(hours=3), sensed + timedelta(hours=3), sets), area)
        (tile,) = [tile for tile in one.tiles if tile.name == name]
        assert (one.platform, one.relative_orbit) == (platform, orbit)
        assert abs((tile.time - sensed).total_seconds()) < 15
        assert tile.imaged == pytest.approx(1 - said["s2:nodata_pixel_percentage"] / 100, abs=0.04)
        assert one.sun_elevation == pytest.approx(said["view:sun_elevation"], abs=0.5)


def test_two_years_of_flanders(sets: list[Elements], real_data: Path) -> None:
    area = shape(json.loads((real_data / "flanders-2019/aoi.geojson").read_text())["features"][0]["geometry"])
    found = _times(passes_over(flights(_date(2018, 8, 1), _date(2019, 12, 1), sets), area), "31UES")
    items = sorted((real_data / "flanders-2019/sentinel-2-l2a").glob("*/*.json"))
    times = [datetime.fromisoformat(json.loads(file.read_text())["properties"]["datetime"]) for file in items]
    assert len(times) == 72
    for sensed in times:
        one, predicted = found[f"{sensed:%Y-%m-%d}"]
        late = (predicted - sensed).total_seconds()
        assert one.relative_orbit == "R051"
        # those before seem to carry the datatake's start
        assert abs(late) < 30 if sensed >= _date(2018, 11, 12) else -30 < late < 8 * 60


@pytest.mark.parametrize(
    ("name", "sensed", "platform", "orbit"),
    [
        ("29UNU", "2022-10-05T11:56:49Z", "S2A", "R023"),
        ("34UCF", "2023-08-23T10:05:00Z", "S2B", "R122"),
        ("56JMM", "2018-06-29T00:05:00Z", "S2A", "R030"),
    ],
)
def test_tiles_of_real_products_are_seen_by_their_satellite_on_their_orbit(
    name: str, sensed: str, platform: str, orbit: str
) -> None:
    # Of the first the metadata say the tile's own time; of the others the datatake's start, some minutes before.
    near = datetime.fromisoformat(sensed)
    flying = flights(near - timedelta(minutes=5), near + timedelta(minutes=5))
    (one,) = passes_over(flying, Tile.from_name(name).footprint)
    assert (one.platform, one.relative_orbit) == (platform, orbit)
    if name == "29UNU":
        (tile,) = [tile for tile in one.tiles if tile.name == name]
        assert abs((tile.time - near).total_seconds()) < 30
        assert tile.imaged == pytest.approx(0.6, abs=0.1)  # the product has 40 % without data, at the swath's edge


def test_first_summer_of_2a(real_data: Path) -> None:
    items = sorted((real_data / "slovenia-l1c-2015/sentinel-2-l1c").glob("*/*.json"))
    found = _times(passes_over(flights(_date(2015, 7, 5), _date(2015, 9, 15)), Tile.from_name(TILE).footprint), TILE)
    assert len(items) == 5
    for file in items:
        sensed = datetime.fromisoformat(json.loads(file.read_text())["properties"]["datetime"])
        assert -8 * 60 < (sensed - found[f"{sensed:%Y-%m-%d}"][1]).total_seconds() < 30


@pytest.mark.parametrize(("latitude", "days"), [(0, 4.7), (40, 3.6), (45, 3.3), (50, 3.0), (60, 2.3)])
def test_mean_revisit_of_two_satellites(latitude: float, days: float) -> None:
    count = 360
    places = earth_fixed(np.arange(count) * 360.0 / count, np.full(count, float(latitude)))
    seen: list[list[float]] = [[] for _ in range(count)]
    for platform, day in (("S2A", 1), ("S2B", 6)):
        for approach in approaches(track_of(reference_orbit(platform, day)), places):
            for index in np.flatnonzero(approach.distances <= HALF_SWATH):
                seen[index].append(float(approach.seconds[index]) % CYCLE)
    assert CYCLE_DAYS / np.mean([len(times) for times in seen]) == pytest.approx(days, abs=0.2)
    gaps = [np.diff([*sorted(times), min(times) + CYCLE]).max() for times in seen]
    assert max(gaps) < 5 * 86400 + 60


def test_the_nearest_approach_is_the_finest_search_s() -> None:
    track = track_of(reference_orbit("S2B", 6))
    orbit = reference_orbit("S2B", 6)
    for longitude, latitude in ((4.06, 50.75), (-60.0, -3.0), (24.0, 68.0)):
        place = earth_fixed(np.array([longitude]), np.array([latitude]))
        for approach in approaches(track, place):
            fine = approach.seconds[0] + np.arange(-40.0, 40.0, 0.05)
            positions = orbit.positions(fine)
            # the point below, by the satellite's geocentric direction turned to geodetic latitude
            x, y, z = positions.T
            flat = np.arctan2(z, np.hypot(x, y) * (1 - 0.00669437999014 * 6378.137 / np.linalg.norm(positions, axis=1)))
            below = earth_fixed(np.degrees(np.arctan2(y, x)), np.degrees(flat))
            distances = np.linalg.norm(below - place, axis=1)
            assert fine[distances.argmin()] == pytest.approx(approach.seconds[0], abs=0.3)
            assert distances.min() == pytest.approx(approach.distances[0], abs=0.5)


def test_only_by_day_and_only_descending() -> None:
    winter = passes_over(flights(_date(2023, 12, 15), _date(2023, 12, 31)), Point(25.0, 69.5))
    summer = passes_over(flights(_date(2023, 6, 15), _date(2023, 7, 1)), Point(25.0, 69.5))
    assert winter == []
    assert len(summer) > 8
    assert len(passes_over(flights(_date(2023, 12, 15), _date(2023, 12, 31)), Point(25.0, 69.5), min_sun=-30)) == len(
        summer
    )
    for one in summer:
        zenith, _ = sun_angles(one.time, 25.0, 69.5)
        assert one.sun_elevation == pytest.approx(90 - zenith, abs=0.3)
        local_noon = one.time + timedelta(hours=25 / 15)
        assert 9 < local_noon.hour < 13  # the ascending half comes in the evening


def test_shares_of_an_area_and_passes_at_the_ends_of_the_period() -> None:
    flying = flights(_date(2023, 8, 10), _date(2023, 8, 20))
    small, wide = box(15.5, 46.4, 15.6, 46.5), box(13, 45.5, 17, 46.5)
    assert {one.covered for one in passes_over(flying, small)} == {1.0}
    shares = [one.covered for one in passes_over(flying, wide)]
    assert 0 < min(shares) < max(shares) < 1
    line = passes_over(flying, LineString([(10, 46), (18, 46)]))
    assert {one.relative_orbit for one in line} == {
        one.relative_orbit for one in passes_over(flying, box(10, 45.99, 18, 46.01))
    }
    for one in passes_over(flying, wide)[:3]:
        assert one.time == min(tile.time for tile in one.tiles)
        # the end is exclusive, the start isn't
        alone = [Flight(each.orbit, one.time, one.time + timedelta(seconds=1), each.station) for each in flying]
        before = [Flight(each.orbit, one.time - timedelta(seconds=1), one.time, each.station) for each in flying]
        assert passes_over(alone, wide) == [one]
        assert passes_over(before, wide) == []


def test_places_by_the_antimeridian_and_near_the_pole() -> None:
    flying = flights(_date(2023, 6, 10), _date(2023, 6, 20))
    near = [passes_over(flying, Point(longitude, -17.0)) for longitude in (-179.9999, 180.0, 179.9999)]
    assert len({tuple((one.time.replace(microsecond=0), one.platform) for one in each) for each in near}) <= 2
    assert [len(each) for each in near] == [len(near[0])] * 3
    assert len(passes_over(flying, Point(-40.0, 82.5))) > 10


def test_areas_beyond_the_grid_or_too_large_are_refused() -> None:
    flying = flights(_date(2023, 6, 10), _date(2023, 6, 20))
    with pytest.raises(RequestError, match="no tile of Sentinel-2 holds it"):
        passes_over(flying, Point(0, 88))
    with pytest.raises(RequestError, match=r"it takes \d+ tiles, over the limit of 400"):
        passes_over(flying, box(-10, 36, 30, 60))
