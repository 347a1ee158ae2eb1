"""Reference data in every form that is read: where they lie, what they are called, and what is wrong with the others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import evaluation_kit
import geopandas
import numpy as np
import pytest
import shapely
from shapely.geometry import GeometryCollection, LineString, MultiPoint, Point, Polygon

from catalog.errors import RequestError
from processors.delivery.evaluations import Unused
from processors.evaluation.reference import open_reference

EPSG = evaluation_kit.WINDOW.epsg
ROWS = [(10.5, 20.5, "wheat"), (30.5, 40.5, "maize"), (50.5, 60.5, None)]


@pytest.mark.parametrize("name", ["r.gpkg", "r.geojson", "r.shp", "r.fgb", "r.parquet"])
@pytest.mark.parametrize("crs", [32631, 4326, 3035])
def test_points_of_every_format_and_system_lie_where_they_are(tmp_path: Path, name: str, crs: int) -> None:
    frame = evaluation_kit.points(ROWS)
    path = tmp_path / name
    moved = frame.to_crs(crs)
    if name.endswith("parquet"):
        moved.to_parquet(path)
    else:
        moved.to_file(path)
    read = open_reference(path, EPSG)
    by_word = dict(zip(read.words, read.shapes, strict=True))
    assert set(by_word) == {"wheat", "maize", None}
    for (_, _, word), place in zip(ROWS, frame.geometry, strict=True):
        assert by_word[word].distance(place) < 0.05
    assert (read.column, read.parcels, read.unused, read.design) == ("crop", False, Counter(), None)


def test_a_table_has_longitudes_and_latitudes(tmp_path: Path) -> None:
    frame = evaluation_kit.points(ROWS).to_crs(4326)
    lines = [f"{place.y},{word or ''},{place.x}" for place, word in zip(frame.geometry, frame.crop, strict=True)]
    path = tmp_path / "r.csv"
    path.write_text("\ufeffLatitude,crop,Lon\n" + "\n".join([*lines, ",wheat,4", "95,wheat,4", "x,wheat,y"]))
    read = open_reference(path, EPSG)
    assert read.words == ("wheat", "maize", None)
    for shape, place in zip(read.shapes, evaluation_kit.points(ROWS).geometry, strict=True):
        assert shape.distance(place) < 0.05
    assert read.unused == {Unused.NO_PLACE: 3}


def test_rows_that_are_no_points_are_counted(tmp_path: Path) -> None:
    place = evaluation_kit.points(ROWS).geometry[0]
    shapes = [place, MultiPoint([place]), MultiPoint([place, (0, 0)]), LineString([(0, 0), (1, 1)]), None, Point()]
    path = tmp_path / "r.gpkg"
    geopandas.GeoDataFrame({"crop": ["a"] * 6}, geometry=shapes, crs=EPSG).to_file(path)
    read = open_reference(path, EPSG)
    assert len(read.shapes) == 2
    assert read.unused == {Unused.OTHER_GEOMETRY: 2, Unused.NO_GEOMETRY: 2}


def test_rows_that_are_no_parcels_are_counted_and_damaged_ones_repaired(tmp_path: Path) -> None:
    west, south, _, _ = evaluation_kit.WINDOW.bounds
    bowtie = Polygon([(west, south), (west + 100, south + 100), (west + 100, south), (west, south + 100)])
    square = shapely.box(west, south, west + 50, south + 50)
    flat = Polygon([(0, 0), (1, 0), (2, 0)])
    shapes = [square, bowtie, flat, LineString([(0, 0), (1, 1)]), GeometryCollection([square]), None]
    path = tmp_path / "r.gpkg"
    geopandas.GeoDataFrame({"crop": list("abcdef")}, geometry=shapes, crs=EPSG).to_file(path)
    read = open_reference(path, EPSG)
    assert read.parcels
    assert read.words == ("a", "b", "e")
    assert read.unused == {Unused.DAMAGED: 1, Unused.OTHER_GEOMETRY: 1, Unused.NO_GEOMETRY: 1}


def test_the_column_is_named_or_the_only_one_that_fits(tmp_path: Path) -> None:
    frame = evaluation_kit.points(ROWS, column="what")
    frame["fid2"] = [1, 2, 3]
    path = tmp_path / "r.geojson"
    frame.to_file(path)
    with pytest.raises(RequestError, match=r"which column holds the classes.*what, fid2.*Name the one meant: column"):
        open_reference(path, EPSG)
    assert open_reference(path, EPSG, "WHAT").column == "what"
    with pytest.raises(RequestError, match=r"column: .* has no column 'crop'. It has what, fid2"):
        open_reference(path, EPSG, "crop")
    frame["class"] = ["a", "b", "c"]
    frame.to_file(path)
    assert open_reference(path, EPSG).column == "class"


def test_whole_numbers_with_gaps_stay_whole_numbers(tmp_path: Path) -> None:
    frame = evaluation_kit.points([(1, 1, 1110.0), (2, 2, np.nan), (3, 3, 2.5)])
    path = tmp_path / "r.gpkg"
    frame.to_file(path)
    assert open_reference(path, EPSG).words == ("1110", None, "2.5")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("r.csv", "a,b\n1,2\n", "it has no columns lon and lat, in degrees, between commas .it has a, b"),
        ("r.csv", "lon;lat;crop\n1;2;x\n", "it has no columns lon and lat"),
        ("r.csv", "lon,lat,crop\n", "it holds no row"),
        ("r.csv", "lon,lat,crop\nx,y,z\n", "has no point or parcel that can be used: 1 without longitude and latitude"),
        ("r.csv", "lon,lat\n1,2\n", "which column holds the classes. There are: none"),
        ("r.gpkg", "no such thing", "it is no GeoPackage"),
        ("r.geojson", '{"type": "FeatureCollection", "features": []}', "it holds no row"),
        ("r.parquet", "PAR1 and no more", "can't be read"),
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(tmp_path: Path, name: str, content: str, why: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RequestError, match=f"^reference .*{name}.*({why})"):
        open_reference(path, EPSG)


def test_files_that_say_too_little_or_too_much_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^reference: no file "):
        open_reference(tmp_path / "missing.gpkg", EPSG)
    path = tmp_path / "r.gpkg"
    points, fields = evaluation_kit.points(ROWS), evaluation_kit.parcels([((0, 0, 5, 5), "a")])
    points.to_file(path, layer="one")
    fields.to_file(path, layer="two")
    with pytest.raises(RequestError, match=r"has 2 layers with a geometry \(one \(Point\), two \(Polygon\)\)"):
        open_reference(path, EPSG)
    assert open_reference(path, EPSG, layer="two").parcels
    with pytest.raises(RequestError, match=r"^layer: .* has no layer 'three'"):
        open_reference(path, EPSG, layer="three")
    mixed = tmp_path / "mixed.geojson"
    geopandas.GeoDataFrame({"crop": ["a", "b"]}, geometry=[points.geometry[0], fields.geometry[0]], crs=EPSG).to_file(
        mixed
    )
    with pytest.raises(RequestError, match="holds points and parcels"):
        open_reference(mixed, EPSG)
    nowhere = tmp_path / "nowhere.shp"
    points.to_file(nowhere)
    nowhere.with_suffix(".prj").unlink()
    with pytest.raises(RequestError, match="has no coordinate system"):
        open_reference(nowhere, EPSG)
