"""What lies across 180°, however it is written, is cut there and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import shapely
import shapes_kit
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box, mapping, shape

from catalog.antimeridian import bbox, centre, cut, cut_geojson, rectangle, unbroken

FIJI = box(179, -17.3, 180.05, -16.3)


def forms(polygon: Polygon, on_line: float = 180.0) -> list[Polygon]:
    """A polygon around 180°, as the world writes it: beyond 180, below -180, and in one ring that jumps."""

    def jumping(ring: Any) -> list[tuple[float, float]]:
        return [(x - 360 if x > 180 else on_line if x == 180 else x, y) for x, y in ring.coords]

    jumps = Polygon(jumping(polygon.exterior), [jumping(ring) for ring in polygon.interiors])
    return [polygon, translate(polygon, -360), jumps, Polygon(jumps.exterior.coords[::-1], jumps.interiors)]


@st.composite
def around_180(draw: st.DrawFn) -> Polygon:
    polygon = draw(shapes_kit.stars(180 + draw(st.floats(-3, 3)), draw(st.floats(-80, 80)), draw(st.floats(0.01, 4))))
    if draw(st.booleans()):  # with vertices on the line itself
        snapped = shapely.transform(
            polygon, lambda xy: [[180.0 if abs(x - 180) < 0.3 else x, y] for x, y in xy.tolist()]
        )
        if snapped.is_valid and snapped.area > 0:
            return snapped
    return polygon


def check_cut(polygon: Polygon, on_line: float) -> None:
    for form in forms(polygon, on_line):
        made = cut(form)
        west, _, east, _ = made.bounds
        assert -180 <= west <= east <= 180
        assert made.is_valid
        assert made.area == pytest.approx(polygon.area)
        assert cut(made).equals(made)
        together = unbroken(made)
        assert min(together.symmetric_difference(translate(polygon, turn)).area for turn in (-360, 0, 360)) < 1e-9
        x, y = centre(made)
        assert abs((x - polygon.centroid.x + 180) % 360 - 180) < 1e-6
        assert y == pytest.approx(polygon.centroid.y)


@given(around_180(), st.sampled_from([180.0, -180.0]))
@settings(max_examples=60)
def test_every_form_is_cut_into_the_same_parts(polygon: Polygon, on_line: float) -> None:
    check_cut(polygon, on_line)


@pytest.mark.slow
@given(around_180(), st.sampled_from([180.0, -180.0]))
@settings(max_examples=5000)
def test_every_form_is_cut_into_the_same_parts_many_times(polygon: Polygon, on_line: float) -> None:
    check_cut(polygon, on_line)


@given(shapes_kit.stars(x=10, y=50, radius=20))
@settings(max_examples=30)
def test_what_lies_elsewhere_is_left_as_it_is(polygon: Polygon) -> None:
    assert cut(polygon) is polygon
    assert unbroken(polygon) is polygon
    value = mapping(polygon)
    assert cut_geojson(value) is value


def test_a_footprint_of_two_parts_is_right_already() -> None:
    parts = MultiPolygon([box(179, -1, 180, 1), box(-180, -1, -179.5, 1)])
    assert cut(parts) is parts
    assert unbroken(parts).equals(box(179, -1, 180.5, 1))
    assert bbox(parts) == (179, -1, -179.5, 1)
    assert rectangle(*bbox(parts)).equals(parts)


def test_points_and_lines_have_longitudes_that_others_understand() -> None:
    assert cut(Point(190, 5)).equals(Point(-170, 5))
    line = cut(LineString([(179, 0), (-179, 0)]))
    assert line.length == pytest.approx(2)
    assert unbroken(line).bounds == (179, 0, 181, 0)


def test_a_ring_around_a_pole_is_refused() -> None:
    with pytest.raises(ValueError, match="goes round a pole"):
        cut(Polygon([(0, 80), (120, 81), (-120, 82)]))


def test_a_footprint_drawn_the_long_way_round_is_refused_not_missed() -> None:
    there = [(float(x), -17.0) for x in range(179, -180, -10)]
    back = [(x, -16.0) for x, _ in reversed(there)]
    with pytest.raises(ValueError, match="more than half of the Earth"):
        cut_geojson(mapping(Polygon([*there, *back])))


@pytest.mark.parametrize("value", [None, "x", {}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": [[1]]}])
def test_what_is_no_geometry_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="no GeoJSON geometry"):
        cut_geojson(value)


def test_a_crossing_footprint_that_crosses_itself_keeps_its_surface() -> None:
    bowtie = Polygon([(179, 0), (-179, 2), (-179, 0), (179, 2)])
    assert shape(cut_geojson(mapping(bowtie))).area == pytest.approx(2)
