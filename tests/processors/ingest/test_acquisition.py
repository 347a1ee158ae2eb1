"""From products to slabs: every number computed by hand."""

from __future__ import annotations

import json

import cube_kit
import numpy as np
import pytest
import rasterio
from affine import Affine

from catalog.errors import Reason, RequestError
from catalog.grid import Cell, Window
from catalog.products import LEVEL_BANDS, LeftOut, Order
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
L2A = LEVEL_BANDS["L2A"]


def ingest(store: Store, order: Order, *cells: Cell) -> list[IngestResult]:
    """Through JSON, as it travels between processes."""
    order = Order.model_validate_json(order.model_dump_json())
    cells = cells or (CELL,)
    extended = extend_cells(store, order, cells)
    results = [ingest_acquisition(store, order, one.id, extended, order.source) for one in order.acquisitions]
    return [IngestResult.model_validate_json(result.model_dump_json()) for result in results]


def cube_of(store: Store, cell: Cell = CELL, level: str = "L2A") -> Cube:
    return Cube(store.root / "cubes" / "kit" / level / f"{cell.name}.zarr")


def band(store: Store, name: str, cell: Cell = CELL, index: int = 0) -> np.ndarray:
    return cube_of(store, cell).read("reflectance", index)[L2A.index(name)]


def test_offset_no_data_and_saturation_are_decided_on_raw_numbers(store: Store) -> None:
    raw = np.full((120, 120), 3000)
    raw[0, :6] = [0, 1, 999, 1000, 1001, 65535]
    raw[1, 0] = 65534
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B04": raw, "SCL": 4}, offset=-1000)
    (result,) = ingest(store, archive.order())
    assert result.written == (CELL.name,)
    # 0 is no data; what the offset takes below 1 is 1, still valid; saturated stays saturated, and only that
    read = band(store, "B04")
    assert read[0, :7].tolist() == [0, 1, 1, 1, 1, 65535, 2000]
    assert read[1, 0] == 64534
    assert read[120:, :].max() == 0
    cube = cube_of(store)
    assert cube.flags("ingested").tolist() == [True]
    assert cube.values("valid_fraction")[0] == np.float32((120 * 120 - 1) / 1024**2)
    assert dict(zip(L2A, cube.values("bands_present")[0].tolist(), strict=True)) == {
        name: int(name == "B04") for name in L2A
    }
    assert cube.values("offset_from").tolist() == ["the test"]
    assert cube.values("off_grid").tolist() == [""]


def test_bytes_read_are_the_files_pixels_and_bytes_stored_the_cells_files(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    rng = np.random.default_rng(1)
    archive.add("p", {"B04": rng.integers(1, 9000, (120, 120)), "B05": rng.integers(1, 9000, (60, 60)), "SCL": 4})
    (result,) = ingest(store, archive.order())
    pixels = 0
    for file in (store.root / "archive").rglob("*.tif"):
        with rasterio.open(file) as dataset:
            pixels += dataset.read().nbytes
    assert result.read_bytes == pixels > 120 * 120 * 2
    slabs = [cube_of(store).path / name for name in ("reflectance", "scl", "cloud_probability")]
    files = [file for slab in slabs for file in slab.rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert result.stored_bytes == sum(file.stat().st_size for file in files) > 0
    (again,) = ingest(store, archive.order())
    assert (again.skipped, again.read_bytes, again.stored_bytes) == ((CELL.name,), 0, 0)


def test_bands_of_20_and_60_m_are_repeated_exactly_wherever_they_start(store: Store) -> None:
    # Starts 5 pixels before the cell: the cell's edge cuts pixels of 20 m (after 2.5) and of 60 m (after 5/6).
    window = cube_kit.square(row=-5, column=-5)
    rng = np.random.default_rng(1)
    tens, twenties, sixties = (rng.integers(1, 9000, (size, size)) for size in (120, 60, 20))
    scl = rng.integers(1, 11, (60, 60))
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": tens, "B05": twenties, "B01": sixties, "SCL": scl}, window=window)
    ingest(store, archive.order())
    at = np.arange(115) + 5
    for name, raw, step in (("B02", tens, 1), ("B05", twenties, 2), ("B01", sixties, 6)):
        read = band(store, name)
        np.testing.assert_array_equal(read[:115, :115], raw[np.ix_(at // step, at // step)])
        assert read[115:].max() == 0, name
        assert read[:, 115:].max() == 0, name
    read = cube_of(store).read("scl", 0)
    np.testing.assert_array_equal(read[:115, :115], scl[np.ix_(at // 2, at // 2)])


def test_a_product_across_cells_is_whole_over_their_edges(store: Store) -> None:
    cells = [CELL, cube_kit.NORTH, cube_kit.EAST]
    raw = np.arange(1, 14401).reshape(120, 120)
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": raw, "SCL": 4}, window=cube_kit.square(row=-60, column=964))
    (result,) = ingest(store, archive.order(), *cells)
    assert set(result.written) == {cell.name for cell in cells}
    np.testing.assert_array_equal(band(store, "B02", CELL)[:60, 964:], raw[60:, :60])
    np.testing.assert_array_equal(band(store, "B02", cube_kit.NORTH)[964:, 964:], raw[:60, :60])
    np.testing.assert_array_equal(band(store, "B02", cube_kit.EAST)[:60, :60], raw[60:, 60:])


def test_two_products_of_a_datatake_are_merged_in_the_order_of_their_names(store: Store) -> None:
    first, second = np.full((120, 120), 100), np.full((120, 120), 200)
    first[:, 60:] = 0  # ends in a datastrip
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("b", {"B02": second, "SCL": 5}, datastrip="S2")
    archive.add("a", {"B02": first, "SCL": np.where(first > 0, 4, 0)}, datastrip="S1")
    (result,) = ingest(store, archive.order())
    assert result.dropped == ()
    read, scl = band(store, "B02")[:120, :120], cube_of(store).read("scl", 0)[:120, :120]
    assert np.unique(read[:, :60]).tolist() == [100]
    assert np.unique(read[:, 60:]).tolist() == [200]
    assert (scl[0, 0], scl[0, 60]) == (4, 5)
    assert cube_of(store).values("product_ids").tolist() == ['["a", "b"]']


def test_the_cloud_probability_of_l2a_keeps_its_zeros_and_is_255_without_data(store: Store) -> None:
    blue, percent = np.full((120, 120), 100), np.tile(np.arange(60), (60, 1))  # 20 m
    blue[0, :4] = 0
    percent[1, :3] = [0, 100, 101]
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": blue, "SCL": 4, "CLD": percent})
    (result,) = ingest(store, archive.order())
    assert result.dropped == ()
    read = cube_of(store).read("cloud_probability", 0)
    assert read[0, :8].tolist() == [255, 255, 255, 255, 2, 2, 3, 3]  # where reflectance has no data, neither has this
    assert read[2, :8].tolist() == [0, 0, 100, 100, 255, 255, 3, 3]  # no percentage says nothing
    np.testing.assert_array_equal(read[4:120, :120], np.tile(np.arange(60).repeat(2), (116, 1)))
    assert (int(read[120:].min()), int(read[:, 120:].min())) == (255, 255)


def test_cloud_probability_and_class_of_a_pixel_come_from_one_product(store: Store) -> None:
    first = np.full((120, 120), 100)
    first[:, 60:] = 0
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": first, "SCL": np.where(first > 0, 4, 0), "CLD": 0}, datastrip="S1")
    archive.add("b", {"B02": 200, "SCL": 5, "CLD": 70}, datastrip="S2")
    ingest(store, archive.order())
    read = cube_of(store).read("cloud_probability", 0)[:120, :120]
    assert np.unique(read[:, :60]).tolist() == [0]  # 0 % of the first is not filled up by the second
    assert np.unique(read[:, 60:]).tolist() == [70]


def test_a_product_without_cloud_probability_is_as_good(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 100, "SCL": 4}, time=cube_kit.day(1))
    gone = archive.folder / "gone.tif"
    archive.add("b", {"B02": 100, "SCL": 4}, time=cube_kit.day(2), hrefs={"CLD": str(gone)})
    first, second = ingest(store, archive.order())
    assert (first.written, first.dropped) == ((CELL.name,), ())
    assert second.written == (CELL.name,)
    assert second.dropped == (
        LeftOut(product="b CLD", reason=f"{gone}: no such file", kind=Reason.NOT_THERE),
    )  # listed, and not there
    cube = cube_of(store)
    assert [int(cube.read("cloud_probability", index).min()) for index in (0, 1)] == [255, 255]
    assert not list((cube.path / "cloud_probability").rglob("c/*"))
    cube_kit.write(gone, np.full((120, 120), 30), 32631, cube_kit.square().transform, np.uint8)  # it arrives
    assert ingest(store, archive.order())[1].written == (CELL.name,)
    assert int(cube_of(store).read("cloud_probability", 1)[0, 0]) == 30


def test_a_band_that_one_of_two_products_lacks_is_absent(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 100, "B03": 100, "SCL": 4})
    archive.add("b", {"B02": 200, "SCL": 4}, window=cube_kit.square(0, 200), tile="31UET")
    ingest(store, archive.order())
    assert (band(store, "B02")[0, 0], band(store, "B02")[0, 200]) == (100, 200)
    assert band(store, "B03").max() == 0
    assert dict(zip(L2A, cube_of(store).values("bands_present")[0], strict=True))["B03"] == 0


def test_a_cell_without_data_is_ingested_and_takes_no_room(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 0, "SCL": 0})
    (result,) = ingest(store, archive.order())
    cube = cube_of(store)
    assert result.written == (CELL.name,)
    assert (cube.flags("ingested").tolist(), cube.values("valid_fraction").tolist()) == ([True], [0.0])
    assert not (cube.path / "reflectance" / "c").exists()


def test_only_the_blocks_with_data_are_stored(store: Store) -> None:
    rng = np.random.default_rng(2)
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": rng.integers(1, 60000, (120, 120)), "SCL": 4})
    ingest(store, archive.order())
    (shard,) = (path for path in (cube_of(store).path / "reflectance" / "c").rglob("*") if path.is_file())
    assert 2 * 120 * 120 < shard.stat().st_size < 2 * 120 * 120 + 12 * 1024


def test_what_is_ingested_is_not_read_again(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": 4})
    ingest(store, archive.order())
    for path in archive.folder.glob("*.tif"):
        path.unlink()
    (result,) = ingest(store, archive.order())
    assert (result.written, result.skipped, result.dropped) == ((), (CELL.name,), ())


def test_a_newer_baseline_is_ingested_anew(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("old", {"B02": 100, "SCL": 4}, baseline="02.11")
    ingest(store, archive.order())
    Cube(cube_of(store).path, "r+").set(0, masked=1)
    archive.add("new", {"B02": 700, "SCL": 4}, baseline="05.00")
    (result,) = ingest(store, archive.order("new"))
    cube = cube_of(store)
    assert result.written == (CELL.name,)
    assert (len(cube), cube.flags("masked").tolist(), band(store, "B02")[0, 0]) == (1, [False], 700)


def test_a_grown_area_merges_the_products_of_both_requests(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 100, "SCL": 4})
    archive.add("b", {"B02": 200, "SCL": 4}, window=cube_kit.square(0, 200), tile="31UET")
    ingest(store, archive.order("a"))
    ingest(store, archive.order("b"))
    assert (band(store, "B02")[0, 0], band(store, "B02")[0, 200]) == (100, 200)
    (result,) = ingest(store, archive.order("a"))
    assert result.skipped == (CELL.name,)


def test_a_product_elsewhere_makes_no_cell(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": 4})
    order = archive.order()
    assert extend_cells(store, order, [CELL, Cell(32631, 58, 549)]) == [CELL]
    with pytest.raises(RequestError, match="'nothing' is not in the order"):
        ingest_acquisition(store, order, "nothing", [CELL], order.source)


# What can't be read


def truncate(archive: object, name: str) -> None:
    path = archive.folder / name  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:-2000])


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 9000, (120, 120))


def test_a_truncated_product_is_dropped_and_the_other_one_goes_on(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 50, "B03": noise(3), "SCL": 4}, datastrip="S1")
    archive.add("b", {"B02": 60, "B03": 80, "SCL": 4}, datastrip="S2")
    whole = (archive.folder / "a-B03.tif").read_bytes()
    truncate(archive, "a-B03.tif")
    (result,) = ingest(store, archive.order())
    assert result.written == (CELL.name,)
    (dropped,) = result.dropped
    assert dropped.product == "a"
    assert "a-B03.tif can't be read, it may be truncated" in dropped.reason
    assert (band(store, "B02")[0, 0], band(store, "B03")[0, 0]) == (60, 80)  # nothing of a, not even its good band

    (again,) = ingest(store, archive.order())
    assert (again.skipped, again.dropped) == ((CELL.name,), result.dropped)

    (archive.folder / "a-B03.tif").write_bytes(whole)  # downloaded again
    (healed,) = ingest(store, archive.order())
    assert (healed.written, healed.dropped) == ((CELL.name,), ())
    assert band(store, "B02")[0, 0] == 50


def test_a_product_that_fails_in_a_later_cell_is_taken_back_from_the_earlier(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    tall = cube_kit.square(row=-512, size=1024)  # half in the northern cell, half in this one
    raw = np.tile(np.random.default_rng(4).integers(1, 9000, (1024, 128)), 8)
    archive.add("a", {"B02": raw, "SCL": 4}, window=tall, datastrip="S1")
    archive.add("b", {"B02": 60, "SCL": 4}, window=tall, datastrip="S2")
    truncate(archive, "a-B02.tif")
    (result,) = ingest(store, archive.order(), CELL, cube_kit.NORTH)
    assert [one.product for one in result.dropped] == ["a"]
    for cell in (CELL, cube_kit.NORTH):
        read = band(store, "B02", cell)
        assert np.unique(read).tolist() == [0, 60]


def test_nothing_usable_leaves_the_flags_cleared(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": noise(5), "SCL": 4})
    (archive.folder / "a-B02.tif").write_bytes(b"II*\0 no raster")
    (result,) = ingest(store, archive.order())
    assert (result.written, result.skipped) == ((), ())
    assert "a-B02.tif can't be opened" in result.dropped[0].reason
    assert cube_of(store).flags("ingested").tolist() == [False]


def test_an_asset_that_is_not_there_is_a_missing_band(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.ingest.opening.PATIENCE", 0.0)
    archive = cube_kit.Archive(store.root / "archive")
    gone, unreachable = archive.folder / "gone.tif", "http://127.0.0.1:9/B04.tif"
    archive.add("a", {"B02": 50, "SCL": 4}, hrefs={"B03": str(gone), "B04": unreachable})
    (result,) = ingest(store, archive.order())
    assert result.written == (CELL.name,)
    assert result.dropped[0] == LeftOut(product="a B03", reason=f"{gone}: no such file", kind=Reason.NOT_THERE)
    assert result.dropped[1].product == "a B04"
    assert unreachable in result.dropped[1].reason
    present = dict(zip(L2A, cube_of(store).values("bands_present")[0].tolist(), strict=True))
    assert [name for name, there in present.items() if there] == ["B02"]
    assert set(json.loads(cube_of(store).values("left_out")[0])) == {"a B03", "a B04"}
    assert band(store, "B02")[0, 0] == 50

    (again,) = ingest(store, archive.order())
    assert (again.skipped, again.dropped) == ((CELL.name,), result.dropped)
    (archive.folder / "a-B02.tif").rename(gone)  # it arrives, and another one goes
    (later,) = ingest(store, archive.order())
    assert later.written == (CELL.name,)
    assert band(store, "B03")[0, 0] == 50
    assert [one.product for one in later.dropped] == ["a B02", "a B04"]


def test_without_a_scene_classification_a_product_is_of_no_use(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 50})
    (result,) = ingest(store, archive.order())
    assert (result.written, result.dropped[0].product) == ((), "a")
    assert "no scene classification (SCL)" in result.dropped[0].reason


# Off the grid


def test_half_a_pixel_off_the_grid_is_interpolated(store: Store) -> None:
    window = cube_kit.square(row=100, column=100)
    transform = Affine(10, 0, window.left * 10 + 5, 0, -10, window.top * 10)  # 5 m to the east
    raw = np.tile(np.arange(120) * 10 + 1000, (120, 1))
    scl = np.tile(np.where(np.arange(120) < 60, 4, 8), (120, 1))
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": raw, "SCL": scl}, window=window, georeference=(32631, transform, (120, 120)))
    ingest(store, archive.order())
    read = band(store, "B02")[150, 101:219]
    # the pixel at column i lies half way between the source's i - 1 and i
    np.testing.assert_array_equal(read, np.arange(1, 119) * 10 + 1000 - 5)
    assert set(np.unique(cube_of(store).read("scl", 0))) == {0, 4, 8}  # classes are never mixed
    (note,) = json.loads(cube_of(store).values("off_grid")[0])
    assert note == f"EPSG:32631, 10 m from {window.left * 10 + 5} {window.top * 10}"


def test_no_data_and_saturation_do_not_leak_into_what_is_interpolated(store: Store) -> None:
    window = cube_kit.square(row=100, column=100)
    transform = Affine(10, 0, window.left * 10 + 5, 0, -10, window.top * 10)
    raw = np.full((120, 120), 2000)
    raw[:, :40] = 0
    raw[:, 80] = 65535
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": raw, "SCL": 4}, window=window, georeference=(32631, transform, (120, 120)), offset=-1000)
    ingest(store, archive.order())
    row = band(store, "B02")[150]
    assert row[:140].max() == 0
    assert np.unique(row[141:180]).tolist() == [1000]  # neither pulled to 0 by the edge nor up by the saturated column
    assert row[180:182].tolist() == [65535, 65535]
    assert np.unique(row[183:219]).tolist() == [1000]


def test_a_product_of_the_neighbouring_zone_lands_where_it_belongs(store: Store) -> None:
    from pyproj import Transformer
    from shapely.geometry import box

    from catalog.grid import to_lonlat, to_zone, window_around

    # A plane in the coordinates of zone 32, linear in its easting and northing: bilinear keeps planes.
    window = cube_kit.square(row=300, column=300, size=200)
    there = window_around(to_zone(to_lonlat(box(*window.bounds), 32631), 32632), 32632)
    rows, columns = np.mgrid[: there.height, : there.width]
    raw = 1000 + 3 * columns + 2 * rows
    archive = cube_kit.Archive(store.root / "archive")
    archive.add(
        "a", {"B02": raw, "SCL": 4}, window=window, georeference=(32632, there.transform, there.shape), tile="32ULB"
    )
    ingest(store, archive.order())
    inner = cube_kit.square(row=350, column=350, size=100)
    read = band(store, "B02")[350:450, 350:450].astype(float)
    y, x = np.mgrid[:100, :100]
    east, north = Transformer.from_crs(32631, 32632, always_xy=True).transform(
        (inner.left + x + 0.5) * 10, (inner.top - y - 0.5) * 10
    )
    expected = 1000 + 3 * (east / 10 - there.left - 0.5) + 2 * (there.top - north / 10 - 0.5)
    assert np.abs(read - expected).max() < 0.5 + 0.125 * 5  # rounding, and GDAL's eighth of a pixel
    assert "EPSG:32632, 10 m" in cube_of(store).values("off_grid")[0]


def test_all_thirteen_bands_of_l1c_and_no_classification(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    archive.add("a", {name: 100 + number for number, name in enumerate(LEVEL_BANDS["L1C"])})
    (result,) = ingest(store, archive.order())
    cube = cube_of(store, level="L1C")
    assert result.dropped == ()
    assert cube.read("reflectance", 0, slice(0, 1), slice(0, 1)).ravel().tolist() == list(range(100, 113))
    assert int(cube.read("scl", 0).max()) == 0
    assert int(cube.read("cloud_probability", 0).min()) == 255


def test_windows_that_the_kit_makes_lie_in_the_cell() -> None:
    assert cube_kit.square(0, 0, 1024) == CELL.window
    assert cube_kit.square(1, 2, 3) == Window(32631, CELL.window.left + 2, CELL.window.top - 1, 3, 3)
