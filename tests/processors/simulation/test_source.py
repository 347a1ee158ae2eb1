"""The simulated mission as a source of products."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window as RasterWindow
from scene_kit import joined
from shapely.geometry import box, shape

from catalog.area import parse_area
from catalog.errors import ProductError, RequestError, StoreError
from catalog.grid import Window, to_lonlat
from catalog.order import make_order
from catalog.products import LEVEL_BANDS, Product
from catalog.sources.protocol import Downloading
from catalog.sources.registry import open_source
from processors.simulation.source import MissionSource, overpass_of, parse_mission

AREA = box(4.06, 50.74, 4.08, 50.76)
PERIOD = datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC)
WINDOW = Window(32631, 57_500, 562_000, 64, 50)


@pytest.fixture(scope="module")
def source() -> MissionSource:
    return MissionSource("seed=3")


@pytest.fixture(scope="module")
def products(source: MissionSource) -> tuple[Product, ...]:
    return source.search(AREA, PERIOD, "L2A").products


def test_an_area_across_the_antimeridian_is_seen_from_both_sides(source: MissionSource) -> None:
    area = parse_area([179.9, -16.6, -179.9, -16.5])
    order = make_order(source, area, 2019, (5, 5), "L2A", 100)
    assert len(order.acquisitions) >= 4
    for acquisition in order.acquisitions:
        for product in acquisition.products:
            west, _, east, _ = shape(product.footprint).bounds
            assert -180 <= west <= east <= 180
            assert shape(product.footprint).intersects(area)


def test_the_southern_hemisphere_is_seen_as_the_northern(source: MissionSource, tmp_path: Path) -> None:
    product = source.search(box(18.8, -33.4, 18.81, -33.39), PERIOD, "L2A").products[0]
    assert product.tile.startswith("34H")
    window = Window(32734, 30_000, 630_400, 60, 60)
    assets = source.download(product, [window], tmp_path / "south")
    for name, pixels in (("B04", 60), ("B05", 30), ("B01", 10)):
        with rasterio.open(assets[name].href) as raster:
            row, column = raster.index(window.bounds[0] + 1, window.bounds[3] - 1)
            values = raster.read(1, window=RasterWindow(column, row, pixels, pixels))
            assert raster.transform.f == 6_400_000
        assert (values > 0).all()


def test_an_address_names_one_mission_and_opens_it_again() -> None:
    plain = open_source("mission:")
    assert isinstance(plain, Downloading)
    assert plain.address == "mission:seed=0,farming=france"
    again = open_source(plain.address)
    assert (again.id, again.address) == (plain.id, plain.address)
    others = {open_source(f"mission:{place}").id for place in ("", "seed=1", "farming=flanders")}
    assert len(others) == 3
    assert parse_mission("farming=flanders,seed=7") == parse_mission("seed=7,farming=flanders")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("seed=x", "whole number"),
        ("seed=-1", "whole number"),
        ("seed=1234567890", "nine digits"),
        ("farming=mars", "one of france, flanders"),
        ("colour=red", "'colour=red' is no setting"),
        ("seed=1,seed=2", "'seed=2' is no setting"),
        ("7", "Write mission: or"),
    ],
)
def test_settings_that_mean_nothing_are_refused(place: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        open_source(f"mission:{place}")


def test_products_say_all_that_a_real_catalogue_says(products: tuple[Product, ...]) -> None:
    assert len(products) == 7  # every five days over this place, S2A and S2B in turn
    for product in products:
        assert product.synthetic
        assert product.level == "L2A"
        assert (product.tile, product.relative_orbit) == ("31UES", "R051")
        assert product.id.startswith(f"{product.platform}_MSIL2A_2019")
        assert product.datatake[:15] in product.id
        assert shape(product.footprint).contains(AREA)
        assert 0 <= (product.cloud_cover or 0) <= 100
        assert product.sun_zenith is not None
        assert 27 < product.sun_zenith < 40
        reception = product.reception
        assert reception is not None
        assert product.time < reception.downlinked < reception.l1c_ready < reception.l2a_ready
        assert product.generation_time == reception.l2a_ready
    assert len({product.cloud_cover for product in products}) > 3


def test_what_is_not_on_the_ground_yet_isnt_found(source: MissionSource) -> None:
    now = datetime.now(UTC)
    found = source.search(AREA, (now - timedelta(days=15), now + timedelta(days=15)), "L2A")
    assert found.products
    assert all(product.generation_time and product.generation_time <= now for product in found.products)
    assert found.left_out
    assert all(left.reason.startswith("not there yet: expected on ") for left in found.left_out)


def test_dates_of_real_acquisitions_are_found(source: MissionSource, real_data: Path) -> None:
    items = (real_data / "flanders-2019" / "sentinel-2-l2a").glob("S2*_201905*_L2A")
    real = {path.name.split("_")[2][:8] for path in items}
    assert real
    assert real <= {f"{product.time:%Y%m%d}" for product in source.search(AREA, PERIOD, "L1C").products}


def test_a_product_is_the_same_whatever_was_searched_for(source: MissionSource, products: tuple[Product, ...]) -> None:
    longer = datetime(2019, 4, 20, tzinfo=UTC), datetime(2019, 5, 12, tzinfo=UTC)
    others = {product.id: product for product in source.search(box(3.9, 50.6, 4.3, 50.9), longer, "L2A").products}
    common = [product for product in products if product.id in others]
    assert len(common) == 3
    for product in common:
        assert others[product.id] == product


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_files_hold_what_the_mission_simulates(source: MissionSource, tmp_path: Path, level: str) -> None:
    product = source.search(AREA, PERIOD, level).products[1]  # type: ignore[arg-type]
    beside = Window(32631, WINDOW.left + 400, WINDOW.top - 300, 30, 30)
    assets = source.download(product, [WINDOW, beside], tmp_path / "pixels")
    assert set(assets) == {*LEVEL_BANDS[level], *(("SCL", "CLD") if level == "L2A" else ())}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pixels"]
    aligned = Window(32631, 57_498, 562_002, 66, 54)
    expected = joined(source.mission.scenes(overpass_of(product), aligned), aligned)
    for band, numbers in (expected.l1c if level == "L1C" else expected.l2a).items():
        with rasterio.open(assets[band].href) as file:
            assert file.crs.to_epsg() == 32631
            metres = round(file.res[0])
            row, column = file.index(aligned.left * 10 + 1, aligned.top * 10 - 1)
            height, width = aligned.height * 10 // metres, aligned.width * 10 // metres
            place = ((row, row + height), (column, column + width))
            np.testing.assert_array_equal(file.read(1, window=place), numbers)
            assert file.read(1, window=((0, 5), (0, 5))).max() == 0  # nobody asked for it
    asset = assets["B04"]
    assert (asset.offset, asset.offset_from, asset.nodata) == (-1000, "processing baseline 05.11", 0)
    if level == "L2A":
        with rasterio.open(assets["CLD"].href) as file:
            assert assets["CLD"].nodata == 255
            assert file.dtypes == ("uint8",)


def test_beyond_the_swath_there_is_no_data(source: MissionSource, tmp_path: Path) -> None:
    found = source.search(box(4.2, 50.6, 5.4, 51.0), PERIOD, "L2A").products
    partial = next(one for one in found if one.tile == "31UES" and shape(one.footprint).area < 0.7)
    near = shape(partial.footprint).buffer(0.02)
    windows = [Window(32631, left, 562_002, 12, 12) for left in range(50_400, 60_500, 300)]
    outside = [one for one in windows if not near.intersects(to_lonlat(box(*one.bounds), 32631))]
    assert 0 < len(outside) < len(windows)
    assert source.download(partial, outside, tmp_path / "nothing") == {}


def test_a_product_of_another_mission_is_refused(
    source: MissionSource, products: tuple[Product, ...], tmp_path: Path
) -> None:
    other = products[0].model_copy(update={"id": "S2A_MSIL2A_20190501T000000_N0500_R051_T31UES_20190501T120000"})
    with pytest.raises(ProductError, match="as it is simulated now"):
        source.download(other, [WINDOW], tmp_path / "pixels")
    for change in ({"tile": "unknown"}, {"relative_orbit": "unknown"}, {"time": PERIOD[0]}):
        with pytest.raises(ProductError, match="Order again"):
            source.download(products[0].model_copy(update=change), [WINDOW], tmp_path / "pixels")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cant_be_written_is_said(
    source: MissionSource, products: tuple[Product, ...], tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises((StoreError, PermissionError)):
            source.download(products[0], [WINDOW], tmp_path / "pixels")
    finally:
        tmp_path.chmod(0o700)
