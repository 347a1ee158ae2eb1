"""The embedded archive: read back by the code that reads real ones, and honest about what it is."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pystac
import pytest
import rasterio

from catalog.area import parse_area
from catalog.errors import RequestError, StoreError
from catalog.grid import Cell, cells_of_window, to_zone, utm_zone, window_around
from catalog.legend import read_legend
from catalog.mission.embedded import EPSG, EmbeddedArchive, make_archive
from catalog.mission.landscape import make_landscape
from catalog.order import make_order
from catalog.products import BANDS, LEVEL_BANDS, Acquisition, Order
from catalog.sources import Source, open_source
from catalog.store import sha256


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedArchive:
    return make_archive(tmp_path_factory.mktemp("embedded"), size=128)


@pytest.fixture(scope="module")
def source(archive: EmbeddedArchive) -> Source:
    return open_source(f"stac:{archive.catalog}")


@pytest.fixture(scope="module")
def order(archive: EmbeddedArchive, source: Source) -> Order:
    return make_order(source, parse_area(archive.area), 2019, (1, 7), "L2A", 95)


def raster(path: Path | str) -> npt.NDArray[np.float64]:
    with rasterio.open(path) as file:
        values: npt.NDArray[np.float64] = file.read(1).astype(float)
    return values


def test_the_order_has_something_to_decide(order: Order) -> None:
    assert 25 <= order.product_count <= 30
    assert len(order.acquisitions) == order.product_count
    assert {acquisition.platform for acquisition in order.acquisitions} == {"S2A", "S2B"}
    reasons = sorted(left.reason.split(":")[0] for left in order.left_out)
    assert reasons == ["duplicate", "too cloudy", "too cloudy"]
    days = [(acquisition.time - order.start).days for acquisition in order.acquisitions]
    assert days[0] < 15
    assert days[-1] > 195
    assert {(later - earlier) % 5 for earlier, later in pairwise(days)} == {0}


def test_all_of_it_says_that_it_is_synthetic(archive: EmbeddedArchive, order: Order) -> None:
    assert order.synthetic
    folder = archive.catalog.parent
    for path in folder.rglob("*.json"):
        assert "SYNTHETIC" in path.read_text()
    for path in folder.rglob("*.tif"):
        with rasterio.open(path) as file:
            assert file.tags()["synthetic"] == "true"
    assert all("SYNTHETIC" in product.id for acquisition in order.acquisitions for product in acquisition.products)


def test_it_lies_in_one_cell_on_the_grid(archive: EmbeddedArchive, source: Source, order: Order) -> None:
    area = parse_area(archive.area)
    assert utm_zone(area.centroid.x, area.centroid.y) == EPSG
    window = window_around(to_zone(area, EPSG), EPSG)
    assert window.shape == (128, 128)
    assert len(cells_of_window(window)) == 1
    assert Cell.from_name("32632_0069_0485") in cells_of_window(window)
    for name, asset in source.assets(order.acquisitions[0].products[0]).items():
        metres = BANDS[name].resolution if name in BANDS else 20
        with rasterio.open(asset.href) as file:
            assert file.crs.to_epsg() == EPSG
            assert (file.transform.a, file.transform.c, file.transform.f) == (
                metres,
                window.bounds[0],
                window.bounds[3],
            )
            assert file.shape == (-(-1280 // metres), -(-1280 // metres))
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_the_offset_is_the_one_its_numbers_have(source: Source, order: Order) -> None:
    assert {
        asset.offset for name, asset in source.assets(order.acquisitions[0].products[0]).items() if name in BANDS
    } == {-1000}
    duplicate = next(left for left in order.left_out if left.reason.startswith("duplicate"))
    area = parse_area(order.acquisitions[0].products[0].footprint)
    found = {product.id: product for product in source.search(area, (order.start, order.end), "L2A").products}
    older = source.assets(found[duplicate.product])["B04"]
    newer = source.assets(found[duplicate.product.removesuffix("_N0211")])["B04"]
    assert (older.offset, newer.offset) == (0, -1000)
    numbers = raster(older.href), raster(newer.href)
    assert np.abs(numbers[0] + older.offset - numbers[1] - newer.offset).max() <= 1


def clear_index(source: Source, acquisition: Acquisition) -> npt.NDArray[np.float64]:
    """NDVI (H, W), NaN where SCL doesn't call it vegetation or soil."""
    assets = source.assets(acquisition.products[0])
    red, infrared = ((raster(assets[name].href) - 1000) / 1e4 for name in ("B04", "B08"))
    classes = raster(assets["SCL"].href).repeat(2, 0).repeat(2, 1)
    index: npt.NDArray[np.float64] = np.where(np.isin(classes, [4, 5]), (infrared - red) / (infrared + red), np.nan)
    return index


def test_crops_grow_in_their_season(archive: EmbeddedArchive, source: Source, order: Order) -> None:
    truth = raster(archive.truth)

    def greenness(code: int, month: int) -> float:
        seen = [clear_index(source, made)[truth == code] for made in order.acquisitions if made.time.month == month]
        return float(np.nanmedian(np.concatenate(seen)))

    assert greenness(110, 4) > 0.6 > 0.45 > greenness(110, 7)
    assert greenness(210, 7) > 0.6 > 0.35 > greenness(210, 4)
    assert greenness(120, 6) < greenness(110, 5)
    assert greenness(220, 6) < greenness(310, 6)


def test_clouds_are_bright_and_shadows_dark(source: Source, order: Order) -> None:
    partly = next(made for made in order.acquisitions if made.cloud_cover and 20 < made.cloud_cover < 60)
    assets = source.assets(partly.products[0])
    classes, blue = raster(assets["SCL"].href), raster(assets["B02"].href)[::2, ::2] - 1000
    assert set(np.unique(classes)) <= {0, 3, 4, 5, 6, 8, 9}
    ground = np.median(blue[np.isin(classes, [4, 5])])
    assert np.median(blue[classes == 9]) > 3000 > 2 * ground
    assert np.median(blue[classes == 3]) < ground
    assert partly.sun_zenith is not None
    assert 20 < partly.sun_zenith < 75


def test_unknown_is_not_background(archive: EmbeddedArchive) -> None:
    labels, truth, legend = raster(archive.labels), raster(archive.truth), read_legend(archive.legend)
    assert (labels[labels > 0] == truth[labels > 0]).all()
    assert 0.1 < (labels == 0).mean() < 0.5
    assert legend.background is not None
    codes = {code for entry in legend.mapped for code in entry.source_codes}
    assert set(np.unique(truth)) == codes == set(np.unique(labels)) - {0}
    assert 6 <= len(legend.classes) <= 7


def test_the_same_settings_make_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_archive(tmp_path / name, size=64, seed=3)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 29 * 14
    assert all(sha256(tmp_path / "a" / file) == sha256(tmp_path / "b" / file) for file in files)


def test_another_seed_makes_another_landscape() -> None:
    one, other = (make_landscape(64, np.random.default_rng(seed)).codes() for seed in (3, 4))
    assert (one != other).mean() > 0.2


def test_an_archive_that_is_there_is_kept_and_another_is_not_overwritten(archive: EmbeddedArchive) -> None:
    folder = archive.catalog.parent
    before = archive.catalog.stat().st_mtime_ns
    assert make_archive(folder, size=128) == archive
    assert archive.catalog.stat().st_mtime_ns == before
    with pytest.raises(StoreError, match="holds another archive"):
        make_archive(folder, size=128, seed=1)


@pytest.mark.parametrize("size", [62, 65, 300])
def test_a_bad_size_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(RequestError, match=str(size)):
        make_archive(tmp_path / "a", size=size)


def test_stac_clients_open_it(archive: EmbeddedArchive) -> None:
    catalog = pystac.Catalog.from_file(str(archive.catalog))
    items = list(catalog.get_items(recursive=True))
    assert len(items) == 29
    assert set(items[0].assets) == {*LEVEL_BANDS["L2A"], "SCL"}
    assert json.loads((archive.catalog.parent / "area.geojson").read_text()) == archive.area
