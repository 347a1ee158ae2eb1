"""Overpasses against the metadata of real products: revolution, sun, line of sight, edge of the swath."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from defusedxml.ElementTree import parse
from shapely import Polygon
from shapely.geometry import box

from catalog.errors import ProductError, RequestError
from catalog.grid import Window
from catalog.orbits.tiles import Tile
from processors.simulation.mission.overpass import Overpass, absolute_orbit, home_zone, overpasses


def day(number: int, month: int = 6) -> datetime:
    return datetime(2019, month, number, tzinfo=UTC)


@pytest.fixture(scope="module")
def real(real_data: Path) -> list[tuple[Path, Overpass]]:
    """The real SAFE products, each with the overpass predicted within half an hour of it."""
    return list(_predicted(real_data / "safe"))


def _predicted(folder: Path) -> Iterator[tuple[Path, Overpass]]:
    for safe in sorted(folder.glob("*.SAFE")):
        tile = Tile.from_name(safe.name[39:44])
        sensed = datetime.strptime(safe.name[11:26], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        hour = timedelta(minutes=30)
        (found,) = (
            one for one in overpasses(tile.footprint, tile.epsg, sensed - hour, sensed + hour) if one.tile == tile
        )
        yield safe, found


def test_revolutions_are_numbered_as_in_the_names_of_real_granules(real: list[tuple[Path, Overpass]]) -> None:
    assert len(real) == 4
    for safe, found in real:
        (granule,) = (path.name for path in (safe / "GRANULE").iterdir())
        assert f"_A{found.absolute_orbit:06d}_" in granule
        assert f"_R{found.relative_orbit:03d}_" in safe.name
        assert found.platform == safe.name[:3]


def test_sun_and_line_of_sight_are_those_of_the_metadata(real: list[tuple[Path, Overpass]]) -> None:
    compared = 0
    for safe, found in real:
        document = parse(next(safe.glob("GRANULE/*/MTD_TL.xml"))).getroot()
        if (sun := next(document.iter("Mean_Sun_Angle"), None)) is None:  # one product lies there without its angles
            continue
        # The metadata's sun is that of the whole tile, not of its seen part.
        assert found.angles.sun_zenith == pytest.approx(float(sun.findtext("ZENITH_ANGLE")), abs=0.15)
        assert found.angles.sun_azimuth == pytest.approx(float(sun.findtext("AZIMUTH_ANGLE")), abs=0.6)
        views = [
            (float(view.findtext("ZENITH_ANGLE")), float(view.findtext("AZIMUTH_ANGLE")))
            for view in document.iter("Mean_Viewing_Incidence_Angle")
        ]
        zenith, azimuth = np.mean(views, axis=0)
        # Bands look up to a degree fore or aft; straight below, that alone decides the azimuth.
        assert found.angles.view_zenith == pytest.approx(zenith, abs=1.2)
        if zenith > 5:
            assert found.angles.view_azimuth == pytest.approx(azimuth, abs=5)
        compared += 1
    assert compared == 3


def test_the_swath_ends_where_real_products_end(real: list[tuple[Path, Overpass]]) -> None:
    shares = []
    for safe, found in real:
        text = next(safe.glob("MTD_MSIL*.xml")).read_text(encoding="utf-8")
        numbers = re.findall(r"<EXT_POS_LIST>(.*?)<", text)[0].split()
        outline = Polygon(zip(map(float, numbers[1::2]), map(float, numbers[::2]), strict=True))
        shared = outline.intersection(found.footprint).area / outline.union(found.footprint).area
        assert shared > 0.96
        shares.append(outline.area / found.tile.footprint.area)
    assert min(shares) < 0.65  # the comparison means something: edges of swaths are among them


def test_what_is_seen_of_a_window_doesnt_depend_on_the_window() -> None:
    tile = Tile.from_name("32UPU")
    partial = next(
        one
        for one in overpasses(tile.footprint, tile.epsg, day(1), day(12))
        if one.tile == tile and 0.2 < one.footprint.area / tile.footprint.area < 0.8
    )
    west, _, _, north = tile.bounds
    wide = Window(tile.epsg, west // 10, north // 10, 10_980, 1200)
    seen = partial.seen(wide)
    assert seen is not None
    (edges,) = np.nonzero(np.diff(seen[600].astype(int)))
    inner = Window(tile.epsg, wide.left + int(edges[0]) - 150, wide.top - 300, 333, 600)
    part = partial.seen(inner)
    assert part is not None
    rows, columns = wide.slices(inner)
    # Nodes lie elsewhere: the edge may be a pixel off.
    assert (part != seen[rows, columns]).mean() < 0.004
    outside = partial.seen(Window(tile.epsg, wide.left + (10_800 if seen[600, 0] else 0), wide.top, 60, 60))
    assert outside is not None
    assert not outside.any()


def test_overpasses_are_the_same_whatever_was_searched_for() -> None:
    small, large = box(10.02, 48.51, 10.04, 48.53), box(9.7, 48.2, 10.4, 48.9)
    found = list(overpasses(small, 32632, day(3), day(20)))
    more = list(overpasses(large, 32632, day(1), day(28)))
    assert found
    for one in found:
        (same,) = (
            other for other in more if (other.tile, other.absolute_orbit) == (one.tile, one.absolute_orbit)
            and other.platform == one.platform
        )  # fmt: skip
        assert (same.sensed, same.datatake_start, same.angles) == (one.sensed, one.datatake_start, one.angles)
        assert same.timeline == one.timeline
        again = Overpass.at(one.platform, one.relative_orbit, one.tile, one.sensed)
        assert (again.angles, again.datatake_start) == (one.angles, one.datatake_start)


def test_tiles_of_other_zones_are_left_to_their_own() -> None:
    border = box(5.8, 50.6, 6.3, 50.8)
    assert {one.tile.epsg for one in overpasses(border, 32631, day(1), day(8))} == {32631}
    assert {one.tile.epsg for one in overpasses(border, 32632, day(1), day(8))} == {32632}


def test_an_area_is_simulated_in_its_own_zone_where_that_has_tiles() -> None:
    assert home_zone(box(5.8, 48.6, 5.9, 48.8)) == 32631
    assert home_zone(box(10, 48.6, 10.1, 48.8)) == 32632
    # ESA cuts no tile of zone 32 here: those of zone 31 reach over.
    beyond = box(6.01, 50.69, 6.03, 50.71)
    assert home_zone(beyond) == 32631
    assert list(overpasses(beyond, 32631, day(1), day(8)))
    with pytest.raises(RequestError, match="outside UTM"):
        home_zone(box(10, 86, 11, 87))


def test_consecutive_revolutions_of_a_relative_orbit_are_143_apart() -> None:
    first = absolute_orbit("S2B", 51, day(1))
    assert absolute_orbit("S2B", 51, day(11)) == first + 143


def test_an_overpass_that_never_was_is_refused() -> None:
    tile = Tile.from_name("31UES")
    with pytest.raises(ProductError, match="didn't see 31UES on 2019-06-01 03:00"):
        Overpass.at("S2A", 51, tile, day(1) + timedelta(hours=3))
    with pytest.raises(ProductError, match="S2C didn't observe"):
        Overpass.at("S2C", 51, tile, day(1))
