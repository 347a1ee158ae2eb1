"""Files that aren't what they should be: the product is dropped with its reason, the others of the acquisition stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
import rasterio
from affine import Affine

from catalog.grid import Cell, Window
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
NOISE = np.random.default_rng(1).integers(1, 9000, (256, 256))


def two_products(folder: Path) -> Any:
    """``a``, which the tests spoil, above ``b``."""
    archive = cube_kit.Archive(folder)
    window = cube_kit.square(size=256)
    archive.add("a", {"B02": NOISE, "B03": NOISE, "B04": NOISE, "SCL": 4}, window=window, datastrip="S1")
    archive.add("b", {"B02": 70, "B03": 70, "B04": 70, "SCL": 5}, window=window, datastrip="S2")
    return archive


def ingest(store: Store, archive: Any, *cells: Cell) -> IngestResult:
    order = archive.order()
    extended = extend_cells(store, order, cells or (CELL,))
    (one,) = order.acquisitions
    return ingest_acquisition(store, order, one.id, extended, order.source)


def only_b_is_left(store: Store, result: IngestResult, *words: str) -> None:
    (left,) = result.dropped
    assert left.product == "a"
    for word in words:
        assert word in left.reason
    assert result.written == (CELL.name,)
    read = Cube(store.cube("kit", "L2A", CELL)).read("reflectance", 0)
    assert np.unique(read).tolist() == [0, 70]


def as_jp2(archive: Any, name: str) -> Path:
    """A band written again as JP2 in tiles of 128, and listed so."""
    old, new = archive.folder / f"{name}.tif", archive.folder / f"{name}.jp2"
    with rasterio.open(old) as file:
        values, transform = file.read(1), file.transform
    with rasterio.open(
        new, "w", driver="JP2OpenJPEG", width=256, height=256, count=1, dtype="uint16", crs="EPSG:32631",
        transform=transform, reversible="yes", quality=100, blockxsize=128, blockysize=128,
    ) as file:  # fmt: skip
        file.write(values, 1)
    listed = archive.folder / "products.json"
    listed.write_text(listed.read_text().replace(str(old), str(new)))
    return new


CUTS = {
    "empty": (0, 0),
    "in the signature": (0, 20),
    "in the header": (0, 400),
    "after the first marker": (0, 2_400),
    "in the first tile": (0.12, 0),
    "in the middle": (0.5, 0),
    "in the last tile": (1, -1_000),
    "before the end marker": (1, -2),
    "by one byte": (1, -1),
}
"""What is left of a file: a share of it and so many bytes more."""


@pytest.mark.parametrize("cut", CUTS)
def test_a_truncated_jp2_never_reads_as_no_data(store: Store, cut: str) -> None:
    archive = two_products(store.root / "archive")
    path = as_jp2(archive, "a-B03")
    whole = path.read_bytes()
    share, more = CUTS[cut]
    path.write_bytes(whole[: int(share * len(whole)) + more])
    result = ingest(store, archive)
    only_b_is_left(store, result, "a-B03.jp2", "truncated")


def test_a_jp2_with_a_hole_in_it_is_noticed(store: Store) -> None:
    archive = two_products(store.root / "archive")
    path = as_jp2(archive, "a-B03")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)  # a download into a file of the full size
    path.write_bytes(data)
    only_b_is_left(store, ingest(store, archive), "a-B03.jp2")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("keep", [0.0, 0.002, 0.3, 0.9, 0.999])
def test_a_truncated_geotiff_never_reads_as_no_data(store: Store, keep: float) -> None:
    archive = two_products(store.root / "archive")
    path = archive.folder / "a-B03.tif"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    only_b_is_left(store, ingest(store, archive), "a-B03.tif", "truncated")


def rewrite(path: Path, window: Window, size: int, epsg: int = 32631) -> None:
    transform = Affine(10, 0, window.left * 10, 0, -10, window.top * 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=1, dtype="uint16", crs=f"EPSG:{epsg}", transform=transform
    ) as file:  # fmt: skip
        file.write(NOISE[:size, :size].astype(np.uint16), 1)


def test_a_band_of_another_size_names_itself(store: Store) -> None:
    archive = two_products(store.root / "archive")
    rewrite(archive.folder / "a-B03.tif", cube_kit.square(), 128)
    only_b_is_left(store, ingest(store, archive), "a: B03", "a-B03.tif", "128 x 128 pixels")


def test_a_band_of_the_tile_beside_names_itself(store: Store) -> None:
    archive = two_products(store.root / "archive")
    rewrite(archive.folder / "a-B03.tif", cube_kit.square(column=200), 256)
    only_b_is_left(store, ingest(store, archive), "a: B03", "a-B03.tif", "isn't where its other bands lie")


def test_a_band_of_another_zone_names_itself(store: Store) -> None:
    archive = two_products(store.root / "archive")
    rewrite(archive.folder / "a-B03.tif", cube_kit.square(), 256, 32632)
    only_b_is_left(store, ingest(store, archive), "a: B03", "a-B03.tif", "is in EPSG:32632")


def test_a_product_whose_files_lie_elsewhere_than_it_says(store: Store) -> None:
    archive = two_products(store.root / "archive")
    far = cube_kit.square(row=-9000, size=256)
    for band in ("B02", "B03", "B04"):
        rewrite(archive.folder / f"a-{band}.tif", far, 256)
    with rasterio.open(archive.folder / "a-SCL.tif", "r+") as file:
        file.transform = Affine(10, 0, far.left * 10, 0, -10, far.top * 10)
    only_b_is_left(store, ingest(store, archive), "a: B02", "outside the product's footprint")


def test_a_product_of_nothing_but_no_data_says_so_and_the_other_fills_the_cell(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 0, "B03": 0, "SCL": 0}, datastrip="S1")
    archive.add("b", {"B02": 70, "B03": 70, "SCL": 5}, datastrip="S2")
    result = ingest(store, archive)
    only_b_is_left(store, result, "no data: all 3 bands read are empty in the cells asked for")
    assert ingest(store, archive).skipped == (CELL.name,)  # nothing to try again


def test_several_spoilt_products_are_dropped_one_by_one(store: Store) -> None:
    archive = two_products(store.root / "archive")
    archive.add("c", {"B02": NOISE, "SCL": 4}, window=cube_kit.square(size=256), datastrip="S3")
    for name in ("a-B02.tif", "c-B02.tif"):
        path = archive.folder / name
        path.write_bytes(path.read_bytes()[:-5000])
    result = ingest(store, archive)
    assert [left.product for left in result.dropped] == ["a", "c"]
    assert np.unique(Cube(store.cube("kit", "L2A", CELL)).read("reflectance", 0)).tolist() == [0, 70]
