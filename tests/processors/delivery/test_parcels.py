"""Parcels, names and colours of a delivery, read back by other libraries."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import delivery_kit
import geopandas
import numpy as np
import pyogrio
import pystac
import pytest
import rasterio
import stac_kit
import views_kit
from defusedxml import ElementTree
from pyarrow import parquet
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import box

from catalog.grid import Window
from catalog.legend import Legend, LegendClass
from catalog.registry import Registry
from catalog.storage.store import open_store
from processors.delivery.deliver import deliver
from processors.delivery.stac_item import make_item
from processors.views.parcels import Map
from processors.views.views import Views

WINDOW = Window(32631, views_kit.CELL.window.left + 70, views_kit.CELL.window.top - 30, 300, 290)
NASTY = Legend(
    entries=(
        LegendClass(value=0, name="<b>not</b> cropland", colour="#e6e2d8", role="background"),
        LegendClass(value=1, name='=HYPERLINK("http://evil","wheat")', colour="#e2b93b"),
        LegendClass(value=2, name="<script>alert('1')</script>", colour="#d1495b"),
        LegendClass(value=5, name="sugar | \"beet\" & 'root'", colour="#3d5a80"),
    )
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Map, Views]:
    """Fields with speckles, and the views of a season over them."""
    folder = tmp_path_factory.mktemp("made")
    values = views_kit.fields(WINDOW.shape, 70, values=(0, 1, 2, 5))
    random = np.random.default_rng(3)
    values[random.random(WINDOW.shape) < 0.01] = 2
    values[:3] = 255
    confidence = np.where(values == 255, np.nan, np.where(values == 1, 0.4, 0.75)).astype(np.float32)
    of_map = views_kit.class_map(folder, WINDOW, values, confidence)
    season = views_kit.season((0.5, 0.9))
    return of_map, views_kit.views(folder / "views", views_kit.ground(folder, WINDOW, 2), of_map, season)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory, made: tuple[Map, Views]) -> Path:
    of_map, views = made
    folder = tmp_path_factory.mktemp("out") / "map"
    files = deliver(folder, of_map.rasters, of_map.variables, delivery_kit.facts(WINDOW), views)
    assert [path.name for path in files] == [
        "crop_map.tif", "confidence.tif", "clear_count.tif", "crop_map.qml", "crop_map.tif.aux.xml", "areas.csv", "parcels.parquet",
        "parcels.gpkg", "overview.png", "report.html", "request.json", "item.json",
    ]  # fmt: skip
    assert sorted(files) == sorted(folder.iterdir())
    return folder


def areas(folder: Path) -> list[dict[str, str]]:
    lines = (folder / "areas.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def checksums(folder: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_hectares_of_parcels_and_of_what_is_smaller_are_those_of_the_table(delivered: Path) -> None:
    parcels = geopandas.read_parquet(delivered / "parcels.parquet")
    rows = {row["class"]: row for row in areas(delivered)}
    assert rows["not cropland"]["in_parcels_ha"] == ""
    for crop in ("winter wheat", "maize", "sugar beet"):
        own = parcels[parcels["crop"] == crop]
        small = own["note"].eq("below 0.5 ha").fillna(False)
        assert own["hectares"].sum() == pytest.approx(float(rows[crop]["hectares"]), abs=0.005)
        assert own["hectares"][~small].sum() == pytest.approx(float(rows[crop]["in_parcels_ha"]), abs=0.005)
        assert own["hectares"][small].sum() == pytest.approx(float(rows[crop]["below_0.5_ha"]), abs=0.005)
        assert (own["hectares"][~small] >= 0.5).all()
        assert own.geometry[small].is_empty.all()
        assert not own.geometry[~small].is_empty.any()
    assert float(rows["maize"]["below_0.5_ha"]) > 1, "speckles"


def test_the_share_of_uncertain_pixels_stands_beside_each_class(delivered: Path) -> None:
    shares = {row["class"]: row["uncertain_percent"] for row in areas(delivered)}
    assert shares == {"not cropland": "0.00", "winter wheat": "100.00", "maize": "0.00", "sugar beet": "0.00"}
    assert "# Uncertain: confidence below 0.5" in (delivered / "areas.csv").read_text(encoding="utf-8")


def test_what_a_crop_mask_leaves_out_is_not_called_uncertain(tmp_path: Path) -> None:
    values = np.repeat(np.array([[0, 0, 1, 1]], np.uint8), 4, axis=0)
    sure = np.array(
        [[np.nan] * 4, [np.nan, 0.9, 0.9, 0.4], [np.nan, 0.4, 0.9, 0.9], [np.nan, 0.9, 0.9, 0.9]], np.float32
    )
    sure[0, 2:] = 0.9
    window = Window(32631, WINDOW.left, WINDOW.top, 4, 4)
    of_map = views_kit.class_map(tmp_path, window, values, sure)
    deliver(tmp_path / "map", of_map.rasters, of_map.variables, delivery_kit.facts(window))
    shares = {row["class"]: row["uncertain_percent"] for row in areas(tmp_path / "map")}
    assert shares == {"not cropland": "33.33", "winter wheat": "12.50", "maize": "", "sugar beet": ""}
    sure[:, :2] = np.nan
    of_map = views_kit.class_map(tmp_path, window, values, sure)
    deliver(tmp_path / "masked", of_map.rasters, of_map.variables, delivery_kit.facts(window))
    assert areas(tmp_path / "masked")[0]["uncertain_percent"] == "", "nothing is known of it"
    assert (
        "100.0 %"
        not in (tmp_path / "masked" / "report.html").read_text(encoding="utf-8").split("Hectares per class")[1][:3000]
    )


def test_geoparquet_has_the_fields_of_fiboa(delivered: Path) -> None:
    schema = parquet.read_schema(delivered / "parcels.parquet")
    geo, collection = (json.loads(schema.metadata[key]) for key in (b"geo", b"collection"))
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert any("fiboa.org/specification/v0.3.0" in url for urls in collection["schemas"].values() for url in urls)
    assert not schema.field("id").nullable
    assert str(schema.field("id").type) == "string"
    assert collection["collection"] in collection["schemas"]
    parcels = geopandas.read_parquet(delivered / "parcels.parquet")
    assert parcels["id"].is_unique
    near = geopandas.read_parquet(delivered / "parcels.parquet", bbox=tuple(parcels.geometry.iloc[0].bounds))
    assert 0 < len(near) < len(parcels), "found by their bounds"
    fields = parcels[parcels["note"].isna()]
    np.testing.assert_allclose(fields["metrics:area"], fields.area, rtol=1e-6)
    np.testing.assert_allclose(fields["metrics:area"] / 1e4, fields["hectares"], rtol=0.15, atol=0.06)
    assert set(parcels["determination:method"]) == {"auto-imagery"}
    assert {str(when.date()) for when in parcels["determination:datetime"]} == {"2019-06-09"}, (
        "of the last acquisition used"
    )
    assert fields["ndvi_peak_date"].dropna().isin([date(2019, 4, 1), date(2019, 4, 6)]).all()


def test_the_geopackage_has_the_same_rows(delivered: Path) -> None:
    first = geopandas.read_parquet(delivered / "parcels.parquet")
    second = pyogrio.read_dataframe(delivered / "parcels.gpkg")
    assert [(str(name), kind) for name, kind in pyogrio.list_layers(delivered / "parcels.gpkg")] == [
        ("parcels", "MultiPolygon")
    ]
    assert second.crs.to_epsg() == 32631
    assert list(second["id"]) == list(first["id"])
    assert list(second["crop"]) == list(first["crop"])
    np.testing.assert_allclose(second["hectares"], first["hectares"])
    assert second.geometry.iloc[0].equals(first.geometry.iloc[0])


def test_the_same_parcels_give_the_same_bytes(tmp_path: Path, made: tuple[Map, Views], delivered: Path) -> None:
    of_map, views = made
    time.sleep(1.1)  # a GeoPackage says to the second when it was changed
    deliver(tmp_path / "map", of_map.rasters, of_map.variables, delivery_kit.facts(WINDOW), views)
    names = ("parcels.parquet", "parcels.gpkg", "crop_map.qml", "crop_map.tif.aux.xml", "clear_count.tif", "areas.csv")
    assert checksums(tmp_path / "map", *names) == checksums(delivered, *names)
    with sqlite3.connect(delivered / "parcels.gpkg") as package:
        assert package.execute("SELECT last_change FROM gpkg_contents").fetchall() == [("2019-06-09T10:50:00.000Z",)]


def test_gdal_and_qgis_find_names_and_colours_of_what_the_map_shows(delivered: Path) -> None:
    style = ElementTree.parse(delivered / "crop_map.qml").getroot()
    palette = [(entry.get("value"), entry.get("label"), entry.get("color")) for entry in style.iter("paletteEntry")]
    assert palette == [
        ("0", "not cropland", "#e6e2d8"),
        ("1", "winter wheat", "#e2b93b"),
        ("2", "maize", "#d1495b"),
        ("5", "sugar beet", "#3d5a80"),
    ]
    table = ElementTree.parse(delivered / "crop_map.tif.aux.xml").getroot()
    assert [entry.text or "" for entry in table.iter("Category")] == [
        "not cropland", "winter wheat", "maize", "", "", "sugar beet",
    ]  # fmt: skip
    with rasterio.open(delivered / "crop_map.tif") as raster:
        assert sorted(map(Path, raster.files)) == [delivered / "crop_map.tif", delivered / "crop_map.tif.aux.xml"]
        values, counts = np.unique(raster.read(1), return_counts=True)
    rows = [[cell.text for cell in row] for row in table.iter("Row")]
    shown = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert rows[1] == ["1", "winter wheat", str(shown[1]), "226", "185", "59"]


def test_names_of_classes_are_data(tmp_path: Path, made: tuple[Map, Views]) -> None:
    of_map, views = made
    variables = (delivery_kit.CROP_MAP.model_copy(update={"legend": NASTY}), delivery_kit.CONFIDENCE)
    frame = geopandas.read_parquet(views.parcels)
    frame["crop"] = [next(entry.name for entry in NASTY.entries if entry.value == value) for value in frame["value"]]
    frame.to_parquet(tmp_path / "parcels.parquet")
    changed = Views(
        **{**{name: getattr(views, name) for name in views.__slots__}, "parcels": tmp_path / "parcels.parquet"}
    )
    folder = tmp_path / "map"
    deliver(folder, of_map.rasters, variables, delivery_kit.facts(WINDOW), changed)
    names = [entry.name for entry in NASTY.entries]
    style = ElementTree.parse(folder / "crop_map.qml").getroot()
    assert [entry.get("label") for entry in style.iter("paletteEntry")] == names
    table = ElementTree.parse(folder / "crop_map.tif.aux.xml").getroot()
    assert [row[1].text for row in table.iter("Row")] == names
    assert not list(style.iter("script"))
    assert [row["class"] for row in areas(folder)] == [names[0], f"'{names[1]}", *names[2:]]
    assert "<script>alert" not in (folder / "report.html").read_text(encoding="utf-8")
    classes = json.loads((folder / "item.json").read_text(encoding="utf-8"))["assets"]["crop_map"][
        "classification:classes"
    ]
    assert [(each["name"], each["description"]) for each in classes] == list(
        zip(
            ("b_not_b_cropland", "HYPERLINK_http_evil_wheat", "script_alert_1_script", "sugar_beet_root"),
            names,
            strict=True,
        )
    )
    assert set(pyogrio.read_dataframe(folder / "parcels.gpkg")["crop"]) == set(names[1:])


def test_without_parcels_there_are_neither_files_nor_columns(tmp_path: Path, made: tuple[Map, Views]) -> None:
    of_map, _ = made
    files = deliver(tmp_path / "map", of_map.rasters, of_map.variables, delivery_kit.facts(WINDOW))
    assert not {"parcels.parquet", "parcels.gpkg", "clear_count.tif"} & {path.name for path in files}
    assert list(areas(tmp_path / "map")[0]) == ["value", "class", "hectares", "pixels", "percent", "uncertain_percent"]


def test_item_and_catalogue_are_valid_by_the_schemas_that_they_name(tmp_path: Path, delivered: Path) -> None:
    item = json.loads((delivered / "item.json").read_text(encoding="utf-8"))
    assert stac_kit.faults(item) == []
    assert len(item["stac_extensions"]) == 4
    asset = item["assets"]["crop_map"]
    wrong = {**item, "assets": {**item["assets"], "crop_map": {**asset, "file:size": -1}}}
    assert stac_kit.faults(wrong), "the schemas say something"
    store = open_store(str(tmp_path / "store"))
    listed = Registry(store).add_map(delivered / "item.json")
    for document in (listed, store.maps / "catalog.json"):
        assert stac_kit.faults(json.loads(document.read_text(encoding="utf-8"))) == []
    catalog = pystac.Catalog.from_file(str(store.maps / "catalog.json"))
    (found,) = catalog.get_items()
    assert {link.rel for link in found.links} >= {"root", "parent", "license"}
    for each in found.assets.values():
        assert Path(str(each.get_absolute_href())).is_file()


def test_rasters_pass_as_cloud_optimized(delivered: Path) -> None:
    for name in ("crop_map", "confidence", "clear_count"):
        assert cog_validate(delivered / f"{name}.tif", strict=True) == (True, [], [])


def test_the_item_describes_every_file(delivered: Path) -> None:
    item = json.loads((delivered / "item.json").read_text(encoding="utf-8"))
    described = {asset["href"].removeprefix("./"): asset for asset in item["assets"].values()}
    assert set(described) == {path.name for path in delivered.iterdir()} - {"item.json"}
    assert item["assets"]["crop_map"]["href"] == "./crop_map.tif"
    assert described["parcels.parquet"]["type"] == "application/vnd.apache.parquet"
    assert described["clear_count.tif"]["bands"][0]["unit"] == "acquisitions"
    rasters = [asset for asset in described.values() if "proj:shape" in asset]
    assert [asset["proj:code"] for asset in rasters] == ["EPSG:32631"] * 3, "null would say that a raster is nowhere"
    by_type = defaultdict(list)
    for name, asset in described.items():
        by_type[asset["type"]].append(name)
    assert sorted(by_type["image/tiff; application=geotiff; profile=cloud-optimized"]) == [
        "clear_count.tif", "confidence.tif", "crop_map.tif",
    ]  # fmt: skip
    assert box(*item["bbox"]).area > 0


def test_classes_of_other_scripts_have_words_of_their_own_in_the_item(tmp_path: Path, made: tuple[Map, Views]) -> None:
    names = ("小麦", "Maïs", "ma s")
    entries = tuple(
        entry.model_copy(update={"name": name}) for entry, name in zip(delivery_kit.LEGEND.classes, names, strict=True)
    )
    variables = (
        delivery_kit.CROP_MAP.model_copy(update={"legend": Legend(entries=(delivery_kit.LEGEND.entries[0], *entries))}),
    )
    item = make_item(delivery_kit.facts(WINDOW), [made[0].rasters["crop_map"]], variables)
    classes = item["assets"]["crop_map"]["classification:classes"]
    assert [each["name"] for each in classes] == ["not_cropland", "class_1", "Ma_s_2", "ma_s_5"]
