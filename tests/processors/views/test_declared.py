"""Parcels that a request names: what is read of their file, and what a map says of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import views_kit
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from catalog.errors import RequestError
from catalog.grid import Window, inside
from processors.views.declared import Declared, DeclaredLayers, open_declared
from processors.views.parcels import Map
from processors.views.views import Views

WINDOW = Window(32631, views_kit.CELL.window.left + 70, views_kit.CELL.window.top - 30, 300, 290)
WEST, SOUTH, EAST, NORTH = WINDOW.bounds
AREA = box(*WINDOW.bounds)


def at(column: float, row: float, width: float, height: float) -> Polygon:
    """A rectangle by pixels from the window's north-west corner."""
    return box(WEST + 10 * column, NORTH - 10 * (row + height), WEST + 10 * (column + width), NORTH - 10 * row)


PARCELS: dict[str, BaseGeometry | None] = {
    "plain": at(10, 10, 20, 10),
    "with a hole": at(50, 10, 20, 20).difference(at(55, 15, 10, 10)),
    "two parts": MultiPolygon([at(100, 10, 10, 10), at(130, 10, 10, 10)]),
    "sliver": at(10.1, 40.1, 30, 0.2),
    "over the first": at(15, 10, 20, 10),
    "out of the area in part": at(-10, 100, 20, 10),
    "nothing of it": at(-30, 100, 10, 10),
    "far away": at(5000, 5000, 10, 10),
    "bow tie": Polygon([(WEST + x, NORTH - y) for x, y in ((2000, 2000), (2200, 2200), (2200, 2000), (2000, 2200))]),
    "a line": LineString([(WEST + 100, NORTH - 100), (WEST + 500, NORTH - 100)]),
    "a point": Point(WEST + 100, NORTH - 100),
    "no geometry": None,
}  # fmt: skip
USED = ["plain", "with a hole", "two parts", "sliver", "over the first", "out of the area in part", "bow tie"]


def frame(**columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(
        {"farm": list(PARCELS), "crop": "as declared", "id": range(100, 100 + len(PARCELS)), **columns},
        geometry=list(PARCELS.values()),
        crs="EPSG:32631",
    )


def opened(path: Path, **given: Any) -> Declared:
    return open_declared(path, AREA, 32631, **given)


@pytest.mark.parametrize(
    ("name", "crs"), [("a.gpkg", 32631), ("a.gpkg", 31370), ("a.geojson", 4326), ("a.parquet", 3857), ("a.fgb", 32632)]
)
def test_parcels_of_any_form_and_coordinate_system(tmp_path: Path, name: str, crs: int) -> None:
    table = frame().to_crs(crs)
    if name.endswith(".parquet"):
        table.to_parquet(tmp_path / name, write_covering_bbox=True)
    else:
        table[table.geometry.notna() | (not name.endswith(".fgb"))].to_file(tmp_path / name)
    found = opened(tmp_path / name)
    order = list(range(len(USED)))
    if name.endswith(".fgb"):  # a file that keeps another order than it was given
        order.sort(key=lambda number: USED.index(found.columns["farm"][number]))
    assert list(found.columns["farm"].iloc[order]) == USED
    assert list(found.columns["declared_id"].iloc[order]) == [100 + list(PARCELS).index(name) for name in USED]
    assert set(found.columns["declared_crop"]) == {"as declared"}
    assert found.outside == 2, "of the rows that have a place"
    assert "points or lines only" in found.unused
    for number, key in zip(order, USED, strict=True):
        expected = PARCELS[key]
        assert expected is not None
        if expected.is_valid:
            assert found.polygons[number].symmetric_difference(expected).area < 0.02 * expected.area + 1


def test_rows_that_lie_elsewhere_are_counted_and_told(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "a.gpkg")
    first, second = opened(tmp_path / "a.gpkg").notes
    assert first == "parcels a.gpkg: 2 parcels lie outside of the area."
    assert second.startswith("parcels a.gpkg: 3 rows can't be used: ")


@pytest.fixture(scope="module")
def of_map(tmp_path_factory: pytest.TempPathFactory) -> Map:
    """Wheat in the western half and maize in the eastern one of every 20 columns, two rows without data."""
    values = np.where(np.arange(300) % 20 < 10, 1, 2).astype(np.uint8) * np.ones((290, 1), np.uint8)
    values[10:12] = 255
    confidence = np.where(values == 255, np.nan, np.where(values == 1, 0.9, 0.6)).astype(np.float32)
    return views_kit.class_map(tmp_path_factory.mktemp("map"), WINDOW, values, confidence)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> views_kit.Ground:
    return views_kit.ground(tmp_path_factory.mktemp("cube"), WINDOW, 3)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory, ground: views_kit.Ground, of_map: Map) -> Views:
    folder = tmp_path_factory.mktemp("run")
    frame().to_file(folder / "a.gpkg")
    declared = opened(folder / "a.gpkg")
    return views_kit.views(folder / "views", ground, of_map, views_kit.season((0.5, 0.9, 0.7)), declared)


def test_the_crop_of_most_pixels_is_a_parcels(views: Views, of_map: Map, ground: views_kit.Ground) -> None:
    parcels = geopandas.read_parquet(views.parcels)
    assert views.declared
    assert views.below == {}
    assert views.notes
    with rasterio.open(of_map.rasters["crop_map"]) as raster:
        classes = raster.read(1)
    for row in parcels.itertuples():
        within = inside(row.geometry, WINDOW)
        mapped = within & (classes != 255)
        kinds, counts = np.unique(classes[mapped], return_counts=True)
        assert row.pixels == mapped.sum(), row.farm
        if row.farm == "sliver":
            assert (row.pixels, row.value, row.hectares) == (0, 255, 0)
            assert str(row.crop) == "<NA>"
            continue
        assert row.value == kinds[counts.argmax()]
        assert row.share == pytest.approx(counts.max() / counts.sum())
        assert row.hectares == pytest.approx(row.pixels / 100)
        assert row.confidence == pytest.approx(np.where(classes == 1, 0.9, 0.6)[mapped].mean())
        assert views.curves is not None
        assert views.curves.parcels is not None
        curve = np.nanmean(ground.ndvi[:, within], axis=1)
        np.testing.assert_allclose(views.curves.parcels[row.id - 1], curve, rtol=1e-4, atol=1e-6)


def test_overlapping_parcels_each_have_all_their_pixels(views: Views) -> None:
    parcels = geopandas.read_parquet(views.parcels).set_index("farm")
    assert parcels.loc["plain", "pixels"] == parcels.loc["over the first", "pixels"] == 20 * 8


def test_of_ten_parcels_on_one_place_each_is_its_own_layer() -> None:
    polygons = np.array([at(10, 10, 5, 5)] * 10 + [at(15, 10, 5, 5), at(30, 10, 5, 5)], object)
    layers = DeclaredLayers(polygons).read(WINDOW)
    assert len(layers) == 10
    numbers = np.concatenate([layer[layer > 0] for layer in layers])
    assert np.bincount(numbers)[1:].tolist() == [25] * 12
    assert set(np.unique(layers[0])) == {0, 1, 11, 12}, "neighbours that touch don't overlap"


def test_parcels_that_lie_over_one_another_a_hundredfold_are_refused_at_once(tmp_path: Path) -> None:
    for count, name in ((50, "few.parquet"), (3000, "many.parquet")):
        geopandas.GeoDataFrame(geometry=[at(10, 10, 5, 5)] * count, crs=32631).to_parquet(tmp_path / name)
    assert len(opened(tmp_path / "few.parquet").polygons) == 50
    with pytest.raises(
        RequestError, match=r"more than 50 of them lie over one another. Remove those that stand there several"
    ):
        opened(tmp_path / "many.parquet")


def test_parcels_of_a_map_without_classes_have_curves_and_no_crop(
    tmp_path: Path, ground: views_kit.Ground, of_map: Map
) -> None:
    plain = Map({"confidence": of_map.rasters["confidence"]}, of_map.variables[1:], WINDOW, AREA)
    frame().to_file(tmp_path / "a.gpkg")
    found = views_kit.views(
        tmp_path / "views", ground, plain, views_kit.season((0.5, 0.9, 0.7)), opened(tmp_path / "a.gpkg")
    )
    parcels = geopandas.read_parquet(found.parcels).set_index("farm")
    assert parcels["crop"].isna().all()
    assert parcels.loc["plain", "pixels"] == 200
    assert parcels.loc["out of the area in part", "pixels"] == 100
    assert found.curves is not None
    assert found.curves.parcels is not None
    assert np.isfinite(found.curves.parcels[parcels.loc["plain", "id"] - 1]).all()


def test_names_of_columns_collide_with_none(tmp_path: Path) -> None:
    table = frame(Crop=1, declared_crop=2, fid=3, declared_fid="x", note="n", Farm=4.5)
    table.to_parquet(tmp_path / "a.parquet")
    names = list(opened(tmp_path / "a.parquet").columns)
    assert len({name.casefold() for name in names}) == len(names)
    assert not {name.casefold() for name in names} & {"crop", "id", "fid", "geometry"}
    assert "farm" in names


def test_columns_of_lists_and_objects_become_text(tmp_path: Path) -> None:
    features = [
        {
            "type": "Feature",
            "properties": {"a": {"b": 1}, "c": [1, 2], "d": True, "e": "=1+1", "f": None},
            "geometry": shapely.geometry.mapping(
                geopandas.GeoSeries([PARCELS["plain"]], crs=32631).to_crs(4326).iloc[0]
            ),
        }
    ]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    columns = opened(tmp_path / "a.geojson").columns
    assert json.loads(columns["a"][0]) == {"b": 1}
    assert columns["e"][0] == "=1+1"


def bad_files(folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    frame().to_file(folder / "a.gpkg")
    frame().to_file(folder / "two.gpkg", layer="one")
    frame().to_file(folder / "two.gpkg", layer="other")
    frame().set_crs(None, allow_override=True).to_parquet(folder / "nowhere.parquet")
    with pytest.warns(UserWarning, match="crs"):
        frame().set_crs(None, allow_override=True).to_file(folder / "nowhere.gpkg")
    frame()[frame()["farm"] == "far away"].to_file(folder / "far.gpkg")
    frame()[frame()["farm"] == "a point"].to_file(folder / "points.gpkg")
    (folder / "text.gpkg").write_text("no such thing")
    (folder / "cut.gpkg").write_bytes((folder / "a.gpkg").read_bytes()[:5000])
    (folder / "cut.parquet").write_bytes(b"PAR1 and no more")
    return {
        "none.gpkg": ({}, r"^parcels: no file .*none.gpkg"),
        "two.gpkg": ({}, r"has several layers of polygons \(one, other\). Name the one meant: parcels_layer"),
        "a.gpkg": ({"layer": "b"}, r"^parcels_layer: .* has no layer 'b'"),
        "nowhere.parquet": ({}, r"has no coordinate system. Set it"),
        "nowhere.gpkg": ({}, r"has no coordinate system. Set it"),
        "far.gpkg": ({}, r"none of its 1 rows lies in the area"),
        "points.gpkg": ({}, r"holds no polygons, but points \(Point\)"),
        "text.gpkg": ({}, r"can't be read \(it is no GeoPackage"),
        "cut.gpkg": ({}, r"^parcels .*cut.gpkg: "),
        "cut.parquet": ({}, r"^parcels .*cut.parquet: can't be read"),
    }


def test_files_that_cannot_be_used_are_refused_with_what_to_do(tmp_path: Path) -> None:
    for name, (given, message) in bad_files(tmp_path).items():
        with pytest.raises(RequestError, match=message):
            opened(tmp_path / name, **given)
