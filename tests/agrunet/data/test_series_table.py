"""The series table: what is written is read again, and what is wrong is named by file, column and row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from agrunet.data.series_table import METADATA, SeriesMetadata, SeriesTable, read_series, write_series
from agrunet.errors import AgrunetError

TABLE = SeriesTable(
    ids=("a", "b", "c"),
    lon=np.array([3.0, 3.1, 3.2]),
    lat=np.array([51.0, 51.1, 51.2]),
    year=np.array([2019, 2019, 2020]),
    labels=("maize", None, "wheat"),
    bands=("B04", "B8A"),
    offsets=np.array([0, 2, 2, 5]),
    days=np.array([-30, 5, 1, 11, 21], np.int16),
    values=np.arange(10, dtype=np.uint16).reshape(5, 2) * 7000 // 3,
    codes=(1200, None, 1110),
    fields=("p1", "p1", None),
    metadata=SeriesMetadata(months=(1, 7), synthetic=True, legend=[{"name": "maize", "value": 1200}]),
)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_series(path, TABLE)
    again = read_series(path)
    for name in TABLE.__slots__:
        was, now = getattr(TABLE, name), getattr(again, name)
        assert np.array_equal(was, now) if isinstance(was, np.ndarray) else was == now, name
    assert list(pd.read_parquet(path).columns) == ["id", "lon", "lat", "year", "label", "code", "field", "days", "B04", "B8A"]  # fmt: skip


def test_what_a_table_states_beyond_is_carried_along(tmp_path: Path) -> None:
    stated = SeriesMetadata.model_validate({"source": "survey", "radius_m": 30})
    write_series(tmp_path / "t.parquet", replace(TABLE, metadata=stated))
    assert read_series(tmp_path / "t.parquet").metadata.model_dump()["radius_m"] == 30


def _columns() -> dict[str, Any]:
    return {
        "id": ["a", "b"],
        "lon": [3.0, 3.1],
        "lat": [51.0, 51.1],
        "year": [2019, 2019],
        "label": ["maize", None],
        "days": [[1, 11], [5]],
        "B04": [[100, 200], [0]],
        "remark": ["", "left alone"],
    }


def test_a_table_of_pandas_is_read_with_what_isnt_stated_taken_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame(_columns()).to_parquet(path)
    table = read_series(path)
    assert (table.metadata, table.codes, table.fields) == (SeriesMetadata(), None, None)
    assert (table.days.tolist(), table.values.tolist()) == ([1, 11, 5], [[100], [200], [0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("days"), "columns days are missing"),
        (lambda c: c.pop("B04"), "columns of bands are missing"),
        (lambda c: c.update(id=["a", "a"]), "row 1: id 'a' is that of row 0, too"),
        (lambda c: c.update(id=["a", None]), "row 1: id is empty"),
        (lambda c: c.update(lat=[51.0, None]), "row 1: lat is null"),
        (lambda c: c.update(lat=[51.0, 151.0]), "row 1: lat is 151.0"),
        (lambda c: c.update(lon=["3", "east"]), "column lon is string"),
        (lambda c: c.update(year=[2019, 19]), "row 1: year is 19"),
        (lambda c: c.update(days=[[11, 1], [5]]), "row 0: days don't rise: 11, then 1"),
        (lambda c: c.update(days=[[1, 11], [500]]), "row 1: days hold 500"),
        (lambda c: c.update(days=[[1, 11], None]), "row 1: days is null"),
        (lambda c: c.update(days=[[1, 11], [5, 15]]), "row 1: B04 has 1 values for 2 days"),
        (lambda c: c.update(B04=[[100, 200], [70000]]), "row 1: B04 holds 70000"),
        (lambda c: c.update(B04=[[100, None], [1]]), "row 0: B04 holds null"),
        (lambda c: c.update(B04=[[0.1, 0.2], [0.3]]), "column B04 holds lists of double"),
        (lambda c: c.update(B04=[100, 200]), "column B04 is int64, not lists"),
    ],
)
def test_what_is_wrong_is_named_by_file_column_and_row(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    columns, path = _columns(), tmp_path / "t.parquet"
    change(columns)
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(AgrunetError) as caught:
        read_series(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("[", "is no JSON"), ('{"months": [0, 7]}', "months.0")])
def test_metadata_that_arent_a_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table(_columns()).replace_schema_metadata({METADATA: text}), path)
    with pytest.raises(AgrunetError, match=f"t.parquet: metadata cropline.*{message}"):
        read_series(path)


def test_a_file_that_isnt_there_or_isnt_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match="there is no such file"):
        read_series(tmp_path / "none.parquet")
    (tmp_path / "t.parquet").write_text("id,lon,lat")
    with pytest.raises(AgrunetError, match="is no Parquet file"):
        read_series(tmp_path / "t.parquet")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    empty = {name: pa.array([], pa.array(values).type) for name, values in _columns().items()}
    parquet.write_table(pa.table(empty), tmp_path / "t.parquet")
    with pytest.raises(AgrunetError, match="there is no row"):
        read_series(tmp_path / "t.parquet")


def test_rows_of_parcels_say_how_many_pixels_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_series(path, replace(TABLE, pixels=np.array([64, 12, 1])))
    pixels = read_series(path).pixels
    assert pixels is not None
    assert pixels.tolist() == pd.read_parquet(path).pixels.tolist() == [64, 12, 1]
