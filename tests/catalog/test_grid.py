"""Cells and windows against odc-geo, pixels against hand-computed places."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.gridspec import GridSpec
from pyproj import Transformer
from rasterio import warp
from rasterio.transform import rowcol
from shapely.geometry import box

from catalog.errors import RequestError
from catalog.grid import (
    CELL,
    Cell,
    Window,
    cells_meeting,
    cells_of_window,
    holds_pixel,
    in_zone,
    inside,
    positions,
    to_lonlat,
    to_zone,
    utm_zone,
    window_around,
)

EPSG = 32631
GRID = GridSpec(f"EPSG:{EPSG}", tile_shape=(CELL, CELL), resolution=10)

columns, rows = st.integers(0, 80), st.integers(0, 900)
windows = st.builds(
    Window,
    st.just(EPSG),
    st.integers(0, 90_000),
    st.integers(3000, 900_000),
    st.integers(1, 3000),
    st.integers(1, 3000),
)


@given(columns, rows)
def test_cells_are_those_of_odc_geo(column: int, row: int) -> None:
    theirs = GRID[column, row]
    ours = Cell(EPSG, column, row).window
    assert theirs.shape == ours.shape
    assert tuple(theirs.affine)[:6] == tuple(ours.transform)[:6]


@given(st.floats(0, 900_000), st.floats(0, 9_000_000))
def test_the_cell_of_a_point_is_that_of_odc_geo(easting: float, northing: float) -> None:
    window = window_around(box(easting + 1, northing + 1, easting + 2, northing + 2), EPSG)
    if len(cells_of_window(window)) == 1:
        index = GRID.pt2idx(easting + 1.5, northing + 1.5)
        assert cells_of_window(window) == [Cell(EPSG, index.x, index.y)]


def test_the_designs_example_has_its_name() -> None:
    cell = Cell(32631, 56, 549)
    assert cell.name == "32631_0056_0549"
    assert cell.window.bounds == (573_440, 5_621_760, 583_680, 5_632_000)


@given(columns, rows)
def test_names_of_cells_go_round(column: int, row: int) -> None:
    cell = Cell(EPSG, column, row)
    assert Cell.from_name(cell.name) == cell


@pytest.mark.parametrize("name", ["32631_56_549", "32631_0056_0549.zarr", "", "32631_0056"])
def test_what_is_no_cells_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="32631_0056_0549"):
        Cell.from_name(name)


@given(windows)
def test_cells_cover_their_window_once(window: Window) -> None:
    parts = [cell.window.intersection(window) for cell in cells_of_window(window)]
    assert all(part is not None for part in parts)
    assert sum(part.width * part.height for part in parts if part) == window.width * window.height


@given(windows, st.integers(1, 1500))
def test_blocks_cut_a_window_without_gap_or_overlap(window: Window, size: int) -> None:
    seen = np.zeros(window.shape, np.uint8) if window.width * window.height < 1_000_000 else None
    total = 0
    for block in window.blocks(max(size, 200)):
        total += block.width * block.height
        if seen is not None:
            seen[window.slices(block)] += 1
    assert total == window.width * window.height
    assert seen is None or bool((seen == 1).all())


@given(windows, windows)
def test_intersections_are_symmetric_and_lie_in_both(one: Window, other: Window) -> None:
    shared = one.intersection(other)
    assert shared == other.intersection(one)
    expected = box(*one.bounds).intersection(box(*other.bounds)).area / 100
    assert (shared.width * shared.height if shared else 0) == expected


def test_windows_of_two_zones_have_no_intersection() -> None:
    with pytest.raises(ValueError, match=r"EPSG:32631.*EPSG:32632"):
        Window(32631, 0, 10, 5, 5).intersection(Window(32632, 0, 10, 5, 5))


def test_slices_count_rows_from_the_north() -> None:
    window = Window(EPSG, 100, 200, 50, 40)
    assert window.bounds == (1000, 1600, 1500, 2000)
    assert window.slices(Window(EPSG, 110, 195, 3, 2)) == (slice(5, 7), slice(10, 13))


def test_the_window_around_is_the_smallest() -> None:
    assert window_around(box(1000, 1600, 1500, 2000), EPSG) == Window(EPSG, 100, 200, 50, 40)
    assert window_around(box(1001, 1609, 1491, 1991), EPSG) == Window(EPSG, 100, 200, 50, 40)
    assert window_around(box(1004, 1604, 1005, 1605), EPSG) == Window(EPSG, 100, 161, 1, 1)


@given(windows)
def test_a_window_survives_longitude_and_latitude(window: Window) -> None:
    near = Window(EPSG, window.left % 40_000 + 30_000, window.top % 500_000 + 100_000, window.width, window.height)
    again = window_around(to_zone(to_lonlat(box(*near.bounds), EPSG), EPSG), EPSG)
    assert again == near


def test_only_cells_that_share_surface_meet() -> None:
    cell = Cell(EPSG, 56, 549)
    assert cells_meeting(box(*cell.window.bounds), EPSG) == [cell]
    east = cell.window.bounds[2]
    across = box(east - 5, 5_625_000, east + 5, 5_625_010)
    assert cells_meeting(across, EPSG) == [cell, Cell(EPSG, 57, 549)]
    corner = box(0, 0, 20_480, 20_480).difference(box(10_240, 10_240, 20_480, 20_480))
    assert Cell(EPSG, 1, 1) not in cells_meeting(corner, EPSG)


def test_a_pixel_is_inside_by_its_centre() -> None:
    window = Window(EPSG, 0, 3, 3, 3)
    assert inside(box(0, 0, 16, 30), window).tolist() == [[True, True, False]] * 3
    assert inside(box(0, 0, 30, 14), window).tolist() == [[False] * 3, [False] * 3, [True] * 3]


@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [
        (3.0, 0.0, 32631),
        (2.9, 50.0, 32631),
        (6.0, 50.0, 32632),
        (-180.0, 10.0, 32601),
        (179.99, 10.0, 32660),
        (180.0, 10.0, 32601),
        (18.4, -33.9, 32734),
        # Bergen lies in zone 31 by longitude, in 32 by the exception of south-west Norway.
        (5.3, 60.4, 32632),
        (2.9, 60.4, 32631),
        (5.3, 55.9, 32631),
        (5.3, 64.0, 32631),
        (12.0, 60.0, 32633),
        # Svalbard has the odd zones only.
        (8.0, 78.0, 32631),
        (9.0, 78.0, 32633),
        (15.6, 78.2, 32633),
        (20.9, 78.0, 32633),
        (21.0, 78.0, 32635),
        (33.0, 78.0, 32637),
        (41.9, 78.0, 32637),
        (42.0, 78.0, 32638),
        (8.0, 71.9, 32632),
    ],
)
def test_utm_zones(longitude: float, latitude: float, epsg: int) -> None:
    assert utm_zone(longitude, latitude) == epsg


@pytest.mark.parametrize("latitude", [84.1, -80.1])
def test_the_poles_have_no_zone(latitude: float) -> None:
    with pytest.raises(RequestError, match="outside UTM"):
        utm_zone(0, latitude)


def test_projection_is_that_of_proj() -> None:
    easting, northing = Transformer.from_crs(4326, EPSG, always_xy=True).transform(4.06, 50.745)
    moved = to_zone(box(4.06, 50.745, 4.07, 50.75), EPSG)
    assert min(abs(easting - x) + abs(northing - y) for x, y in shapely.get_coordinates(moved)) < 1e-6


@pytest.mark.parametrize(
    ("west", "south", "east", "north", "held"),
    [(-2, -2, 2, 2, False), (2, 2, 8, 8, True), (-250, -1.5, 250, 1.5, False), (-250, 3, 250, 6, True)],
)
def test_an_area_smaller_than_a_pixel_may_hold_no_centre(
    west: float, south: float, east: float, north: float, held: bool
) -> None:
    x, y = 574_980, 5_622_140  # a corner of four pixels
    area = to_lonlat(box(x + west, y + south, x + east, y + north), 32631)
    assert holds_pixel(area, 32631) is held


@given(
    st.sampled_from([(32631, 32632), (32632, 32631), (32636, 32736), (32725, 32625), (32601, 32660), (32631, 32631)]),
    st.integers(-20, 20),
    st.integers(100_000, 700_000),
    st.integers(1, 60),
)
def test_a_window_of_another_zone_holds_every_pixel_of_this_one(
    zones: tuple[int, int], column: int, row: int, size: int
) -> None:
    epsg, other = zones
    middle = 16_000 if epsg % 100 % 2 else 78_000  # near one edge of the zone or the other
    window = Window(epsg, middle + column * 50, row + (300_000 if epsg > 32700 else 0), size, 2 * size)
    around = in_zone(window, other)
    rows, columns = positions(window, around)
    assert rows.min() >= 0
    assert columns.min() >= 0
    assert rows.max() < around.height
    assert columns.max() < around.width
    if epsg == other:
        assert around == window
        np.testing.assert_array_equal(rows[:, 0], np.arange(window.height))
        np.testing.assert_array_equal(columns[0], np.arange(window.width))
    assert in_zone(window, other, 3).width == around.width + (0 if epsg == other else 6)


def test_pixels_are_found_in_another_zone_where_gdal_finds_them() -> None:
    window = Window(32632, 30_000, 550_000, 7, 5)
    other = in_zone(window, 32631)
    rows, columns = positions(window, other)
    for row, column in ((0, 0), (4, 6), (2, 3)):
        x, y = window.transform @ (column + 0.5, row + 0.5)
        (east,), (north,) = warp.transform("EPSG:32632", "EPSG:32631", [x], [y])
        assert (rows[row, column], columns[row, column]) == rowcol(other.transform, east, north)
