"""From Sentinel Hub into the cube, the whole way: order, download, slabs. All pixels are synthetic."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import sentinel_hub_kit

from catalog.grid import Cell, Window
from catalog.order import make_order
from catalog.products import LEVEL_BANDS, Level, Order
from catalog.sources.registry import open_source
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition


def ordered(server: Any, *cells: Cell, level: Level = "L2A") -> Order:
    source = open_source("sentinelhub:", server.credentials)
    return make_order(source, sentinel_hub_kit.area_of(*cells), 2023, (8, 8), level, 95)


def ingest(store: Store, server: Any, order: Order, *cells: Cell) -> IngestResult:
    extended = extend_cells(store, order, cells)
    (acquisition,) = order.acquisitions
    return ingest_acquisition(store, order, acquisition.id, extended, order.source, server.credentials)


def cube(store: Store, order: Order, cell: Cell) -> Cube:
    return Cube(store.cube(order.source_id, order.level, cell))


def test_what_the_service_holds_is_what_the_cube_holds(sentinel_hub: Any, store: Store) -> None:
    rng = np.random.default_rng(1)
    fine, coarse = rng.integers(0, 12000, (1024, 1024)), rng.integers(0, 12000, (512, 512))
    mask = np.ones((1024, 1024), int)
    mask[900:, 200:] = 0
    fine[0, :3] = [0, 65535, 1000]
    scl = rng.integers(1, 12, (512, 512))
    bands = {"B04": fine, "B11": coarse, "SCL": scl}
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(bands=bands, mask=mask, offset=-1000))
    order = ordered(sentinel_hub, sentinel_hub_kit.CELL)
    result = ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL)
    assert (result.written, result.dropped) == ((sentinel_hub_kit.CELL.name,), ())
    made = cube(store, order, sentinel_hub_kit.CELL)
    read = dict(zip(LEVEL_BANDS["L2A"], made.read("reflectance", 0), strict=True))
    # by hand: max(1, DN - 1000) where dataMask is 1, 0 elsewhere, saturation kept
    expected = np.where(mask == 1, np.maximum(fine - 1000, 1), 0)
    expected[0, 1] = 65535
    np.testing.assert_array_equal(read["B04"], expected)
    twice = coarse.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(read["B11"], np.where(mask == 1, np.maximum(twice - 1000, 1), 0))
    np.testing.assert_array_equal(made.read("scl", 0), np.where(mask == 1, scl.repeat(2, 0).repeat(2, 1), 0))
    assert made.values("offset_from").tolist() == ["Sentinel Hub, harmonizeValues: true"]
    assert made.values("off_grid").tolist() == [""]
    assert made.values("bands_present")[0].tolist() == [1] * 12
    assert made.values("processing_baseline").tolist() == ["05.09"]
    assert made.values("valid_fraction")[0] == pytest.approx(mask.mean())


def test_two_tiles_of_a_datatake_over_two_cells_become_one_acquisition(sentinel_hub: Any, store: Store) -> None:
    west, east = sentinel_hub_kit.CELL, sentinel_hub_kit.EAST
    # they overlap in the second cell; the first by name holds there
    both = Window(west.epsg, west.window.left, west.window.top, 1536, 1024)
    for tile, window, value in (("33TWL", both, 100), ("33TWM", east.window, 200)):
        bands = dict.fromkeys(LEVEL_BANDS["L1C"], value)
        sentinel_hub.scenes.append(sentinel_hub_kit.scene(tile=tile, window=window, level="L1C", bands=bands))
    order = ordered(sentinel_hub, west, east, level="L1C")
    result = ingest(store, sentinel_hub, order, west, east)
    assert (sorted(result.written), result.dropped) == ([west.name, east.name], ())
    made = cube(store, order, east)
    read = made.read("reflectance", 0)
    assert read.shape == (13, 1024, 1024)
    assert np.unique(read[:, :, :512]).tolist() == [100]
    assert np.unique(read[:, :, 512:]).tolist() == [200]
    assert np.unique(cube(store, order, west).read("reflectance", 0)).tolist() == [100]
    assert len(json.loads(made.values("product_ids")[0])) == 2


def test_what_the_service_resampled_is_recorded(sentinel_hub: Any, store: Store) -> None:
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(tile="32TQS", bands={"B02": 500, "SCL": 4}))
    order = ordered(sentinel_hub, sentinel_hub_kit.CELL)
    ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL)
    made = cube(store, order, sentinel_hub_kit.CELL)
    assert json.loads(made.values("off_grid")[0]) == ["EPSG:32632, nearest, by Sentinel Hub"]


def test_what_is_ingested_or_was_refused_is_not_asked_for_again(sentinel_hub: Any, store: Store) -> None:
    sentinel_hub.scenes += [
        sentinel_hub_kit.scene(tile="33TWL", bands={"B02": 100, "SCL": 4}),
        sentinel_hub_kit.scene(tile="33TWM", bands={"B02": 200, "SCL": 5}),
    ]
    order = ordered(sentinel_hub, sentinel_hub_kit.CELL)
    refusal = {"error": {"message": "no such tile"}}
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", status=400, body=refusal)]
    result = ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL)
    assert result.written == (sentinel_hub_kit.CELL.name,)
    (dropped,) = result.dropped
    assert "33TWL" in dropped.product
    assert "refuses it: HTTP 400: " in dropped.reason
    assert "no such tile" in dropped.reason
    assert cube(store, order, sentinel_hub_kit.CELL).read("reflectance", 0)[1, 0, 0] == 200
    asked = len(sentinel_hub.requests("/process"))
    again = ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL)
    assert (again.skipped, again.dropped) == ((sentinel_hub_kit.CELL.name,), result.dropped)
    assert len(sentinel_hub.requests("/process")) == asked


def test_a_failing_service_leaves_nothing_that_counts_and_the_next_run_goes_on(sentinel_hub: Any, store: Store) -> None:
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(bands={"B02": 100, "SCL": 4}))
    order = ordered(sentinel_hub, sentinel_hub_kit.CELL)
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", status=500) for _ in range(8)]
    failed = ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL)
    assert failed.written == ()
    assert [left.passing for left in failed.dropped] == [True]
    assert "can't be reached or fails" in failed.dropped[0].reason
    assert cube(store, order, sentinel_hub_kit.CELL).flags("ingested").tolist() == [False]
    sentinel_hub.faults.clear()
    assert ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL).written == (sentinel_hub_kit.CELL.name,)
    assert cube(store, order, sentinel_hub_kit.CELL).read("reflectance", 0)[1, 0, 0] == 100


def test_what_a_service_could_not_give_then_is_asked_for_again(sentinel_hub: Any, store: Store) -> None:
    sentinel_hub.scenes += [
        sentinel_hub_kit.scene(tile="33TWL", bands={"B02": 100, "SCL": 4}),
        sentinel_hub_kit.scene(tile="33TWM", bands={"B02": 200, "SCL": 5}),
    ]
    order = ordered(sentinel_hub, sentinel_hub_kit.CELL)
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", status=500) for _ in range(8)]
    assert ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL).dropped[0].passing
    again = ingest(store, sentinel_hub, order, sentinel_hub_kit.CELL)
    assert (again.written, again.dropped) == ((sentinel_hub_kit.CELL.name,), ())
