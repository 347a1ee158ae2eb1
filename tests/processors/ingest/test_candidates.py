"""Versions of an acquisition are tried from new to old, and what was read, and of which content, stands in the cube."""

from __future__ import annotations

import json
from typing import Any

import cube_kit
import numpy as np
import pytest
from shapely.geometry import box

from catalog.errors import Reason
from catalog.given_offsets import with_offsets
from catalog.grid import Cell, to_lonlat
from catalog.order import group_acquisitions
from catalog.products import LeftOut, Order
from catalog.storage.store import Store
from catalog.versions import newest_versions
from processors.cube.cell import Cube
from processors.cube.pixel_source import OffsetFinding
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.season import choose_season

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)


def order_of(archive: cube_kit.Archive) -> Order:
    """An order as `make_order` makes it, in which older versions follow the newest."""
    products = newest_versions(cube_kit.FolderSource(archive.address).products, [])
    order: Order = archive.order()
    return order.model_copy(update={"acquisitions": tuple(group_acquisitions(products))})


def ingest(store: Store, order: Order) -> IngestResult:
    cells = extend_cells(store, order, [CELL])
    (one,) = order.acquisitions
    return ingest_acquisition(store, order, one.id, cells, order.source)


def cube_of(store: Store) -> Cube:
    return Cube(store.cube("kit", "L2A", CELL))


def blue(store: Store) -> int:
    return int(cube_of(store).read("reflectance", 0)[1, 0, 0])


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(300, 9000, (120, 120))


@pytest.fixture
def archive(store: Store) -> cube_kit.Archive:
    """Three versions of a product."""
    made = cube_kit.Archive(store.root / "archive")
    for number, baseline in enumerate(("02.11", "04.00", "05.00"), start=1):
        made.add(f"v{number}", {"B02": noise(number), "B03": 100 * number, "SCL": 4}, baseline=baseline)
    return made


def damage(archive: cube_kit.Archive, name: str, how: str) -> None:
    file = archive.folder / name
    if how == "absent":
        file.unlink()
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[:-2000])
    else:
        file.write_bytes(b"no raster")


@pytest.mark.parametrize("how", ["absent", "truncated", "no raster"])
@pytest.mark.parametrize("file", ["B02", "SCL"])
def test_the_next_version_is_taken_where_one_can_not_be_read(
    store: Store, archive: cube_kit.Archive, how: str, file: str
) -> None:
    whole = (archive.folder / "v3-B02.tif").read_bytes()
    scl = (archive.folder / "v3-SCL.tif").read_bytes()
    damage(archive, f"v3-{file}.tif", how)
    result = ingest(store, order_of(archive))
    assert result.written == (CELL.name,)
    (left,) = result.dropped
    assert (left.product, left.kind) == ("v3", Reason.OLDER_TAKEN)
    assert left.cause is (Reason.NOT_THERE if how == "absent" else Reason.UNREADABLE)
    assert left.reason.endswith("Its older version v2, baseline 04.00, is taken.")
    assert [(one.product, one.baseline) for one in cube_of(store).sources(0)] == [("v2", "04.00")]
    assert blue(store) == noise(2)[0, 0]

    again = ingest(store, order_of(archive))
    assert (again.written, again.skipped, again.dropped) == ((), (CELL.name,), result.dropped)

    (archive.folder / "v3-B02.tif").write_bytes(whole)
    (archive.folder / "v3-SCL.tif").write_bytes(scl)
    healed = ingest(store, order_of(archive))
    assert (healed.written, healed.dropped) == ((CELL.name,), ())
    assert blue(store) == noise(3)[0, 0]


def test_the_oldest_is_taken_where_both_newer_ones_fail_at_different_moments(
    store: Store, archive: cube_kit.Archive
) -> None:
    damage(archive, "v3-B02.tif", "truncated")  # found while reading
    damage(archive, "v2-B02.tif", "no raster")  # found while opening
    result = ingest(store, order_of(archive))
    assert [(left.product, left.kind) for left in result.dropped] == [
        ("v2", Reason.OLDER_TAKEN),
        ("v3", Reason.OLDER_TAKEN),
    ]
    assert blue(store) == noise(1)[0, 0]


def test_where_none_can_be_read_each_has_its_own_reason(store: Store, archive: cube_kit.Archive) -> None:
    for version in ("v1", "v2", "v3"):
        damage(archive, f"{version}-SCL.tif", "no raster")
    result = ingest(store, order_of(archive))
    assert result.written == ()
    assert {left.product: left.kind for left in result.dropped} == dict.fromkeys(("v1", "v2", "v3"), Reason.UNREADABLE)


def test_of_versions_that_all_lack_a_band_the_newest_is_read(store: Store, archive: cube_kit.Archive) -> None:
    for version in ("v1", "v2", "v3"):
        damage(archive, f"{version}-B02.tif", "absent")
    result = ingest(store, order_of(archive))
    assert [(left.product, left.kind) for left in result.dropped] == [("v3 B02", Reason.NOT_THERE)]
    assert [one.product for one in cube_of(store).sources(0)] == ["v3"]


def test_numbers_that_contradict_the_newest_offset_lead_to_the_older(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    dark = np.random.default_rng(1).integers(200, 500, (120, 120))
    bands: dict[str, Any] = dict.fromkeys(("B02", "B03", "B04"), dark)
    archive.add("old", {**bands, "SCL": 4}, baseline="02.11")
    archive.add("new", {**bands, "SCL": 4}, baseline="05.00", offset=-1000)
    (left,) = ingest(store, order_of(archive)).dropped
    assert (left.kind, left.cause) == (Reason.OLDER_TAKEN, Reason.OFFSET_REFUSED)
    (source,) = cube_of(store).sources(0)
    assert (source.product, source.finding) == ("old", OffsetFinding.FITS)


def test_an_offset_that_a_request_gives_is_said_of_one_version(store: Store, archive: cube_kit.Archive) -> None:
    order = order_of(archive)
    asked = with_offsets(order.acquisitions, {order.acquisitions[0].id: -100})
    assert [product.older for product in asked[0].products] == [()]


def test_complementary_products_without_a_datastrip_stay_both_when_one_is_reprocessed(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    for name, row in (("north", 0), ("south", 200)):
        archive.add(name, {"B02": 100, "SCL": 4}, window=cube_kit.square(row), datastrip="unknown")
    ingest(store, order_of(archive))
    archive.add("north2", {"B02": 700, "SCL": 4}, datastrip="unknown", baseline="05.00")
    order = archive.order("north2")  # of an area that touches the north alone
    assert ingest(store, order).written == (CELL.name,)
    values = cube_of(store).read("reflectance", 0)[1]
    assert (values[0, 0], values[200, 0]) == (700, 100)


# Reprocessed under the same id


def test_a_product_of_another_content_is_read_again_and_the_season_speaks_of_the_pixels(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    area = to_lonlat(box(*cube_kit.square().bounds), 32631)

    def season_of(order: Order) -> Any:
        mask_acquisition(store, order, order.acquisitions[0].id, [CELL])
        return choose_season(store, order, area, 32631, 0.5, 1).used[0]

    archive.add("p", {"B02": 100, "SCL": 4}, content="first", baseline="02.11")
    ingest(store, archive.order())
    first = season_of(archive.order())
    archive.add("p", {"B02": 700, "SCL": 4}, content="second", baseline="05.00")
    # the catalogue of today says 05.00; until it is read, the pixels are of 02.11
    assert season_of(archive.order()).baseline == first.baseline == "02.11"
    assert ingest(store, archive.order()).written == (CELL.name,)
    assert cube_of(store).flags("masked").tolist() == [False]
    second = season_of(archive.order())
    assert (second.baseline, blue(store)) == ("05.00", 700)
    assert cube_of(store).sources(0)[0].content == "second"
    assert second.contents != first.contents
    archive.add("p", {"B02": 900, "SCL": 4}, content="third", baseline="05.00")
    assert ingest(store, archive.order()).written == (CELL.name,)
    assert ingest(store, archive.order()).skipped == (CELL.name,)


def test_a_cell_of_before_there_were_contents_is_not_read_again(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": 4}, baseline="02.11")
    ingest(store, archive.order())
    cube = Cube(store.cube("kit", "L2A", CELL), "r+")
    cube.set(0, pixels_from="")
    (source,) = cube.sources(0)
    assert (source.product, source.baseline, source.offset_from) == ("p", "02.11", ("the test",))
    archive.add("p", {"B02": 700, "SCL": 4}, content="now", baseline="02.11")
    assert ingest(store, archive.order()).skipped == (CELL.name,)
    assert [product.content for product in cube_of(store).products(0)] == ["now"]  # from here on a change is noticed
    archive.add("p", {"B02": 700, "SCL": 4}, content="later", baseline="02.11")
    assert ingest(store, archive.order()).written == (CELL.name,)


def test_records_of_what_was_left_out_keep_their_cause() -> None:
    from processors.ingest.left_out import LeftOutRecord, read_records, records_text

    record = LeftOutRecord(LeftOut(product="p", reason="r", kind=Reason.OLDER_TAKEN, cause=Reason.NOT_THERE), "s")
    assert read_records(records_text([record])) == [record]
    assert read_records(json.dumps({"p": ["r", "s", "unreadable"]}))[0].left_out.cause is None
