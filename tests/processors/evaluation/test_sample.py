"""Samples that are drawn from a map: in each class as many points as asked, at random, told to nobody who interprets them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import evaluation_kit
import geopandas
import numpy as np
import pyogrio
import pytest

from catalog.errors import RequestError
from processors.delivery.delivered_map import DeliveredMap
from processors.evaluation.allocation import reached
from processors.evaluation.drawing import SampleWish, draw_sample
from processors.evaluation.sample_file import read_design, write_sample


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> DeliveredMap:
    return evaluation_kit.opened(tmp_path_factory.mktemp("map"), evaluation_kit.pixels())


def test_every_point_lies_in_a_pixel_of_its_stratum(delivered: DeliveredMap) -> None:
    values = evaluation_kit.pixels()
    design = draw_sample(delivered, SampleWish(points=200, minimum=20, seed=3))
    assert len(design.points) == 200
    assert [point.value for point in design.points] == list(evaluation_kit.value_at(design, values).values())
    assert len({(point.row, point.column) for point in design.points}) == 200, "without replacement"
    for stratum in design.strata:
        assert stratum.pixels == (values == stratum.value).sum()
        assert stratum.points >= 20
    assert design.ground.mapped == (values != 255).sum()
    west, _, _, north = evaluation_kit.WINDOW.bounds
    first = design.points[0]
    assert design.ground.place(first) == (west + 10 * first.column + 5, north - 10 * first.row - 5)


def test_the_same_seed_draws_the_same_points_and_another_others(delivered: DeliveredMap) -> None:
    wish = SampleWish(points=100, minimum=10, seed=5)
    assert draw_sample(delivered, wish) == draw_sample(delivered, wish)
    assert (
        draw_sample(delivered, wish).points != draw_sample(delivered, SampleWish(points=100, minimum=10, seed=6)).points
    )


def test_every_pixel_of_a_stratum_comes_in_equally_often(delivered: DeliveredMap) -> None:
    """Over 60 seeds: the places of the points of a class are spread evenly over its pixels, in the order of reading."""
    flat = np.flatnonzero(evaluation_kit.pixels() == 2)
    ranks = []
    for seed in range(60):
        design = draw_sample(delivered, SampleWish(points=200, minimum=8, seed=seed))
        places = [point.row * 120 + point.column for point in design.points if point.value == 2]
        ranks += np.searchsorted(np.sort(flat), places).tolist()
    counts = np.histogram(np.array(ranks) / len(flat), bins=10, range=(0, 1))[0]
    expected = len(ranks) / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9, "chi squared of 9 degrees, p = 0.001"


def test_the_order_of_the_points_tells_nothing_of_their_strata(delivered: DeliveredMap) -> None:
    design = draw_sample(delivered, SampleWish(points=200, minimum=20))
    values = [point.value for point in design.points]
    assert values != sorted(values)
    changes = sum(first != second for first, second in pairwise(values))
    assert changes > 80


def test_rare_classes_are_taken_whole_and_the_standard_error_sets_the_size(delivered: DeliveredMap) -> None:
    design = draw_sample(delivered, SampleWish(standard_error=0.05, minimum=600))
    rare = min(design.strata, key=lambda stratum: stratum.pixels)
    assert rare.points == min(600, rare.pixels)
    expected = dict.fromkeys(evaluation_kit.NAMES.values(), 0.95)
    certain = draw_sample(delivered, SampleWish(standard_error=0.02, minimum=2, expected=expected))
    doubtful = draw_sample(delivered, SampleWish(standard_error=0.02, minimum=2))
    assert len(certain.points) < len(doubtful.points)
    sizes = np.array([stratum.pixels for stratum in design.strata])
    for drawn, error, accuracy in ((design, 0.05, 0.8), (certain, 0.02, 0.95), (doubtful, 0.02, 0.8)):
        counts = np.array([stratum.points for stratum in drawn.strata])
        assert reached(sizes, counts, np.full(4, accuracy)) <= error


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (SampleWish(points=5), "points: 5 for 4 classes. At least 2 of each"),
        (SampleWish(expected={"rice": 0.5}), "expect: the map shows no class 'rice'"),
    ],
)
def test_a_wish_that_this_map_cannot_grant_is_refused(delivered: DeliveredMap, wish: SampleWish, why: str) -> None:
    with pytest.raises(RequestError, match=f"^{why}"):
        draw_sample(delivered, wish)


def test_the_file_hides_the_map_from_who_fills_it_in(delivered: DeliveredMap, tmp_path: Path) -> None:
    design = draw_sample(delivered, SampleWish(points=60, minimum=5))
    path = tmp_path / "sample.gpkg"
    write_sample(path, design, list(evaluation_kit.NAMES.values()))
    points = geopandas.read_file(path, layer="points")
    assert list(points.columns) == ["id", "reference", "remark", "geometry"]
    assert points.reference.isna().all()
    assert points.crs.to_epsg() == 32631
    assert [(place.x, place.y) for place in points.geometry] == [design.ground.place(point) for point in design.points]
    assert read_design(path) == design
    assert {str(name): kind for name, kind in pyogrio.list_layers(path)} == {
        "points": "Point", "cropline_design": None, "layer_styles": None,
    }  # fmt: skip


def test_qgis_finds_a_list_of_the_classes_for_the_field(delivered: DeliveredMap, tmp_path: Path) -> None:
    path = tmp_path / "sample.gpkg"
    write_sample(path, draw_sample(delivered, SampleWish(points=60, minimum=5)), ['a "b" <c> & é', "maize"])
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute(
            "SELECT styleQML FROM layer_styles WHERE f_table_schema = '' AND f_table_name = 'points' "
            "AND f_geometry_column = (SELECT column_name FROM gpkg_geometry_columns) AND useAsDefault "
            "ORDER BY CASE WHEN useAsDefault THEN 1 ELSE 2 END, update_time DESC LIMIT 1"
        ).fetchall()
    assert len(rows) == 1
    root = ET.fromstring(rows[0][0])
    field = root.find("fieldConfiguration/field[@name='reference']/editWidget[@type='ValueMap']")
    assert field is not None
    offered = [option.get("value") for option in field.iter("Option") if option.get("type") == "QString"]
    assert offered == ['a "b" <c> & é', "maize", "none of these"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "is not JSON"),
        ('{"version": 2}', "version"),
        (None, "it holds 0 documents"),
    ],
)
def test_a_damaged_design_is_refused_and_never_taken_for_none(
    delivered: DeliveredMap, tmp_path: Path, document: str | None, why: str
) -> None:
    path = tmp_path / "sample.gpkg"
    write_sample(path, draw_sample(delivered, SampleWish(points=60, minimum=5)), [])
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE cropline_design SET document = ?", (document,))
    with pytest.raises(RequestError, match=f"the design of the sample in it can't be understood: .*{why}"):
        read_design(path)
