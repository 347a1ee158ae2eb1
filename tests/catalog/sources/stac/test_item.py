"""What is read from one STAC item, for every provider's way to say it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import ProductError
from catalog.products import Asset, Product
from catalog.sources.reach import Reach
from catalog.sources.stac.item import item_assets, item_product

SQUARE = {"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 50]]]}
URI = "S2B_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057.SAFE"
BASE = {"datetime": "2023-08-15T09:57:57.246Z", "processing:level": "L2A"}


def item(properties: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    described = {"type": "Feature", "id": "an-item", "geometry": SQUARE, "properties": {**BASE, **(properties or {})}}
    return {**described, **fields}


def product(properties: dict[str, Any] | None = None, **fields: Any) -> Product:
    return item_product(item(properties, **fields), "/archive/item.json")


def one_band(
    asset: dict[str, Any], properties: dict[str, Any] | None = None, key: str = "B04", href: str = "/archive/item.json"
) -> Asset:
    described = item(properties, assets={key: {"href": "B04.tif", **asset}})
    return item_assets(described, href, item_product(described, href), reach=Reach(Path("/")))["B04"]


def test_what_an_item_does_not_say_is_unknown() -> None:
    bare = product()
    assert bare.time == datetime(2023, 8, 15, 9, 57, 57, 246000, tzinfo=UTC)
    said = (bare.tile, bare.platform, bare.datatake, bare.datastrip, bare.relative_orbit, bare.baseline)
    assert said == ("unknown",) * 6
    assert (bare.generation_time, bare.cloud_cover, bare.sun_zenith, bare.sun_azimuth) == (None,) * 4
    assert bare.synthetic is False


def test_a_product_uri_says_most_of_it() -> None:
    named = product(
        {"s2:product_uri": URI, "s2:granule_id": "S2B_OPER_MSI_L2A_TL_2APS_20230815T155057_A042547_T33TWM_N05.09"}
    )
    assert (named.platform, named.tile, named.relative_orbit, named.baseline) == ("S2B", "33TWM", "R079", "05.09")
    assert named.datatake == "20230815T095031_042547"
    assert named.generation_time == datetime(2023, 8, 15, 15, 50, 57, tzinfo=UTC)
    assert product({"s2:product_uri": URI}).datatake == "20230815T095031"


def test_the_copernicus_data_space_is_understood() -> None:
    properties = {
        "processing:level": "L2",
        "product:type": "S2MSI2A",
        "processing:version": "05.11",
        "platform": "sentinel-2c",
        "constellation": "sentinel-2",
        "grid:code": "MGRS-31UES",
        "sat:relative_orbit": 51,
        "eopf:datatake_id": "GS2C_20250401T105041_002987_N05.11",
        "eopf:datastrip_id": "S2C_OPER_MSI_L2A_DS_2CPS_20250401T154712_S20250401T105039_N05.11",
        "processing:datetime": "2025-04-01T15:47:12.000000Z",
        "view:sun_azimuth": 160.5,
        "view:sun_elevation": 42.25,
    }
    read = product(properties)
    assert (read.level, read.baseline, read.platform, read.tile) == ("L2A", "05.11", "S2C", "31UES")
    assert (read.datatake, read.datastrip, read.relative_orbit) == (
        "20250401T105041_002987",
        "S20250401T105039",
        "R051",
    )
    assert (read.sun_zenith, read.sun_azimuth) == (47.75, 160.5)
    assert read.generation_time == datetime(2025, 4, 1, 15, 47, 12, tzinfo=UTC)


def test_the_planetary_computer_is_understood() -> None:
    properties = {
        "processing:level": None,
        "s2:product_type": "S2MSI2A",
        "platform": "Sentinel-2A",
        "s2:mgrs_tile": "33TWM",
        "s2:mean_solar_zenith": 35.0,
        "s2:mean_solar_azimuth": 152.0,
    }
    read = product(properties, id="S2A_MSIL2A_20230815T095031_R079_T33TWM_20230816T012345")
    assert (read.level, read.platform, read.tile, read.relative_orbit) == ("L2A", "S2A", "33TWM", "R079")
    assert (read.baseline, read.sun_zenith, read.sun_azimuth) == ("unknown", 35.0, 152.0)


@pytest.mark.parametrize(
    ("properties", "fields", "tile"),
    [
        ({"grid:code": "MGRS-5QKB"}, {}, "05QKB"),
        ({"mgrs:utm_zone": 5, "mgrs:latitude_band": "Q", "mgrs:grid_square": "KB"}, {}, "05QKB"),
        ({"s2:tile": "T31UES"}, {}, "31UES"),
        ({}, {"id": "S2_31UES_20190220T105655_L2A"}, "31UES"),
        ({}, {"id": "S2A_T31UES_20190220T105655_L2A"}, "31UES"),
        ({}, {"id": "no-tile-20190220"}, "unknown"),
    ],
)
def test_tiles(properties: dict[str, Any], fields: dict[str, Any], tile: str) -> None:
    assert product(properties, **fields).tile == tile


@pytest.mark.parametrize(
    ("properties", "fields", "level"),
    [
        ({"processing:level": "L1C"}, {}, "L1C"),
        ({"processing:level": "Level-2A"}, {}, "L2A"),
        ({"processing:level": "L1"}, {}, "L1C"),
        ({"processing:level": None, "s2:product_type": "S2MSI1C"}, {}, "L1C"),
        ({"processing:level": None, "s2:product_uri": URI}, {}, "L2A"),
        ({"processing:level": None}, {"collection": "sentinel-2-l1c"}, "L1C"),
        ({"processing:level": None}, {"collection": "sentinel-2-c1-l2a"}, "L2A"),
    ],
)
def test_levels(properties: dict[str, Any], fields: dict[str, Any], level: str) -> None:
    assert product(properties, **fields).level == level


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (item({"datetime": None}), "no datetime"),
        (item({"datetime": "yesterday"}), "no datetime"),
        (item({"processing:level": None}), "L1C or L2A"),
        (item({"platform": "landsat-8", "processing:level": "L2"}), "not Sentinel-2 but landsat-8"),
        (item({"constellation": "sentinel-1"}), "not Sentinel-2 but sentinel-1"),
        ({"type": "Feature", "properties": BASE, "id": "a"}, "geometry"),
        ({"type": "Feature", "properties": None, "id": "a"}, "no datetime|L1C or L2A"),
    ],
)
def test_an_item_that_cannot_be_understood_says_why(described: dict[str, Any], said: str) -> None:
    with pytest.raises(ProductError, match=said):
        item_product(described, "/archive/item.json")


def test_times_without_a_zone_are_utc() -> None:
    assert product({"datetime": "2023-08-15T09:57:57"}).time == datetime(2023, 8, 15, 9, 57, 57, tzinfo=UTC)
    assert product({"datetime": "2023-08-15T11:57:57+02:00"}).time == datetime(2023, 8, 15, 9, 57, 57, tzinfo=UTC)


def test_synthetic_is_said_by_the_item_or_by_its_catalogue() -> None:
    assert product({"cropline:synthetic": True}).synthetic
    assert item_product(item(), "/a.json", synthetic=True).synthetic


MINUS = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
ZERO = {"raster:bands": [{"scale": 0.0001, "offset": 0.0}]}
APPLIED = {"earthsearch:boa_offset_applied": True}


@pytest.mark.parametrize(
    ("asset", "properties", "offset", "said_by"),
    [
        (MINUS, {**APPLIED, "s2:processing_baseline": "05.09"}, 0, "boa_offset_applied: true"),
        ({}, {**APPLIED, "s2:processing_baseline": "05.09"}, 0, "boa_offset_applied: true"),
        (MINUS, {"earthsearch:boa_offset_applied": False}, -1000, "band offset -0.1"),
        (MINUS, {"s2:processing_baseline": "02.11"}, -1000, "band offset -0.1"),
        (ZERO, {"s2:processing_baseline": "05.09"}, 0, "band offset 0"),
        ({"bands": [{"name": "B04", "raster:scale": 0.0001, "raster:offset": -0.1}]}, {}, -1000, "band offset -0.1"),
        ({"bands": [{"scale": 0.0001, "offset": -0.1}]}, {}, -1000, "band offset -0.1"),
        ({"raster:scale": 0.0001, "raster:offset": -0.1, "bands": [{"name": "B04"}]}, {}, -1000, "band offset -0.1"),
        ({"raster:bands": [{"nodata": 0}]}, {"s2:processing_baseline": "05.09"}, -1000, "baseline 05.09"),
        ({}, {"s2:processing_baseline": "04.00"}, -1000, "baseline 04.00"),
        ({}, {"s2:processing_baseline": "03.01"}, 0, "baseline 03.01"),
        ({}, {"s2:processing_baseline": "99.99"}, 0, "baseline 99.99 is no number"),
        ({}, {"s2:processing_baseline": "00.01"}, 0, "baseline 00.01 is no number"),
        # Never by date: long after baseline 04.00 began, but nothing says which one this is.
        ({}, {"datetime": "2024-08-15T09:57:57Z"}, 0, "baseline unknown is no number"),
    ],
)
def test_the_offset_rule(asset: dict[str, Any], properties: dict[str, Any], offset: int, said_by: str) -> None:
    read = one_band(asset, properties)
    assert read.offset == offset
    assert said_by in read.offset_from


@pytest.mark.parametrize(
    "bands", [[{"scale": 0.001, "offset": 0}], [{"scale": 1, "offset": 0}], [{"offset": -1000}]], ids=str
)
def test_another_scale_is_refused_and_named(bands: list[dict[str, float]]) -> None:
    with pytest.raises(ProductError, match=r"an-item: B04 has the scale (0\.001|1), only 0\.0001"):
        one_band({"raster:bands": bands})


def test_nodata_is_zero_unless_said() -> None:
    assert one_band({}).nodata == 0
    assert one_band({"raster:bands": [{"nodata": 65535}]}).nodata == 65535
    assert one_band({"nodata": 7}).nodata == 7


@pytest.mark.parametrize("declared", [{}, {"raster:bands": [{"nodata": 0}]}, {"nodata": 0}], ids=str)
def test_zero_percent_of_cloud_is_a_value_and_class_zero_is_none(declared: dict[str, Any]) -> None:
    described = item(
        {"processing:level": "L2A"}, assets={key: {"href": "a.tif", **declared} for key in ("cloud", "scl")}
    )
    read = item_assets(described, "/a/item.json", item_product(described, "/a/item.json"))
    assert {name: asset.nodata for name, asset in read.items()} == {"SCL": 0, "CLD": None}


@pytest.mark.parametrize(
    ("item_href", "href", "address"),
    [
        ("/archive/a b/item.json", "./B04.tif", "/archive/a b/B04.tif"),
        ("/archive/a#1/item.json", "../B04.tif", "/archive/B04.tif"),
        ("/archive/item.json", "/elsewhere/B04.tif", "/elsewhere/B04.tif"),
        ("/archive/item.json", "file:///elsewhere/B04.tif", "/elsewhere/B04.tif"),
        ("/archive/item.json", "s3://bucket/B04.tif", "/vsis3/bucket/B04.tif"),
        ("s3://bucket/a/item.json", "./B04.tif", "/vsis3/bucket/a/B04.tif"),
        ("s3://bucket/a/item.json", "../b c/B04.tif", "/vsis3/bucket/b c/B04.tif"),
        ("s3://bucket/a/item.json", "/b/B04.tif", "/vsis3/bucket/b/B04.tif"),
        ("https://host/a/item.json", "B04.tif", "https://host/a/B04.tif"),
        ("https://host/a/item.json", "/b/B04.tif", "https://host/b/B04.tif"),
    ],
)
def test_relative_addresses_start_at_the_item(item_href: str, href: str, address: str) -> None:
    asset = one_band({"href": href}, href=item_href)
    assert asset.href == address
    assert bool(asset.gdal_env) == address.startswith("/vsis3/")


def names(assets: dict[str, dict[str, Any]], level: str = "L2A") -> dict[str, str]:
    described = item({"processing:level": level}, assets=assets)
    read = item_assets(described, "/a/item.json", item_product(described, "/a/item.json"))
    return {name: asset.href.removeprefix("/a/") for name, asset in read.items()}


def test_the_names_of_earth_search() -> None:
    keys = [
        "coastal",
        "blue",
        "green",
        "red",
        "rededge1",
        "rededge2",
        "rededge3",
        "nir",
        "nir08",
        "nir09",
        "swir16",
        "swir22",
    ]
    assets: dict[str, dict[str, Any]] = {key: {"href": f"{key}.tif"} for key in [*keys, "scl", "cloud", "aot", "wvp"]}
    assets |= {f"{key}-jp2": {"href": f"{key}.jp2"} for key in [*keys, "scl"]}
    assets |= {
        "visual": {"href": "TCI.tif", "roles": ["visual"]},
        "thumbnail": {"href": "t.jpg", "roles": ["thumbnail"]},
    }
    read = names(assets)
    assert list(read) == [
        "B01",
        "B02",
        "B03",
        "B04",
        "B05",
        "B06",
        "B07",
        "B08",
        "B8A",
        "B09",
        "B11",
        "B12",
        "SCL",
        "CLD",
    ]
    assert read["B8A"] == "nir08.tif"
    assert read["B09"] == "nir09.tif"
    assert read["B05"] == "rededge1.tif"


def test_of_several_resolutions_the_finest_is_taken() -> None:
    keys = [
        "B02_60m",
        "B02_20m",
        "B02_10m",
        "B05_60m",
        "B05_20m",
        "B01_60m",
        "SCL_60m",
        "SCL_20m",
        "TCI_10m",
        "AOT_10m",
    ]
    read = names({key: {"href": f"{key}.jp2"} for key in keys})
    assert read == {"B01": "B01_60m.jp2", "B02": "B02_10m.jp2", "B05": "B05_20m.jp2", "SCL": "SCL_20m.jp2"}


def test_bands_are_found_by_what_they_declare() -> None:
    assets = {
        "image-4": {"href": "r.tif", "eo:bands": [{"name": "B04"}]},
        "image-8": {"href": "n.tif", "bands": [{"name": "nir"}]},
        "rgb": {"href": "rgb.tif", "eo:bands": [{"name": "B04"}, {"name": "B03"}, {"name": "B02"}]},
        "overview": {"href": "o.tif", "eo:bands": [{"name": "B03"}], "roles": ["overview"]},
    }
    assert names(assets) == {"B04": "r.tif", "B08": "n.tif"}


def test_the_level_says_which_bands_there_are() -> None:
    assets = {"B04": {"href": "B04.tif"}, "B10": {"href": "B10.tif"}, "SCL": {"href": "SCL.tif"}}
    assert list(names(assets, "L1C")) == ["B04", "B10"]
    assert list(names(assets, "L2A")) == ["B04", "SCL"]


@pytest.mark.parametrize("without", [{}, {"href": None}, {"href": 5}])
def test_a_band_without_an_address_is_no_band_that_is_missing(without: dict[str, Any]) -> None:
    with pytest.raises(ProductError, match=r"an-item: B04: its asset has no address \(href\)"):
        names({"B04": without, "B08": {"href": "B08.tif"}})
    assert names({"B04": {"href": "B04.tif"}, "red": without}) == {"B04": "B04.tif"}


def test_masks_have_no_offset() -> None:
    described = item(
        {"s2:processing_baseline": "05.09"}, assets={"SCL": {"href": "SCL.tif", "raster:bands": [{"scale": 1}]}}
    )
    assert item_assets(described, "/a/i.json", item_product(described, "/a/i.json"))["SCL"].offset == 0


@pytest.mark.parametrize("assets", [None, {}, {"thumbnail": {"href": "t.jpg"}}, {"B04": {}}, {"B04": None}])
def test_an_item_without_bands_is_refused(assets: Any) -> None:
    described = item(assets=assets)
    with pytest.raises(ProductError, match="an-item"):
        item_assets(described, "/a/i.json", item_product(described, "/a/i.json"))


V0 = {
    "datetime": "2019-04-01T10:56:58Z",
    "platform": "sentinel-2b",
    "constellation": "sentinel-2",
    "proj:epsg": 32631,
    "sentinel:utm_zone": 31,
    "sentinel:latitude_band": "U",
    "sentinel:grid_square": "ES",
    "sentinel:sequence": "0",
    "sentinel:product_id": "S2B_MSIL2A_20190401T105659_N0400_R008_T31UES_20190401T140000",
}


def v0(**properties: Any) -> Product:
    described = item(collection="sentinel-s2-l2a-cogs", id="S2B_31UES_20190401_0_L2A")
    return item_product({**described, "properties": {**V0, **properties}}, "/archive/item.json")


def test_earth_search_v0_and_digital_earth_africa_are_understood() -> None:
    read = v0(**{"sentinel:processing_baseline": "02.07"})
    assert (read.level, read.baseline, read.platform, read.tile) == ("L2A", "02.07", "S2B", "31UES")
    assert (read.datatake, read.relative_orbit) == ("20190401T105659", "R008")
    assert read.generation_time == datetime(2019, 4, 1, 14, tzinfo=UTC)
    assert v0().baseline == "04.00"  # of the product's id
    africa = {"odc:region_code": "31UES", "s2:processing_baseline": "05.09", "sentinel:utm_zone": None}
    assert (v0(**africa).tile, v0(**africa).baseline) == ("31UES", "05.09")


@pytest.mark.parametrize(
    ("properties", "baseline"),
    [
        ({"s2:processing_baseline": "05.09"}, "05.09"),
        ({"sentinel:processing_baseline": "04.00"}, "04.00"),
        ({"earthsearch:processing_baseline": "N0400"}, "04.00"),
        ({"eopf:baseline": "05.10"}, "05.10"),
        ({"processing:version": "05.11"}, "05.11"),
        ({"processing:baseline": 4.0}, "04.00"),
        ({"processing:software": {"Sentinel-2 IPF": "05.09", "sentinel2-to-stac": "02.05"}}, "05.09"),
        ({"processing:software": {"sentinel2-to-stac": "02.05"}}, "unknown"),
        ({"s2:product_uri": URI}, "05.09"),
        ({"title": URI}, "05.09"),
        ({"s2:datatake_id": "GS2A_20230815T095031_042547_N05.09"}, "05.09"),
        ({"s2:granule_id": "S2B_OPER_MSI_L2A_TL_2APS_20230815T155057_A042547_T33TWM_N04.00"}, "04.00"),
        ({"s2:processing_baseline": "02.07", "s2:product_uri": URI}, "02.07"),
        ({"s2:processing_baseline": "?", "s2:product_uri": URI}, "05.09"),
        ({}, "unknown"),
    ],
)
def test_a_baseline_is_read_under_each_of_its_names(properties: dict[str, Any], baseline: str) -> None:
    assert product(properties).baseline == baseline


@pytest.mark.parametrize("prefix", ["earthsearch", "sentinel", "s2"])
def test_an_offset_that_was_applied_is_told_under_any_prefix(prefix: str) -> None:
    flag = f"{prefix}:boa_offset_applied"
    read = one_band({}, {flag: True, "sentinel:processing_baseline": "04.00"})
    assert (read.offset, read.offset_from) == (0, f"{flag}: true")
    assert one_band({}, {flag: False, "sentinel:processing_baseline": "04.00"}).offset == -1000


def test_a_start_is_a_time_where_there_is_no_other() -> None:
    span = {"datetime": None, "start_datetime": "2023-08-15T09:57:57Z", "end_datetime": "2023-08-15T09:58:10Z"}
    assert product(span).time == datetime(2023, 8, 15, 9, 57, 57, tzinfo=UTC)
    with pytest.raises(ProductError, match="no datetime, and 2023-08-15 to 2023-08-31 is no single acquisition"):
        product({**span, "end_datetime": "2023-08-31T00:00:00Z"})
