"""Columns of a file of parcels, whatever they are called and hold, through the tables of a delivery."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import delivery_kit
import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import views_kit
from pyarrow import parquet
from shapely.geometry import box

from catalog.errors import RequestError
from catalog.grid import Window
from processors.delivery.conformity_table import PACKAGE, TABLE, write_tables
from processors.delivery.parcels import write_parcels
from processors.views.declared import ADDED, COLUMNS, MOST_COLUMNS, open_declared

WINDOW = Window(32631, views_kit.CELL.window.left + 70, views_kit.CELL.window.top - 30, 20, 20)
WEST, SOUTH, EAST, NORTH = WINDOW.bounds
SHAPES = [box(WEST, SOUTH, WEST + 100, NORTH), box(WEST + 100, SOUTH, EAST, NORTH)]
LARGE = 2**62 + 1

ODD: dict[str, Any] = {
    **{name: ["theirs", "own"] for name in ("note", "bbox", "metrics:area", "Determination:Method", "Note", "FID", "geom")},
    "declared_metrics:area": [1.5, 2.5],
    "large": pd.array([LARGE, None], dtype="Int64"),
    "given": pd.array([True, None], dtype="boolean"),
    "unsigned": np.array([2**64 - 1, 1], np.uint64),
    "half": np.array([1.5, 2], np.float16),
    "kind": pd.Categorical(["a", None]),
    "lasting": pd.to_timedelta([90, None], unit="s"),
    "price": [Decimal("1.10"), None],
    "list": [[1, 2], None],
    "ended": ["a\0b", ""],
    "centre": geopandas.GeoSeries(SHAPES, crs=32631).centroid,
    "": [1, 2],
    "new\nline": [1, 2],
}  # fmt: skip


def theirs() -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({**ODD, "outline": SHAPES}, geometry="outline", crs="EPSG:32631")


def large(path: Path, column: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as package:
        return package.execute(f"SELECT {column} FROM {path.stem} ORDER BY fid").fetchall()


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    theirs().to_parquet(folder / "theirs.parquet")
    declared = open_declared(folder / "theirs.parquet", box(*WINDOW.bounds), 32631)
    values = views_kit.fields(WINDOW.shape, 3)
    of_map = views_kit.class_map(folder, WINDOW, values, np.full(WINDOW.shape, 0.8, np.float32))
    made = views_kit.views(folder, views_kit.ground(folder, WINDOW, 1), of_map, views_kit.season((0.5,)), declared)
    out = folder / "out"
    out.mkdir()
    write_parcels(out, made, [], delivery_kit.facts(WINDOW))
    frame = geopandas.GeoDataFrame({"parcel": [1, 2]}, geometry=declared.polygons, crs="EPSG:32631")
    write_tables(out, frame.join(declared.columns), delivery_kit.facts(WINDOW))
    return out


def test_all_columns_are_there_in_each_form(delivered: Path) -> None:
    table = parquet.read_table(delivered / "parcels.parquet")
    assert {*COLUMNS, *ADDED} <= set(table.column_names)
    own = [name for name in table.column_names if name not in {*COLUMNS, *ADDED}]
    assert len(own) == len(ODD)
    assert len({name.casefold() for name in table.column_names}) == len(table.column_names)
    rows = table.to_pydict()
    assert rows["declared_note"] == ["theirs", "own"]
    assert rows["note"] == [None, None]
    assert rows["large"] == [LARGE, None]
    assert rows["given"] == [True, None]
    assert rows["unsigned"] == [str(2**64 - 1), "1"]
    assert rows["price"] == ["1.10", None]
    assert rows["list"] == ["[1, 2]", None]
    assert rows["ended"] == ["ab", ""]
    assert rows["centre"][0].startswith("POINT (")
    package = pyogrio.read_info(delivered / "parcels.gpkg")
    assert len(package["fields"]) == len(table.column_names) - len(("bbox", "geometry"))
    assert large(delivered / "parcels.gpkg", "large") == large(delivered / PACKAGE, "large") == [(LARGE,), (None,)]
    assert str(LARGE) in (delivered / TABLE).read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["gpkg", "geojson", "parquet", "fgb"])
def test_whole_numbers_with_gaps_stay_what_they_are(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"theirs.{form}"
    frame = geopandas.GeoDataFrame(
        {"number": pd.array([None, LARGE], dtype="Int64"), "of": ["first", "second"]}, geometry=SHAPES, crs=32631
    )
    frame.to_parquet(path) if form == "parquet" else frame.to_file(path)
    for area in (box(*WINDOW.bounds), SHAPES[1].buffer(-10)):
        columns = open_declared(path, area, 32631).columns.set_index("of")
        assert columns["number"]["second"] == LARGE
        assert "first" not in columns.index or columns["number"]["first"] is pd.NA


def test_more_columns_than_a_geopackage_holds_are_refused_at_once(tmp_path: Path) -> None:
    names = {f"c{number}": [1, 2] for number in range(MOST_COLUMNS + 1)}
    geopandas.GeoDataFrame(names, geometry=SHAPES, crs=32631).to_parquet(tmp_path / "wide.parquet")
    with pytest.raises(RequestError, match=r"has 1,901 columns, over the limit of 1,900: .* Drop those"):
        open_declared(tmp_path / "wide.parquet", box(*WINDOW.bounds), 32631)
