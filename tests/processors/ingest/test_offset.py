"""Offsets against the numbers: what real archives say and hold, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import cube_kit
import numpy as np
import pytest
import rasterio

from catalog.baseline import OFFSET_SINCE
from catalog.errors import ProductError
from catalog.grid import Cell
from catalog.products import Asset, Product
from catalog.sources.stac.item import item_assets, item_product
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition
from processors.ingest.offset import CHECKED_BANDS, NumberCounts, check_offset

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
POINT = {"type": "Point", "coordinates": [0, 0]}


def product(baseline: str = "05.09") -> Product:
    return Product.model_validate(
        {
            "id": "p",
            "href": "",
            "level": "L2A",
            "time": "2023-08-15T00:00:00Z",
            "baseline": baseline,
            "footprint": POINT,
        }
    )


def checked(files: dict[str, Path], offset: int, baseline: str = "05.09") -> str:
    counts = {}
    for band, path in files.items():
        counts[band] = NumberCounts()
        with rasterio.open(path) as file:
            counts[band].add(file.read(1), 0)
    assets = {band: Asset(href=str(path), offset=offset, offset_from="the test") for band, path in files.items()}
    return check_offset(product(baseline), assets, counts).words


def test_real_earth_search_items_are_right_in_their_flag_and_wrong_in_their_band_offset(real_data: Path) -> None:
    items = sorted((real_data / "tiles-33TWL-33TWM" / "sentinel-2-l2a").glob("*/*_L2A.json"))
    assert len(items) == 4
    for path in items:
        item = json.loads(path.read_text(encoding="utf-8"))
        assert item["properties"]["earthsearch:boa_offset_applied"] is True
        assert item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
        assets = item_assets(item, str(path), item_product(item, str(path)))
        files = {band: Path(assets[band].href) for band in CHECKED_BANDS}
        assert [assets[band].offset for band in CHECKED_BANDS] == [0, 0, 0]
        assert checked(files, 0) == "ok"
        with pytest.raises(ProductError, match=r"offset -1000 \(the test\) doesn't fit the numbers of B0[234]"):
            checked(files, -1000)


def test_a_real_product_of_baseline_0400_has_few_pixels_a_little_below_zero(real_data: Path) -> None:
    folder = next((real_data / "safe").glob("S2A_MSIL2A_*T29UNU*"))
    files = {band: next(folder.glob(f"GRANULE/*/IMG_DATA/R60m/*_{band}_60m.jp2")) for band in CHECKED_BANDS}
    with rasterio.open(files["B02"]) as file:
        raw = file.read(1)
    assert ((raw > 0) & (raw < 1000)).sum() > 10_000  # below zero with the right offset
    assert checked(files, -1000, "04.00") == "ok"
    with pytest.raises(ProductError, match="doesn't fit the numbers of B02"):
        checked(files, -2000, "04.00")


def test_a_shift_that_nobody_takes_back_is_suspicious(real_data: Path) -> None:
    """Clear real pixels as baseline 04.00 would have written them."""
    folder = real_data / "tiles-33TWL-33TWM" / "sentinel-2-l2a" / "S2A_33TWL_20230815_0_L2A"
    counts = {}
    for band in CHECKED_BANDS:
        counts[band] = NumberCounts()
        with rasterio.open(folder / f"{band}.tif") as file:
            raw = file.read(1)
        counts[band].add(np.where(raw > 0, raw + 1000, 0).astype(np.uint16), 0)
    assets = {band: Asset(href=band, offset=0, offset_from="a flag") for band in CHECKED_BANDS}
    said = check_offset(product(), assets, counts).words
    assert said.startswith("suspicious: nothing darker than 0.12")
    assert said.endswith("(a flag)")
    before = f"{OFFSET_SINCE[0] - 1:02d}.01"
    assert check_offset(product(before), assets, counts).words == "ok"  # its numbers were never shifted
    right = {band: asset.model_copy(update={"offset": -1000}) for band, asset in assets.items()}
    assert check_offset(product(), right, counts).words == "ok"


def test_all_of_flanders_passes_with_its_own_offset_and_most_of_it_not_with_another(real_data: Path) -> None:
    folders = sorted((real_data / "flanders-2019" / "sentinel-2-l2a").glob("S2_*"))
    refused = 0
    for folder in folders:
        files = {band: folder / f"{band}.tif" for band in CHECKED_BANDS}
        assert checked(files, 0, "unknown").startswith(("ok", "not checked: nothing darker", "suspicious"))
        try:
            checked(files, -1000, "unknown")
        except ProductError:
            refused += 1
    assert len(folders) == 72
    assert refused > 35  # the others are cloudy, hazy or white


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (np.full((200, 200), 8000), "not checked: nothing darker than 0.70 in B02, B03, B04"),
        (np.full((20, 20), 1100), "not checked: too few pixels of B02, B03 or B04"),
        (np.where(np.arange(40_000).reshape(200, 200) % 200 == 0, 300, 1400), "ok"),  # 0.5 % of artefacts
        (np.where(np.arange(40_000).reshape(200, 200) % 50 == 0, 300, 1400), None),
        (np.full((200, 200), 65535), "not checked: too few pixels of B02, B03 or B04"),
    ],
)
def test_what_is_said_of_an_offset_of_1000(raw: np.ndarray, expected: str | None) -> None:
    counts = {band: NumberCounts() for band in CHECKED_BANDS}
    for one in counts.values():
        one.add(raw.astype(np.uint16), 0)
    assets = {band: Asset(href=band, offset=-1000, offset_from="baseline 05.09") for band in CHECKED_BANDS}
    if expected is not None:
        assert check_offset(product(), assets, counts).words == expected
        return
    with pytest.raises(ProductError) as raised:
        check_offset(product(), assets, counts)
    assert str(raised.value) == (
        "p: the offset -1000 (baseline 05.09) doesn't fit the numbers of B02, B02: 1% of its pixels lie below 296, which would "
        "become -0.070 reflectance. It seems to be applied already: correct the catalogue's offset."
    )


def ingest(store: Store, archive: object) -> IngestResult:
    order = archive.order()  # type: ignore[attr-defined]
    extended = extend_cells(store, order, [CELL])
    (one,) = order.acquisitions
    return ingest_acquisition(store, order, one.id, extended, order.source)


def test_a_product_with_a_wrong_offset_is_dropped_whole_and_the_other_one_kept(store: Store) -> None:
    dark = np.random.default_rng(1).integers(200, 600, (120, 120))
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": dark, "B04": dark, "SCL": 4}, offset=-1000, datastrip="S1")
    archive.add("b", {"B02": dark + 1000, "B04": dark + 1000, "SCL": 5}, offset=-1000, datastrip="S2")
    result = ingest(store, archive)
    (left,) = result.dropped
    assert left.product == "a"
    assert left.reason.startswith("a: the offset -1000 (the test) doesn't fit the numbers of B02")
    cube = Cube(store.cube("kit", "L2A", CELL))
    np.testing.assert_array_equal(cube.read("reflectance", 0)[1, :120, :120], dark)
    assert cube.read("scl", 0)[0, 0] == 5
    assert cube.values("offset_check").tolist() == ["ok"]


def test_what_could_not_be_checked_is_recorded(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 8000, "SCL": 9}, offset=-1000)
    assert ingest(store, archive).dropped == ()
    cube = Cube(store.cube("kit", "L2A", CELL))
    assert cube.values("offset_check").tolist() == ["not checked: nothing darker than 0.70 in B02"]
