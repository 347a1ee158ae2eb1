"""Real catalogues: what is known of them from their description."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from shapely.geometry import box, shape

from catalog.area import Area, parse_area
from catalog.order import make_order
from catalog.products import LEVEL_BANDS
from catalog.sources.registry import Source, open_source

ALWAYS = datetime(2015, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def opened(real_data: Path, name: str) -> Source:
    return open_source(f"stac:{real_data / name / 'catalog.json'}")


def square(real_data: Path, name: str) -> Area:
    return parse_area(json.loads((real_data / name / "aoi.geojson").read_text()))


def test_earth_search_items_of_two_tiles(real_data: Path) -> None:
    source = opened(real_data, "tiles-33TWL-33TWM")
    order = make_order(source, box(14.9, 45.9, 15.5, 46.1), 2023, (8, 8), "L2A", 95)
    assert [
        (acquisition.id, sorted(product.tile for product in acquisition.products)) for acquisition in order.acquisitions
    ] == [("S2A_20230815T095031_R079", ["33TWL", "33TWM"]), ("S2A_20230818T100031_R122", ["33TWL", "33TWM"])]
    first = next(product for product in order.acquisitions[0].products if product.tile == "33TWM")
    assert (first.datatake, first.datastrip, first.baseline) == ("20230815T095031_042547", "S20230815T095630", "05.09")
    assert first.generation_time == datetime(2023, 8, 15, 15, 50, 57, tzinfo=UTC)
    assert first.sun_zenith == pytest.approx(90 - 54.95299919641)
    assert order.acquisitions[0].time == datetime(2023, 8, 15, 9, 57, 57, 246000, tzinfo=UTC)
    assert not order.synthetic


def test_earth_search_offsets_are_applied_already_whatever_the_bands_say(real_data: Path) -> None:
    source = opened(real_data, "tiles-33TWL-33TWM")
    for product in source.search(box(14, 45, 16, 47), ALWAYS, "L2A").products:
        assets = source.assets(product)
        assert set(assets) == {*LEVEL_BANDS["L2A"], "SCL"}
        assert {assets[name].offset for name in LEVEL_BANDS["L2A"]} == {0}
        assert "boa_offset_applied" in assets["B04"].offset_from
        on_disk = {name for name, asset in assets.items() if Path(asset.href).is_file()}
        assert on_disk == {"B02", "B03", "B04", "B08", "SCL"}
        assert assets["B8A"].href.endswith("/B8A.tif")


def test_the_flanders_series(real_data: Path) -> None:
    source, area = opened(real_data, "flanders-2019"), square(real_data, "flanders-2019")
    started = time.perf_counter()
    found = source.search(area, ALWAYS, "L2A")
    assert time.perf_counter() - started < 2
    assert len(found.products) == 72
    assert found.left_out == ()
    assert {product.tile for product in found.products} == {"31UES"}
    assert {product.datatake for product in found.products} == {"unknown"}
    everything = make_order(source, area, 2019, (1, 7), "L2A", 100)
    assert len(everything.acquisitions) == 30
    assert everything.acquisitions[0].id == "S2_20190101T105655"
    assert everything.acquisitions[0].sun_zenith == pytest.approx(found_zenith(found.products, "20190101"))
    assets = source.assets(found.products[0])
    assert [*assets] == ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL"]
    assert {(asset.offset, asset.nodata) for asset in assets.values()} == {(0, 0)}
    assert all(Path(asset.href).is_file() for asset in assets.values())


def found_zenith(products: tuple[object, ...], day: str) -> float:
    """What the item of a day says, read without this project's code."""
    item = next(product for product in products if day in getattr(product, "id", ""))
    described = json.loads(Path(getattr(item, "href", "")).read_text())
    return float(described["properties"]["s2:mean_solar_zenith"])


def test_a_season_of_two_years_holds_the_winter(real_data: Path) -> None:
    source, area = opened(real_data, "flanders-2019"), square(real_data, "flanders-2019")
    order = make_order(source, area, 2019, (10, 7), "L2A", 100)
    days = [acquisition.time for acquisition in order.acquisitions]
    assert (order.start, order.end) == (datetime(2018, 10, 1, tzinfo=UTC), datetime(2019, 8, 1, tzinfo=UTC))
    assert days[0] == datetime(2018, 10, 3, 10, 56, 19, tzinfo=UTC)
    items = sorted(path.name for path in (real_data / "flanders-2019" / "sentinel-2-l2a").iterdir() if path.is_dir())
    assert len(days) == sum("_20181001" <= name[8:17] < "_20190801" for name in items)


def test_the_slovenian_series_is_l1c(real_data: Path) -> None:
    source, area = opened(real_data, "slovenia-l1c-2015"), square(real_data, "slovenia-l1c-2015")
    order = make_order(source, area, 2015, (7, 9), "L1C", 95)
    assert [f"{acquisition.time:%m%d}" for acquisition in order.acquisitions] == [
        "0711",
        "0731",
        "0820",
        "0830",
        "0909",
    ]
    product = order.acquisitions[0].products[0]
    assert (product.level, product.tile, product.cloud_cover) == ("L1C", "33TWM", None)
    assert tuple(source.assets(product)) == LEVEL_BANDS["L1C"]
    other = source.search(area, ALWAYS, "L2A")
    assert other.products == ()
    assert [left.reason for left in other.left_out] == ["other level: L1C"] * 5


def test_footprints_are_polygons(real_data: Path) -> None:
    for name in ("flanders-2019", "tiles-33TWL-33TWM"):
        source = opened(real_data, name)
        for product in source.search(box(-20, 30, 40, 70), ALWAYS, "L2A").products:
            assert shape(product.footprint).area > 0
