"""Areas all over the Earth on their grid, and what is too much of them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapes_kit
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from catalog.antimeridian import cut, unbroken
from catalog.area import area_km2, parse_area
from catalog.area_points import squares_around
from catalog.errors import RequestError
from catalog.grid import CELL, Cell, inside, to_lonlat
from catalog.zone import Zone, group_windows


@st.composite
def areas(draw: st.DrawFn) -> Polygon | MultiPolygon:
    """Areas of some metres to some 30 km, anywhere in UTM, often at the edges of its parts."""
    longitude = draw(
        st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 3.0, 6.0, 12.0, 9.0, 21.0, 33.0, 42.0]))
    )
    latitude = draw(st.one_of(st.floats(-79, 83), st.sampled_from([0.0, 56.0, 64.0, 72.0, 81.0, 83.9])))
    radius = 10 ** draw(st.floats(-4, -0.7))
    squeeze = 1 / max(0.1, np.cos(np.radians(latitude)))
    star = draw(shapes_kit.stars(0, 0, radius))
    moved = shapely.transform(star, lambda xy: xy * [squeeze, 1] + [longitude, latitude])
    return cut(moved)  # type: ignore[return-value]


def check_place(area: Polygon | MultiPolygon) -> None:
    zone = Zone.of(parse_area(mapping(area)))
    zone.check_work(2500)
    geometry, window = zone.geometry, zone.window
    # One piece again, whose surface is the one on the ellipsoid, within the distortion of the zone.
    assert geometry.is_valid
    assert geometry.area / 1e6 == pytest.approx(area_km2(area), rel=0.02)
    west, south, east, north = window.bounds
    assert box(west - 1, south - 1, east + 1, north + 1).contains(geometry)
    # Cells cover it, and their names say which they are.
    covered = shapely.union_all([box(*cell.window.bounds) for cell in zone.cells])
    assert geometry.difference(covered.buffer(0.01)).area == pytest.approx(0, abs=1e-3)
    for cell in zone.cells:
        assert Cell.from_name(cell.name) == cell
        assert "/" not in cell.name
        assert cell.window.width == CELL
    assert zone.groups == [window]
    # And back, to where it came from.
    back = to_lonlat(geometry, zone.epsg)
    assert back.bounds[0] >= -180
    assert back.bounds[2] <= 180
    assert unbroken(back).symmetric_difference(unbroken(zone.area)).area < 1e-9


@given(areas())
@settings(max_examples=60)
def test_an_area_anywhere_has_a_place_on_the_grid(area: Polygon | MultiPolygon) -> None:
    check_place(area)


@pytest.mark.slow
@given(areas())
@settings(max_examples=4000)
def test_an_area_anywhere_has_a_place_on_the_grid_many_times(area: Polygon | MultiPolygon) -> None:
    check_place(area)


def test_across_the_equator_northings_go_on_in_the_zone_of_the_centre() -> None:
    north, south = (Zone.of(box(37.07, low, 37.076, high)) for low, high in ((-0.002, 0.004), (-0.004, 0.002)))
    assert (north.epsg, south.epsg) == (32637, 32737)
    assert [cell.row for cell in north.cells] == [-1, 0]
    assert [cell.name for cell in north.cells] == ["32637_0027_-0001", "32637_0027_0000"]
    assert north.window.bottom < 0 < north.window.top
    assert south.window.bottom < 1_000_000 < south.window.top


def test_an_area_across_180_degrees_is_one_piece_in_its_zone() -> None:
    zone = Zone.of(parse_area([179.9, -17.1, -179.95, -17.0]))
    assert zone.epsg == 32760
    assert isinstance(zone.geometry, Polygon)
    assert area_km2(zone.area) == pytest.approx(zone.geometry.area / 1e6, rel=0.01)
    assert inside(zone.geometry, zone.window).mean() > 0.9


def test_parts_that_lie_close_together_are_one_group() -> None:
    def field(x: float, y: float) -> Polygon:
        return box(x, y, x + 300, y + 300)

    near = [field(500_000 + 700 * n, 5_600_000) for n in range(30)]
    far = [field(560_000, 5_650_000), field(560_500, 5_650_300)]
    groups = group_windows(MultiPolygon([*near, *far]), 32631)
    assert [(window.left, window.width, window.height) for window in groups] == [(56_000, 80, 60), (50_000, 2060, 30)]


def test_a_large_group_that_is_mostly_empty_is_divided() -> None:
    """Squares around points of a region: no window grows with what lies between them, and none is left out."""
    rng = np.random.default_rng(0)
    corners = {(int(x), int(y)) for x, y in rng.integers(0, 60, (200, 2))}
    squares = [
        box(500_480 + 1280 * x, 5_600_000 + 1280 * y, 501_760 + 1280 * x, 5_601_280 + 1280 * y) for x, y in corners
    ]
    united = shapely.union_all(squares)
    windows = group_windows(united, 32631)
    assert len(windows) > 20
    assert max(window.width * window.height for window in windows) < 2048**2
    assert shapely.union_all([box(*window.bounds) for window in windows]).covers(united)


def test_an_area_of_whole_squares_is_one_around_points() -> None:
    made = parse_area(squares_around(np.array([4.0, 4.001, 4.2]), np.array([50.7, 50.7, 50.8]), np.zeros(3)))
    zone = Zone.of(made)
    assert zone.around_points
    assert len(zone.squares) == round(zone.geometry.area / 1280**2)
    assert not Zone.of(box(4.0, 50.7, 4.1, 50.8)).around_points


def test_scattered_fields_count_by_the_cells_that_they_touch() -> None:
    def fields(count: int) -> Zone:
        places = [(2 + number % 20 / 5, 45 + number // 20 / 5) for number in range(count)]
        return Zone.of(MultiPolygon([box(x, y, x + 0.001, y + 0.001) for x, y in places]))

    fields(60).check_work(2500)
    with pytest.raises(RequestError, match=r"touch 204 cells.*191 cells are the limit"):
        fields(200).check_work(2500)
    fields(200).check_work(6000)


def test_a_compact_area_of_the_largest_size_is_taken() -> None:
    zone = Zone.of(box(2.0, 48.0, 2.66, 48.45))  # 49 x 50 km
    assert 2400 < area_km2(zone.area) < 2500
    zone.check_work(2500)
