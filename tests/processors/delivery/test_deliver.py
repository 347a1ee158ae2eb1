"""What a delivery holds: each file against values worked out by hand or read by another library."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import delivery_kit
import numpy as np
import pystac
import pytest
import rasterio
from PIL import Image
from shapely.geometry import Polygon, box

from catalog.errors import DeliveryError
from catalog.legend import LegendClass
from processors.delivery.areas import AreaTable, ClassArea, count_areas, write_areas
from processors.delivery.deliver import deliver

NOTICE = "Contains modified Copernicus Sentinel data 2019"


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    """A crop map of 30 x 20 pixels."""
    area = delivery_kit.window(30, 20)
    files = deliver(
        tmp_path / "delivery",
        delivery_kit.crop_rasters(tmp_path, area),
        (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE),
        delivery_kit.facts(area),
    )
    assert [path.name for path in files] == [
        "crop_map.tif", "confidence.tif", "crop_map.qml", "crop_map.tif.aux.xml", "areas.csv", "overview.png", "report.html",
        "request.json", "item.json",
    ]  # fmt: skip
    assert sorted(files) == sorted((tmp_path / "delivery").iterdir())
    return tmp_path / "delivery"


def test_rasters_are_cloud_optimized_and_hold_the_same_pixels(tmp_path: Path) -> None:
    area = delivery_kit.window(1100, 600)
    mosaics = delivery_kit.crop_rasters(tmp_path, area)
    deliver(tmp_path / "delivery", mosaics, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), delivery_kit.facts(area))
    for name, mosaic in mosaics.items():
        with rasterio.open(tmp_path / "delivery" / f"{name}.tif") as cog, rasterio.open(mosaic) as source:
            assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert cog.profile["tiled"]
            assert cog.block_shapes == [(512, 512)]
            assert cog.overviews(1) == [2, 4]
            assert cog.transform == area.transform
            assert cog.crs.to_epsg() == 32631
            np.testing.assert_array_equal(cog.read(), source.read())
    with rasterio.open(tmp_path / "delivery" / "crop_map.tif", overview_level=0) as small:
        assert set(np.unique(small.read())) <= {0, 1, 2, 5, 255}
    with rasterio.open(tmp_path / "delivery" / "confidence.tif", overview_level=0) as small:
        # Rows 2 and 3 are wheat (0.75); rows 8 and 9 sugar beet and background (0.25); row 0 says nothing, row 1 is wheat.
        np.testing.assert_allclose(small.read(1)[[0, 1, 4], 7], [0.75, 0.75, 0.25])


def test_a_class_map_carries_colours_and_names(delivered: Path) -> None:
    with rasterio.open(delivered / "crop_map.tif") as raster:
        colours = raster.colormap(1)
        assert colours[1] == (0xE2, 0xB9, 0x3B, 255)
        assert colours[5] == (0x3D, 0x5A, 0x80, 255)
        assert colours[0] == (0xE6, 0xE2, 0xD8, 255)
        assert raster.nodata == 255
        assert raster.descriptions == ("Crop",)
        assert raster.tags()["CROPLINE_CLASSES"] == "0 not cropland; 1 winter wheat; 2 maize; 5 sugar beet"


def test_rasters_say_what_they_are(delivered: Path) -> None:
    for name in ("crop_map", "confidence"):
        with rasterio.open(delivered / f"{name}.tif") as raster:
            tags = raster.tags()
        assert tags["TIFFTAG_COPYRIGHT"] == NOTICE
        assert tags["TIFFTAG_SOFTWARE"] == "Cropline 0.1.0"
        assert tags["CROPLINE_REQUEST"] == "0123456789ab"
        assert tags["CROPLINE_SYNTHETIC"] == "no"
        assert tags["CROPLINE_MODEL"].startswith("flanders abab")
        assert tags["CROPLINE_NOTES"].startswith("Not masked to cropland")


def test_hectares_are_pixels_counted(delivered: Path) -> None:
    lines = (delivered / "areas.csv").read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert "no estimate of crop areas" in comments[0]
    assert "# Percent is of the mapped 540 pixels; no data on 0.60 ha." in comments
    assert f"# {NOTICE}" in comments
    assert any("Not masked to cropland" in line for line in comments)
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    # 20 rows of 30 pixels: of every ten 1 no data, 3 wheat, 3 maize, 2 sugar beet, 1 not cropland.
    assert [(row["value"], row["class"], row["hectares"], row["pixels"], row["percent"]) for row in rows] == [
        ("0", "not cropland", "0.60", "60", "11.11"),
        ("1", "winter wheat", "1.80", "180", "33.33"),
        ("2", "maize", "1.80", "180", "33.33"),
        ("5", "sugar beet", "1.20", "120", "22.22"),
    ]


def test_no_cell_of_the_hectares_is_a_formula(tmp_path: Path) -> None:
    entry = LegendClass(value=1, name="=cmd|' /C calc'!A0", colour="#112233", source_codes=(1,))
    write_areas(tmp_path / "areas.csv", AreaTable((ClassArea(entry, 100, 100.0),), 0), ("labels x, =1+1",))
    lines = (tmp_path / "areas.csv").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "1,'=cmd|' /C calc'!A0,1.00,100,100.00", "numbers stay numbers"
    assert "# labels x,' =1+1" in lines


def test_no_data_outside_the_area_is_not_counted_as_unmapped(tmp_path: Path) -> None:
    area = delivery_kit.window(4, 4)
    values = np.full((4, 4), 255, np.uint8)
    values[1:, :2] = 1
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, area, values)
    west, south, _, north = area.bounds
    left_half = Polygon([(west, south), (west + 20, south), (west + 20, north), (west, north)])
    table = count_areas(path, delivery_kit.LEGEND, left_half)
    assert table.mapped == 6
    assert table.unmapped == 2


def test_a_crop_mask_adds_its_background_to_a_legend_without(tmp_path: Path) -> None:
    area = delivery_kit.window(4, 4)
    values = np.ones((4, 4), np.uint8)
    values[0] = 0
    variable = delivery_kit.CROP_MAP.model_copy(update={"legend": delivery_kit.WITHOUT_BACKGROUND})
    path = delivery_kit.write_raster(tmp_path, variable, area, values)
    west, south, east, north = area.bounds
    square = Polygon([(west, south), (east, south), (east, north), (west, north)])
    rows = {row.entry.name: row.pixels for row in count_areas(path, delivery_kit.WITHOUT_BACKGROUND, square).rows}
    assert rows == {"outside the crop mask": 4, "winter wheat": 12, "maize": 0, "sugar beet": 0}


def test_a_value_that_the_legend_does_not_name_is_refused(tmp_path: Path) -> None:
    area = delivery_kit.window(4, 4)
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, area, np.full((4, 4), 17, np.uint8))
    with pytest.raises(DeliveryError, match=r"crop_map.tif holds the values \[17\]"):
        count_areas(path, delivery_kit.LEGEND, box(*area.bounds))


def test_the_item_describes_every_file_with_its_checksum(delivered: Path) -> None:
    item = pystac.Item.from_file(str(delivered / "item.json"))
    assert {asset.href.removeprefix("./") for asset in item.assets.values()} == {
        path.name for path in delivered.iterdir()
    } - {"item.json"}
    for asset in item.assets.values():
        content = (delivered / asset.href).read_bytes()
        # A multihash: 0x12 is SHA-256, 0x20 its 32 bytes.
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert asset.extra_fields["file:size"] == len(content)
        assert asset.roles
    assert item.assets["crop_map"].media_type == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert item.assets["crop_map"].extra_fields["proj:shape"] == [20, 30]
    assert item.assets["crop_map"].extra_fields["proj:transform"] == [10, 0, 560_000, 0, -10, 5_620_000]
    assert item.assets["confidence"].extra_fields["bands"] == [
        {"name": "confidence", "data_type": "float32", "nodata": "nan", "unit": "1"}
    ]
    classes = item.assets["crop_map"].extra_fields["classification:classes"]
    assert classes[1] == {"value": 1, "name": "winter_wheat", "description": "winter wheat", "color_hint": "E2B93B"}


def test_the_item_tells_what_the_map_was_made_of(delivered: Path) -> None:
    content = json.loads((delivered / "item.json").read_text())
    assert content["stac_version"] == "1.1.0"
    properties = content["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2019-04-10T10:50:00Z"
    assert properties["end_datetime"] == "2019-06-09T10:50:00Z"
    assert properties["proj:code"] == "EPSG:32631"
    assert properties["attribution"] == NOTICE
    assert properties["cropline:request_digest"] == "0123456789ab"
    assert properties["cropline:synthetic"] is False
    assert (properties["cropline:low_sun"], properties["cropline:masks"]) == ([], [])
    assert properties["cropline:products"] == [
        "S2A_MSIL2A_20190410_T31UES", "S2A_MSIL2A_20190520_T31UES", "S2A_MSIL2A_20190609_T31UES",
    ]  # fmt: skip
    assert properties["cropline:model"]["checksum"] == "ab" * 32
    assert properties["processing:software"] == {"Cropline": "0.1.0"}
    west, south, east, north = content["bbox"]
    assert 3.8 < west < east < 3.9
    assert 50.7 < south < north < 50.8


def test_the_request_can_be_run_again(delivered: Path) -> None:
    assert (
        json.loads((delivered / "request.json").read_text()) == delivery_kit.facts(delivery_kit.window(30, 20)).request
    )


def test_synthetic_data_are_marked_in_every_file(tmp_path: Path) -> None:
    area = delivery_kit.window(30, 20)
    facts = delivery_kit.facts(area, synthetic=True)
    folder = tmp_path / "delivery"
    deliver(folder, delivery_kit.crop_rasters(tmp_path, area), (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), facts)
    for name in ("crop_map", "confidence"):
        with rasterio.open(folder / f"{name}.tif") as raster:
            assert raster.tags()["CROPLINE_SYNTHETIC"] == "yes"
            assert raster.tags()["TIFFTAG_COPYRIGHT"].startswith("SYNTHETIC DATA")
    with Image.open(folder / "overview.png") as picture:
        assert picture.text["Synthetic"] == "yes"  # type: ignore[attr-defined]
        assert picture.text["Copyright"].startswith("SYNTHETIC DATA")  # type: ignore[attr-defined]
        assert picture.convert("RGB").getpixel((40, 20)) == (0xFF, 0xC5, 0x3D)  # the banner
    for name in ("areas.csv", "report.html", "item.json"):
        assert "SYNTHETIC DATA" in (folder / name).read_text(encoding="utf-8"), name
    item = json.loads((folder / "item.json").read_text())
    assert item["properties"]["cropline:synthetic"] is True
    assert [provider["name"] for provider in item["properties"]["providers"]] == ["Cropline"]
    for name in ("crop_map.tif", "areas.csv", "report.html", "item.json"):
        assert NOTICE.encode() in (folder / name).read_bytes()  # as what a real delivery would be marked with


def test_a_processor_without_classes_delivers_no_hectares(tmp_path: Path) -> None:
    area = delivery_kit.window(40, 30)
    facts = delivery_kit.facts(area, processor="vegetation", processor_title="NDVI", model=None, scores=(), notes=())
    files = deliver(
        tmp_path / "delivery",
        delivery_kit.vegetation_rasters(tmp_path, area),
        (delivery_kit.NDVI, delivery_kit.DEVIATION),
        facts,
    )
    assert [path.name for path in files] == [
        "ndvi.tif", "ndvi_deviation.tif", "overview.png", "report.html", "request.json", "item.json",
    ]  # fmt: skip
    with rasterio.open(files[0]) as raster:
        assert raster.descriptions == ("2019-04", "2019-05", "2019-06")
        assert "CROPLINE_MODEL" not in raster.tags()
        np.testing.assert_allclose(raster.read()[:, 3, 3], [0.2, 0.5, 0.8], rtol=1e-6)


def test_two_runs_of_one_request_deliver_the_same_rasters(tmp_path: Path) -> None:
    area = delivery_kit.window(600, 530)
    found = []
    for name, created in (("one", "2026-11-01T12:00:00Z"), ("two", "2026-11-02T13:00:00Z")):
        (tmp_path / name).mkdir()
        mosaics = delivery_kit.crop_rasters(tmp_path / name, area)
        facts = delivery_kit.facts(area, created=created, seconds={"ingest": float(len(found))})
        files = deliver(tmp_path / name / "delivery", mosaics, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), facts)
        found.append([path.read_bytes() for path in files[:3]])
    assert found[0] == found[1]


def test_seasons_of_two_years_name_both() -> None:
    area = delivery_kit.window(4, 4)
    season = delivery_kit.season()
    early = season.acquisitions[0].model_copy(update={"time": datetime(2018, 11, 2, 10, 50, tzinfo=UTC)})
    longer = season.model_copy(update={"acquisitions": (early, *season.acquisitions)})
    assert delivery_kit.facts(area, season=longer).notice == "Contains modified Copernicus Sentinel data 2018-2019"


def test_names_with_other_letters_arrive_whole(tmp_path: Path) -> None:
    area = delivery_kit.window(10, 10)
    entries = [delivery_kit.LEGEND.entries[0], *(entry.model_copy() for entry in delivery_kit.LEGEND.classes)]
    entries[1] = entries[1].model_copy(update={"name": "Blé d'été, „Zuckerrübe“"})
    variable = delivery_kit.CROP_MAP.model_copy(update={"legend": type(delivery_kit.LEGEND)(entries=tuple(entries))})
    mosaics = delivery_kit.crop_rasters(tmp_path, area)
    deliver(tmp_path / "delivery", mosaics, (variable, delivery_kit.CONFIDENCE), delivery_kit.facts(area))
    with (tmp_path / "delivery" / "areas.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    assert rows[2][1] == "Blé d'été, „Zuckerrübe“"
    with rasterio.open(tmp_path / "delivery" / "crop_map.tif") as raster:
        assert "Blé d'été, „Zuckerrübe“" in raster.tags()["CROPLINE_CLASSES"]


def test_a_missing_mosaic_is_named(tmp_path: Path) -> None:
    area = delivery_kit.window(4, 4)
    mosaics = {"crop_map": delivery_kit.crop_rasters(tmp_path, area)["crop_map"]}
    with pytest.raises(DeliveryError, match="no mosaic of confidence"):
        deliver(
            tmp_path / "delivery", mosaics, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), delivery_kit.facts(area)
        )
