"""Verdicts in a delivery: tables, what was decided before, a page that only shows text as text, and nothing of a parcel elsewhere."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import delivery_kit
import geopandas
import numpy as np
import pyogrio
import pytest
import views_kit
from shapely.geometry import Polygon, box

from catalog.grid import Window
from processors.conformity.judge import OWN_COLUMNS, Conformity, judge_parcels
from processors.conformity.probabilities import ParcelProbabilities
from processors.delivery import conformity_page
from processors.delivery.deliver import deliver
from processors.thematic.judgement import DeclaredAs, Judgement
from processors.views.declared import Declared, open_declared
from processors.views.parcels import Map
from processors.views.views import Views

WINDOW = Window(32631, views_kit.CELL.window.left + 70, views_kit.CELL.window.top - 30, 90, 80)
WEST, NORTH = WINDOW.bounds[0], WINDOW.bounds[3]
NASTY = "<script>alert('&')</script>"
IDS = ["A-1", "A-2", "A-3", '=HYPERLINK("x")', NASTY, "A-6"]
CROPS: list[str | None] = ["winter wheat", "maize", "sugar beet", "rye <b>", "maize", None]


def at(column: float, row: float, width: float, height: float) -> Polygon:
    return box(WEST + 10 * column, NORTH - 10 * (row + height), WEST + 10 * (column + width), NORTH - 10 * row)


SHAPES = [at(2 + 14 * n, 5 + n, 12, 20) for n in range(6)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Map, Views, Declared]:
    folder = tmp_path_factory.mktemp("made")
    geopandas.GeoDataFrame(
        {"id": IDS, "crop": CROPS, "farmer": [NASTY] * 6, "Verdict": ["theirs"] * 6}, geometry=SHAPES, crs="EPSG:32631"
    ).to_parquet(folder / "fields.parquet")
    declared = open_declared(folder / "fields.parquet", box(*WINDOW.bounds), 32631)
    values = views_kit.fields(WINDOW.shape, 12, values=(1, 2, 5))
    of_map = views_kit.class_map(folder, WINDOW, values, np.full(WINDOW.shape, 0.8, np.float32))
    season = views_kit.season((0.5, 0.9, 0.8))
    views = views_kit.views(folder / "views", views_kit.ground(folder, WINDOW, 3), of_map, season, declared)
    assert views.curves is not None
    clear = np.repeat(np.array([[0.9, 0.4, 0.5]], np.float32), 6, axis=0)
    return of_map, replace(views, curves=replace(views.curves, clear=clear)), declared


def judged(made: tuple[Map, Views, Declared], wheat: float = 0.9, **changed: Any) -> Conformity:
    _, views, declared = made
    mean = np.array([[0, wheat, 1 - wheat, 0]] * 5 + [[np.nan] * 4])
    pixels = np.array([180, 180, 180, 180, 180, 0])
    seen = ParcelProbabilities(mean, mean, pixels, np.full(6, 180.0), np.full(6, 180.0))
    values: dict[str, Any] = {
        "column": "crop", "id_column": None, "classes": DeclaredAs.NAMES, "false_alarms": 0.15, "least_pixels": 8, "least_dates": 1,
        "legend": delivery_kit.LEGEND, "model": Path("no model"),
    }  # fmt: skip
    return judge_parcels(declared, Judgement(**{**values, **changed}), seen, views, 32631)


def delivered(
    made: tuple[Map, Views, Declared], folder: Path, conformity: Conformity, *, replace: bool = False, **changed: Any
) -> Path:
    of_map, views, _ = made
    facts = delivery_kit.facts(
        WINDOW, conformity=conformity.summary.model_dump(), notes=conformity.summary.notes, **changed
    )
    deliver(folder, of_map.rasters, of_map.variables, facts, views, conformity, replace=replace)
    return folder


def table(folder: Path) -> Any:
    return geopandas.read_parquet(folder / "conformity.parquet")


def test_each_parcel_is_a_row_with_all_that_its_verdict_rests_on(
    tmp_path: Path, made: tuple[Map, Views, Declared]
) -> None:
    folder = delivered(made, tmp_path / "map", judged(made))
    frame = table(folder)
    assert frame.crs.to_epsg() == 32631
    assert list(frame.columns) == [*OWN_COLUMNS, "declared_id", "declared_crop", "farmer", "file_Verdict", "geometry"]
    assert list(frame["parcel_id"]) == IDS
    unknown = "not in the legend"
    assert list(frame["verdict"]) == ["conform", "not conform", "not conform", unknown, "not conform", unknown]
    assert list(frame["reason"].iloc[[0, 1, 3, 5]]) == ["agrees", "improbable", "no class", "nothing declared"]
    first = frame.iloc[0]
    assert (first["declared"], first["declared_class"], first["predicted"]) == ("winter wheat",) * 3
    assert (first["p_declared"], first["pixels_inside"], first["not_conform_below"], first["conform_from"]) == (
        0.9,
        180,
        0.15,
        0.5,
    )
    assert (first["dates"], first["dates_used"]) == (2, "2019-04-01 2019-04-11"), "those with half of it clear"
    assert (first["model"], first["model_checksum"], first["decided"]) == (
        "flanders",
        "ab" * 32,
        "2026-11-01T12:00:00Z",
    )
    assert not first["verified"]
    assert [polygon.equals(shape) for polygon, shape in zip(frame.geometry, SHAPES, strict=True)] == [True] * 6
    package = pyogrio.read_dataframe(folder / "conformity.gpkg", layer="conformity")
    assert list(package["verdict"]) == list(frame["verdict"])
    lines = (folder / "conformity.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["verdict"] for row in rows] == list(frame["verdict"])
    assert rows[3]["parcel_id"] == '\'=HYPERLINK("x")'
    assert rows[0]["p_declared"] == "0.9"
    assert rows[0]["verified"] == "false"


def test_the_same_parcels_give_the_same_bytes(tmp_path: Path, made: tuple[Map, Views, Declared]) -> None:
    first, second = (delivered(made, tmp_path / name, judged(made)) for name in ("a", "b"))
    for name in ("conformity.parquet", "conformity.gpkg", "conformity.csv", "parcels.html"):
        digests = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in (first, second)}
        assert len(digests) == 1, name


LATER = {"created": datetime(2026, 12, 1, tzinfo=UTC)}
MODEL = {"model": {"name": "newer", "checksum": "cd" * 32}}


def test_a_verdict_of_other_inputs_keeps_the_one_before(tmp_path: Path, made: tuple[Map, Views, Declared]) -> None:
    folder = delivered(made, tmp_path / "map", judged(made))
    delivered(made, folder, judged(made, wheat=0.1), **LATER, **MODEL)
    frame = table(folder)
    assert frame["verdict"].iloc[1] == "conform"
    assert list(frame["earlier_verdict"].iloc[:2]) == ["conform", "not conform"]
    assert set(frame["earlier_decided"]) == {"2026-11-01T12:00:00Z"}
    assert set(frame["decided"]) == {"2026-12-01T00:00:00Z"}
    assert "Of 6 parcels an earlier verdict is kept." in (folder / "report.html").read_text()
    # Of another request that takes its place, too.
    delivered(made, folder, judged(made), request_digest="ffffffffffff", replace=True)
    assert list(table(folder)["earlier_verdict"].iloc[:2]) == ["not conform", "conform"]


def test_the_same_decision_made_again_keeps_its_date_and_what_was_before(
    tmp_path: Path, made: tuple[Map, Views, Declared]
) -> None:
    folder = delivered(made, tmp_path / "map", judged(made))
    delivered(made, folder, judged(made, wheat=0.1), **LATER, **MODEL)
    before = table(folder)
    delivered(made, folder, judged(made, wheat=0.1), created=datetime(2027, 1, 1, tzinfo=UTC), **MODEL)
    again = table(folder)
    assert again.equals(before)


def test_a_table_that_cannot_be_read_is_told(tmp_path: Path, made: tuple[Map, Views, Declared]) -> None:
    folder = delivered(made, tmp_path / "map", judged(made))
    (folder / "conformity.parquet").write_bytes(b"PAR1 no table")
    delivered(made, folder, judged(made), **LATER)
    assert "no earlier verdict is kept" in (folder / "report.html").read_text()
    assert table(folder)["earlier_verdict"].isna().all()


def test_ids_that_stand_in_several_rows_have_no_earlier_verdict(
    tmp_path: Path, made: tuple[Map, Views, Declared]
) -> None:
    of_map, views, declared = made
    columns = declared.columns.assign(declared_id=["A-1", "A-1", "A-3", None, "A-5", "A-6"])
    twice = of_map, views, Declared(declared.name, declared.polygons, columns, 0, "", declared.called)
    folder = delivered(twice, tmp_path / "map", judged(twice))
    delivered(twice, folder, judged(twice), **LATER, **MODEL)
    assert list(table(folder)["earlier_verdict"].isna()) == [True, True, False, True, False, False]
    assert any("Some ids of parcels are empty or stand in several rows" in note for note in judged(twice).summary.notes)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.anchors: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "article":
            self.anchors.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        addresses = [value for name, value in attrs if name in ("src", "href") and value is not None]
        assert all(value.startswith(("#", "data:image/")) for value in addresses), "the page needs nothing else"


def page(folder: Path) -> _Page:
    parser = _Page()
    parser.feed((folder / "parcels.html").read_text(encoding="utf-8"))
    return parser


def test_the_page_lists_parcels_by_verdict_and_shows_each(tmp_path: Path, made: tuple[Map, Views, Declared]) -> None:
    folder = delivered(made, tmp_path / "map", judged(made))
    shown = page(folder)
    assert shown.anchors == ["p2", "p3", "p5", "p4", "p6", "p1"] or shown.anchors == [
        "p3",
        "p2",
        "p5",
        "p4",
        "p6",
        "p1",
    ]
    assert shown.links[:6] == [f"#{anchor}" for anchor in shown.anchors]
    assert "script" not in shown.tags
    assert "b" not in shown.tags
    assert shown.tags.count("svg") == 6 * 3, "a curve and two pictures"
    text = (folder / "parcels.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "not verified" in text


def test_a_page_of_many_parcels_stays_small_and_says_what_it_leaves_out(
    tmp_path: Path, made: tuple[Map, Views, Declared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformity_page, "MOST_CHIPS", 1)
    monkeypatch.setattr(conformity_page, "MOST_SECTIONS", 5)
    monkeypatch.setattr(conformity_page, "MOST_ROWS", 5)
    folder = delivered(made, tmp_path / "map", judged(made))
    shown = page(folder)
    assert len(shown.anchors) == 5
    assert shown.tags.count("svg") == 5 + 2 * 3, "those that are not conform have pictures, two others have none"
    text = (folder / "parcels.html").read_text(encoding="utf-8")
    for said in ("1 parcels, those at the end", "The index lists the first 5 parcels", "2 parcels have no pictures"):
        assert said in text
    monkeypatch.setattr(conformity_page, "MOST_BYTES", 20_000)
    small = delivered(made, tmp_path / "small", judged(made))
    assert (small / "parcels.html").stat().st_size < 30_000


def test_report_and_item_tell_counts_and_nothing_of_a_parcel(tmp_path: Path, made: tuple[Map, Views, Declared]) -> None:
    folder = delivered(made, tmp_path / "map", judged(made))
    item = json.loads((folder / "item.json").read_text())
    told = item["properties"]["cropline:conformity"]
    assert told["verdicts"] == {"not conform": 3, "mixed": 0, "inconclusive": 0, "not in the legend": 2, "conform": 1}
    assert {"conformity", "conformity_gpkg", "conformity_csv", "parcels_html"} <= set(item["assets"])
    for name in ("item.json", "report.html", "areas.csv"):
        text = (folder / name).read_text()
        assert not [word for word in ("A-1", "A-6", "HYPERLINK", "alert(", "rye <", "rye &lt;") if word in text], name
    report = (folder / "report.html").read_text()
    assert report.index("<h2>Declared parcels</h2>") < report.index("<h2>Files</h2>"), "what was asked stands first"
    assert "6 parcels judged: <strong>3 not conform</strong>" in report
    assert "The false-alarm rate is not verified." in report
