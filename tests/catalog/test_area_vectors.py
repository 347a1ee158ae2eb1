"""Vector files as areas: forms, coordinate systems and archives that are read, and what is wrong with others by its name."""

from __future__ import annotations

import json
import sqlite3
import struct
import zipfile
from pathlib import Path

import geopandas
import pytest
from shapely.geometry import GeometryCollection, LineString, Point, Polygon, box

from catalog import area_vectors
from catalog.area import parse_area
from catalog.area_file import area_value
from catalog.errors import RequestError

FIELDS = [box(4.0, 50.0, 4.1, 50.1), box(4.2, 50.0, 4.3, 50.1)]
EXPECTED = FIELDS[0].union(FIELDS[1])


def _frame(geometries: list[object] = FIELDS, crs: object = 4326) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"crop": range(len(geometries))}, geometry=geometries, crs=crs)


def _said(path: Path) -> str:
    with pytest.raises(RequestError) as refused:
        parse_area(area_value(str(path)))
    text = str(refused.value)
    assert text.startswith("area: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("crs", [4326, 32631, 3035, 31370])
@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb", "parquet", "geojson"])
def test_every_form_in_every_system_says_the_same(tmp_path: Path, suffix: str, crs: int) -> None:
    path = tmp_path / f"fields.{suffix}"
    frame = _frame().to_crs(crs)
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, **({"RFC7946": "NO"} if suffix == "geojson" else {}))
    area = parse_area(area_value(str(path)))
    assert area.symmetric_difference(EXPECTED).area < 1e-9 if crs == 4326 else 1e-6


@pytest.mark.parametrize("suffix", ["shp", "gpkg", "geojson", "parquet"])
def test_an_archive_of_one_file_says_what_the_file_says(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "fields"
    folder.mkdir()
    frame = _frame().to_crs(4326 if suffix == "geojson" else 32631)
    frame.to_parquet(folder / "fields.parquet") if suffix == "parquet" else frame.to_file(folder / f"fields.{suffix}")
    with zipfile.ZipFile(tmp_path / "fields.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._fields.shp", b"junk")
        archive.writestr("readme.txt", "fields")
        for path in folder.iterdir():
            archive.write(path, f"inner/{path.name}")
    assert parse_area(area_value(str(tmp_path / "fields.zip"))).symmetric_difference(EXPECTED).area < 1e-9


def test_archives_that_hold_none_several_or_lead_out_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    assert "holds no vector files, one is needed: readme.txt" in _said(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.gpkg", "x")
        archive.writestr("b.shp", "x")
    assert "holds 2 vector files, one is needed: a.gpkg, b.shp" in _said(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../a.gpkg", "x")
    assert "leads out of it" in _said(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.geojson", b" " * 2**24)
    assert "would grow" in _said(path)
    path.write_bytes(b"PK\x03\x04 and no more")
    assert "no zip archive that can be read" in _said(path)


def test_a_shapefile_without_its_other_files_is_refused_by_their_names(tmp_path: Path) -> None:
    _frame().to_file(tmp_path / "f.shp")
    (tmp_path / "f.prj").unlink()
    assert "has no f.prj beside it, so nothing says its coordinate system" in _said(tmp_path / "f.shp")
    (tmp_path / "f.shx").unlink()
    assert "lacks f.shx and f.prj" in _said(tmp_path / "f.shp")


def test_files_that_do_not_say_their_system_are_refused(tmp_path: Path) -> None:
    for suffix in ("gpkg", "fgb", "parquet"):
        path = tmp_path / f"f.{suffix}"
        frame = _frame(crs=None)
        with (
            pytest.warns(UserWarning, match="crs") if suffix != "parquet" else zipfile.ZipFile(tmp_path / "x.zip", "w")
        ):
            frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
        assert "coordinate system" in _said(path)


def test_heights_are_passed_over_and_curves_become_straight(tmp_path: Path) -> None:
    high = [Polygon([(x, y, 12.0) for x, y in field.exterior.coords]) for field in FIELDS]
    _frame(high).to_file(tmp_path / "high.gpkg")
    _frame(high).to_parquet(tmp_path / "high.parquet")
    for name in ("high.gpkg", "high.parquet"):
        assert parse_area(area_value(str(tmp_path / name))).equals(EXPECTED)
    path = tmp_path / "round.gpkg"
    _frame(FIELDS[:1]).to_file(path, layer="x")
    places = [(4.0, 50.0), (4.05, 50.05), (4.1, 50.0), (4.05, 49.95), (4.0, 50.0)]
    ring = struct.pack("<BII", 1, 8, len(places)) + b"".join(struct.pack("<dd", *place) for place in places)
    blob = b"GP\0\x01" + struct.pack("<i", 4326) + struct.pack("<BII", 1, 10, 1) + ring  # a CurvePolygon
    with sqlite3.connect(path) as base:
        for (trigger,) in base.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            base.execute(f'drop trigger "{trigger}"')
        base.execute("update x set geom = ?", (blob,))
    base.close()
    circle = parse_area(area_value(str(path)))
    assert circle.area == pytest.approx(3.14159 * 0.05**2, rel=0.01)


def test_what_is_no_polygon_is_named_and_counted(tmp_path: Path) -> None:
    for kind, others in {"Point": [Point(4, 50)] * 2, "LineString": [LineString([(4, 50), (5, 51)])]}.items():
        path = tmp_path / f"{kind}.parquet"
        _frame([*FIELDS, *others]).to_parquet(path)
        assert f"holds {len(others)} {kind} beside 2 polygons" in _said(path)
    _frame([LineString([(4, 50), (5, 51)])]).to_file(tmp_path / "ways.gpkg")
    assert "no layers of polygons or points, one is needed. Its layers: ways (LineString). Give" in _said(
        tmp_path / "ways.gpkg"
    )
    _frame([GeometryCollection([FIELDS[0], Point(4, 50)])]).to_parquet(tmp_path / "c.parquet")
    assert "1 GeometryCollection" in _said(tmp_path / "c.parquet")


def test_empty_files_and_rows_that_cross_themselves_are_refused(tmp_path: Path) -> None:
    _frame([]).to_parquet(tmp_path / "none.parquet")
    assert "holds no geometry, in 0 rows" in _said(tmp_path / "none.parquet")
    _frame([None, None]).to_parquet(tmp_path / "null.parquet")
    assert "holds no geometry, in 2 rows" in _said(tmp_path / "null.parquet")
    _frame([Polygon([(4, 50), (5, 51), (5, 50), (4, 51)])]).to_file(tmp_path / "bow.gpkg")
    assert "not valid: Self-intersection" in _said(tmp_path / "bow.gpkg")
    geopandas.pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    assert "can't be read" in _said(tmp_path / "table.parquet")


def test_more_rows_than_an_area_is_made_of_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(area_vectors, "MOST_ROWS", 1)
    _frame().to_file(tmp_path / "f.gpkg")
    assert "has 2 rows, and an area is made of at most 1 polygons. Dissolve" in _said(tmp_path / "f.gpkg")
    monkeypatch.setattr(area_vectors, "MOST_JSON", 10)
    (tmp_path / "f.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": []}))
    assert "over the limit" in _said(tmp_path / "f.geojson")


@pytest.mark.parametrize("suffix", ["gpkg", "parquet"])
def test_polygons_that_cross_themselves_are_named_by_their_row(tmp_path: Path, suffix: str) -> None:
    crossing = Polygon([(4, 50), (4.1, 50.1), (4.1, 50), (4, 50.1)])
    flat = Polygon([(4, 50), (4.1, 50), (4, 50)])
    for shapes, row in (([FIELDS[0], None, crossing, flat], 3), ([crossing], 1)):
        path = tmp_path / f"fields{len(shapes)}.{suffix}"
        frame = _frame(shapes)
        frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
        said = _said(path)
        assert said.startswith(f"area: row {row} of {path} is not valid: Self-intersection[4.05")
        assert ("2 of its 4 polygons" in said) == (row == 3)
        assert "Fix geometries" in said
