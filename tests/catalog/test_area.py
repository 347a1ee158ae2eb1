"""Areas: every form that is accepted, every reason to refuse one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import shapes_kit
from shapely import get_num_coordinates
from shapely.geometry import MultiPolygon, Polygon, box

from catalog.antimeridian import rectangle
from catalog.area import area_km2, as_geojson, check_size, covering, parse_area
from catalog.errors import RequestError

SQUARE = [[4.0, 50.0], [5.0, 50.0], [5.0, 51.0], [4.0, 51.0], [4.0, 50.0]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}
FEATURE = {"type": "Feature", "properties": {}, "geometry": POLYGON}
OTHER = {"type": "Polygon", "coordinates": [[[6, 50], [7, 50], [7, 51], [6, 50]]]}


@pytest.mark.parametrize(
    "value",
    [
        POLYGON,
        FEATURE,
        {"type": "FeatureCollection", "features": [FEATURE]},
        {"type": "FeatureCollection", "features": [FEATURE, FEATURE]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
        [4.0, 50.0, 5.0, 51.0],
        (4, 50, 5, 51),
    ],
    ids=["geometry", "feature", "collection", "collection-of-equals", "multipolygon", "bbox", "bbox-of-integers"],
)
def test_every_usual_form_makes_the_same_area(value: Any) -> None:
    assert parse_area(value).equals(box(4, 50, 5, 51))


def test_features_are_united() -> None:
    other = {"type": "Feature", "properties": {}, "geometry": OTHER}
    united = parse_area({"type": "FeatureCollection", "features": [FEATURE, other]})
    assert isinstance(united, MultiPolygon)
    assert united.area == pytest.approx(1.5)


def test_feature_collections_unite_touching_polygons_into_one() -> None:
    beside = {"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51], [5, 51], [5, 50]]]}
    features = [FEATURE, {"type": "Feature", "properties": {}, "geometry": beside}]
    united = parse_area({"type": "FeatureCollection", "features": features})
    assert isinstance(united, Polygon)
    assert united.equals(box(4, 50, 6, 51))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "may not cross"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, "no surface"),
        ({"type": "Polygon", "coordinates": []}, "no surface"),
        ({"type": "Polygon", "coordinates": [[[0, 0, 9], [1, 0, 9], [1, 1, 9], [0, 0, 9]]]}, "three-dimensional"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1]]]}, "pair"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0]]]}, "four"),
        ({"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [1, 1], ["a", 0]]]}, "pair"),
        ({"type": "Polygon", "coordinates": [[[True, 0], [1, 0], [1, 1], [True, 0]]]}, "pair"),
        ({"type": "Polygon", "coordinates": 5}, "nested lists"),
        ({"type": "Polygon", "coordinates": [[[574680, 5622440], [574690, 5622440], [574690, 5622450]]]}, "EPSG:4326"),
        ({"type": "Polygon", "coordinates": [[[0, float("nan")], [1, 0], [1, 1], [0, 0]]]}, "not finite"),
        ({"type": "Polygon", "coordinates": [[[0, 88], [120, 88], [-120, 88], [0, 88]]]}, "goes round a pole"),
        ({"type": "Polygon", "coordinates": [[[359, 0], [361, 0], [361, 1], [359, 0]]]}, "degrees"),
        ({"type": "Polygon"}, "nested lists"),
        ({"type": "Point", "coordinates": [4, 50]}, "'Point'"),
        ({"type": "Feature", "geometry": None}, "no geometry"),
        ({"type": "FeatureCollection", "features": []}, "no feature"),
        ({"type": "FeatureCollection"}, "no list of features"),
        ({"area": 1}, "None"),
        ([5, 0, 4, 1], "west 5 lies east of 4, and across the antimeridian (180°) it would go 359 degrees"),
        ([4, 50, 5], "four numbers"),
        ([4, 50, 4, 51], "no surface"),
        ([4, 51, 5, 50], "no surface"),
        ([4, 50, 5, 95], "degrees"),
        ([4, 50, "5", 51], "four numbers"),
        ("aoi.geojson", "str"),
        (None, "NoneType"),
    ],
)
def test_a_bad_area_is_refused_and_the_cause_named(value: Any, said: str) -> None:
    with pytest.raises(RequestError, match=r"^area: ") as refusal:
        parse_area(value)
    assert said in str(refusal.value)


def test_a_hole_is_kept() -> None:
    hole = [[4.2, 50.2], [4.2, 50.4], [4.4, 50.4], [4.4, 50.2], [4.2, 50.2]]
    assert parse_area({"type": "Polygon", "coordinates": [SQUARE, hole]}).area == pytest.approx(1 - 0.04)


def test_size_is_geodesic() -> None:
    # One degree by one degree at the equator: 110.574 km x 111.320 km on WGS84, a little less to its north.
    assert area_km2(box(0, 0, 1, 1)) == pytest.approx(110.574 * 111.320, rel=1e-3)
    assert area_km2(box(0, 60, 1, 61)) == pytest.approx(111.4 * 54.9, rel=1e-2)


def test_an_area_over_the_limit_is_refused_with_both_sizes() -> None:
    check_size(box(0, 0, 0.1, 0.1), 124)
    with pytest.raises(RequestError, match=r"12,\d{3} km² is over the limit of 2,500 km².*Split"):
        check_size(box(0, 0, 1, 1), 2500)


def test_size_does_not_depend_on_how_rings_are_wound() -> None:
    hole = [[0.2, 0.2], [0.4, 0.2], [0.4, 0.4], [0.2, 0.4]]
    outer, other = list(box(0, 0, 1, 1).exterior.coords), box(3, 0, 4, 1)
    sizes = {
        round(area_km2(MultiPolygon([Polygon(ring, [inner]), part])), 6)
        for ring in (outer, outer[::-1])
        for inner in (hole, hole[::-1])
        for part in (other, Polygon(other.exterior.coords[::-1]))
    }
    assert sizes == {round(area_km2(box(0, 0, 1, 1)) - area_km2(Polygon(hole)) + area_km2(other), 6)}


@pytest.mark.parametrize(
    "value",
    [
        [179, 0, -179, 1],
        [179, 0, 181, 1],
        [-181, 0, -179, 1],
        {"type": "Polygon", "coordinates": [[[-179, 0], [179, 0], [179, 1], [-179, 1], [-179, 0]]]},
        {"type": "Polygon", "coordinates": [[[179, 0], [181, 0], [181, 1], [179, 1], [179, 0]]]},
        {"type": "MultiPolygon", "coordinates": as_geojson(rectangle(179, 0, -179, 1))["coordinates"]},
        {"type": "FeatureCollection", "features": [
            {"type": "Feature", "properties": {}, "geometry": as_geojson(box(179, 0, 180, 1))},
            {"type": "Feature", "properties": {}, "geometry": as_geojson(box(180, 0, 181, 1))},
        ]},
    ],
    ids=["bbox", "bbox beyond 180", "bbox beyond -180", "jumping ring", "ring beyond 180", "cut", "two features"],
)  # fmt: skip
def test_an_area_across_the_antimeridian_is_cut_there(value: Any) -> None:
    area = parse_area(value)
    assert area.equals(MultiPolygon([box(179, 0, 180, 1), box(-180, 0, -179, 1)]))
    assert parse_area(as_geojson(area)).equals(area)


def test_areas_of_many_vertices_and_fields_are_read_and_covered() -> None:
    ring = shapes_kit.wavy_ring(4.0, 50.0, 0.2, 50_000)
    long = parse_area({"type": "Polygon", "coordinates": [ring]})
    fields = [
        box(4 + n % 50 / 100, 50 + n // 50 / 100, 4.008 + n % 50 / 100, 50.008 + n // 50 / 100) for n in range(2000)
    ]
    many = parse_area(
        {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "geometry": as_geojson(field)} for field in fields],
        }
    )
    far = MultiPolygon([Polygon(ring), box(20, 40, 20.1, 40.1)])
    for area in (long, many, far):
        around = covering(area)
        assert get_num_coordinates(around) <= 200
        assert around.covers(area)
        assert around.area < 1.7 * area.envelope.area
    assert covering(far).area < 0.5
    few = box(4, 50, 5, 51)
    assert covering(few) is few


def test_geojson_goes_round() -> None:
    written = json.loads(json.dumps(as_geojson(box(4, 50, 5, 51))))
    assert parse_area(written).equals(box(4, 50, 5, 51))
    assert isinstance(as_geojson(box(4, 50, 5, 51))["coordinates"][0][0], list)
