"""Areas given as files, and areas too long for a request."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pytest
import shapes_kit
from shapely.geometry import Point, box

from catalog.area import as_geojson, parse_area
from catalog.area_file import LONGEST_INLINE, area_value, settled
from catalog.errors import RequestError
from catalog.storage.store import Store

FIELDS = [box(4.0, 50.0, 4.1, 50.1), box(4.2, 50.0, 4.3, 50.1)]


def test_geojson_and_a_geopackage_in_another_system_say_the_same(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"crop": ["a", "b"]}, geometry=FIELDS, crs=4326)
    frame.to_file(tmp_path / "fields.geojson")
    frame.to_crs(32631).to_file(tmp_path / "fields.gpkg", layer="fields")
    expected = parse_area(json.loads((tmp_path / "fields.geojson").read_text()))
    assert parse_area(area_value(str(tmp_path / "fields.geojson"))).equals(expected)
    other = parse_area(area_value(str(tmp_path / "fields.gpkg")))
    assert other.symmetric_difference(expected).area < 1e-9


def test_layers_without_polygons_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    geopandas.GeoDataFrame(geometry=FIELDS, crs=4326).to_file(path, layer="fields")
    geopandas.GeoDataFrame(geometry=[Point(4, 50)], crs=4326).to_file(path, layer="trees")
    assert parse_area(area_value(str(path))).area == pytest.approx(0.02)
    geopandas.GeoDataFrame(geometry=FIELDS, crs=4326).to_file(path, layer="others")
    with pytest.raises(RequestError, match=r"2 layers of polygons.*fields \(Polygon\), trees \(Point\), others"):
        area_value(str(path))


def test_what_is_no_file_of_areas_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.geojson").write_text("not json")
    (tmp_path / "list.geojson").write_text("[1, 2]")
    (tmp_path / "broken.gpkg").write_bytes(b"SQLite format 3\x00" + bytes(500))
    for name, said in {
        "none.geojson": "there is no file",
        "text.geojson": "is no vector file that is read, and is not JSON",
        "list.geojson": "holds a JSON list",
        "broken.gpkg": "can't be read",
        "a\x00b": "characters that no path has",
        "n" * 5000: "characters long|too long|there is no file",
    }.items():
        with pytest.raises(RequestError, match=said) as refused:
            area_value(str(tmp_path / name))
        assert len(str(refused.value)) < 900
        assert "\n" not in str(refused.value)
    with pytest.raises(RequestError, match="an address is not read"):
        area_value("https://example.com/aoi.geojson")


def test_a_long_area_lies_in_the_store_under_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    short = parse_area(as_geojson(FIELDS[0]))
    assert settled(store, short, "field.geojson") == as_geojson(FIELDS[0])
    assert not store.areas.exists()
    long = parse_area({"type": "Polygon", "coordinates": [shapes_kit.wavy_ring(4.0, 50.0, 0.2, 24_000)]})
    assert len(json.dumps(as_geojson(long))) > LONGEST_INLINE
    kept = settled(store, long, None)
    assert isinstance(kept, str)
    assert Path(kept).parent == store.areas
    assert parse_area(area_value(kept)).equals_exact(long)
    assert settled(store, parse_area(area_value(kept)), kept) == kept
    Path(kept).write_text(json.dumps(as_geojson(short)))
    with pytest.raises(RequestError, match="no longer holds the area"):
        settled(store, parse_area(area_value(kept)), kept)
