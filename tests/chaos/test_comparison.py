"""What counts as another result, and what doesn't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pytest
from comparison import differences
from shapely.geometry import Point


def _delivery(folder: Path, **item: Any) -> Path:
    folder.mkdir()
    (folder / "map.tif").write_bytes(b"pixels")
    properties = {"created": folder.name, "bands": 3, **item}
    assets = {"report": {"file:checksum": folder.name}, "map": {"file:checksum": "same"}}
    (folder / "item.json").write_text(json.dumps({"properties": properties, "assets": assets}))
    seconds = f"<tr><th>seconds</th><td>order {len(folder.name)}</td></tr>"
    cube = (
        f'<tr><td class="date">2019-05-01 10:50:31</td><td class="date">2026-11-28 1{len(folder.name)}:00:00</td></tr>'
    )
    (folder / "report.html").write_text(f"<p>A map</p>\n{seconds}\n{cube}\n<p>Ordered 2026-11-{folder.name} UTC.</p>\n")
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return _delivery(tmp_path / "first"), _delivery(tmp_path / "again-")


def test_times_alone_are_no_difference(pair: tuple[Path, Path]) -> None:
    assert differences(*pair) == []


def test_other_pixels_fields_texts_and_files_are(pair: tuple[Path, Path]) -> None:
    _, other = pair
    (other / "map.tif").write_bytes(b"pixelz")
    item = json.loads((other / "item.json").read_text())
    item["properties"]["bands"] = 4
    (other / "item.json").write_text(json.dumps(item))
    report = other / "report.html"
    report.write_text(report.read_text().replace("2019-05-01", "2019-05-02"))
    (other / "areas.csv").touch()
    assert differences(*pair) == [
        "areas.csv: in one of them only",
        "item.json: other fields: properties/bands",
        "map.tif: other bytes",
        "report.html: another text from line 3",
    ]


def _fields(values: list[int], order: list[int]) -> geopandas.GeoDataFrame:
    table = geopandas.GeoDataFrame(
        {"crop": values, "name": [f"field {value}" for value in values]},
        geometry=[Point(value, 51) for value in values],
        crs="EPSG:4326",
    )
    return table.iloc[order]


@pytest.mark.parametrize("suffix", ["gpkg", "parquet", "geojson"])
def test_vectors_are_the_same_in_any_order(suffix: str, pair: tuple[Path, Path]) -> None:
    def write(folder: Path, table: geopandas.GeoDataFrame) -> None:
        file = folder / f"fields.{suffix}"
        file.unlink(missing_ok=True)
        table.to_parquet(file) if suffix == "parquet" else table.to_file(file)

    one, other = pair
    write(one, _fields([1, 2, 3], [0, 1, 2]))
    write(other, _fields([1, 2, 3], [2, 0, 1]))
    assert differences(*pair) == []
    write(other, _fields([1, 2, 4], [0, 1, 2]))
    (found,) = differences(*pair)
    assert found.startswith(f"fields.{suffix}: layer")
    assert found.endswith("1 features are in the first only, 1 in the second only")
    changed = _fields([1, 2, 3], [0, 1, 2])
    changed.loc[0, "crop"] = 9
    write(other, changed)
    assert len(differences(*pair)) == 1, "an attribute is another one"
    write(other, _fields([1, 2, 3], [0, 1, 2, 2]))
    assert len(differences(*pair)) == 1, "one is there twice"
