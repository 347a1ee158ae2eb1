"""Masks of L2A, the position of the sun, and shadows: pixel by pixel."""

from __future__ import annotations

import itertools
import math

import cube_kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import distance_transform_edt

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.products import Order
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import MaskResult, mask_acquisition
from processors.mask.clouds import cast_shadows, dilated
from processors.mask.options import USUAL_MASK, L2AMask, MaskOptions

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)


def make(store: Store, order: Order, *cells: Cell, options: MaskOptions = USUAL_MASK) -> list[MaskResult]:
    cells = cells or (CELL,)
    extend_cells(store, order, cells)
    for one in order.acquisitions:
        ingest_acquisition(store, order, one.id, cells, order.source)
    return [mask_acquisition(store, order, one.id, cells, options) for one in order.acquisitions]


def clear_of(store: Store, cell: Cell = CELL) -> np.ndarray:
    return Cube(store.cube("kit", "L2A", cell)).read("clear", 0)


def test_each_class_of_the_scene_classification(store: Store) -> None:
    scl = np.full((120, 120), 4)
    scl[0:12, 0] = range(12)
    scl[[3, 8, 9], 0] = 4  # these spread: their own test
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": scl})
    (result,) = make(store, archive.order())
    assert (result.masked, result.skipped) == ((CELL.name,), ())
    clear = clear_of(store)
    #                                 0 none, 1 defective, 2 dark, 4-7 clear, 10 cirrus, 11 snow
    assert clear[0:12, 0].tolist() == [255, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert (clear[120, 0], clear[0, 120]) == (255, 255)
    cube = Cube(store.cube("kit", "L2A", CELL))
    assert cube.flags("masked").tolist() == [True]
    assert cube.values("clear_fraction")[0] == np.float32((120 * 120 - 5) / 1024**2)


@pytest.mark.parametrize("kind", [3, 8, 9])
def test_clouds_and_shadows_spread_by_60_m(store: Store, kind: int) -> None:
    scl = np.full((120, 120), 4)
    scl[50, 60] = kind
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": scl})
    make(store, archive.order())
    expected = np.ones((120, 120), np.uint8)
    for row, column in itertools.product(range(120), range(120)):
        expected[row, column] = math.dist((row, column), (50, 60)) > 6
    np.testing.assert_array_equal(clear_of(store)[:120, :120], expected)


def test_saturated_is_not_clear_and_any_missing_band_is_no_data(store: Store) -> None:
    blue, red = np.full((120, 120), 100), np.full((120, 120), 100)
    blue[0, 0], red[0, 1], blue[0, 2] = 65535, 65535, 0
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": blue, "B04": red, "SCL": 4})
    make(store, archive.order())
    assert clear_of(store)[0, :4].tolist() == [0, 0, 255, 1]


def test_a_cloud_spreads_over_the_edge_of_its_cell(store: Store) -> None:
    cells = (CELL, cube_kit.NORTH, cube_kit.EAST, Cell(32631, 57, 550))
    window = cube_kit.square(row=-60, column=964)  # around the corner where four cells meet
    scl = np.full((120, 120), 4)
    scl[58, 62] = 9
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": scl}, window=window)
    make(store, archive.order(), *cells)
    whole = np.full((120, 120), 7, np.uint8)
    for cell in cells:
        part = window.intersection(cell.window)
        whole[window.slices(part)] = clear_of(store, cell)[cell.window.slices(part)]
    rows, columns = np.mgrid[:120, :120]
    np.testing.assert_array_equal(whole, np.hypot(rows - 58, columns - 62) > 6)


def test_a_masked_cell_is_not_masked_again_and_an_empty_one_not_at_all(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": 4})
    order = archive.order()
    extend_cells(store, order, [CELL])
    assert mask_acquisition(store, order, order.acquisitions[0].id, [CELL]).masked == ()  # not ingested
    make(store, order)
    shard = store.cube("kit", "L2A", CELL) / "clear" / "c" / "0" / "0" / "0"
    before = shard.stat().st_mtime_ns
    result = mask_acquisition(store, order, order.acquisitions[0].id, [CELL, cube_kit.NORTH])
    assert (result.masked, result.skipped, shard.stat().st_mtime_ns) == ((), (CELL.name,), before)


def test_the_options_decide_what_is_clear_and_what_spreads(store: Store) -> None:
    scl = np.full((120, 120), 4)
    scl[0, 0], scl[0, 40], scl[60, 60] = 11, 6, 10
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": scl})
    make(store, archive.order(), options=MaskOptions(l2a=L2AMask(clear=(4, 11), dilated=(10,), dilation=25)))
    expected = np.ones((120, 120), np.uint8)
    expected[0, 40] = 0  # water is not clear here, snow is
    rows, columns = np.mgrid[:120, :120]
    expected[np.hypot(rows - 60, columns - 60) <= 2.5] = 0  # cirrus spreads
    np.testing.assert_array_equal(clear_of(store)[:120, :120], expected)


def test_cloud_probability_of_l2a_counts_where_asked_for(store: Store) -> None:
    percent = np.zeros((120, 120))
    percent[30, 30], percent[30, 60], percent[90, 90] = 60, 61, 255  # 255: the product says nothing there
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": 4, "CLD": percent})
    make(store, archive.order())
    assert np.unique(clear_of(store)[:120, :120]).tolist() == [1]  # not used unless asked for
    make(store, archive.order(), options=MaskOptions(l2a=L2AMask(cloud_threshold=0.6)))
    rows, columns = np.mgrid[:120, :120]
    np.testing.assert_array_equal(clear_of(store)[:120, :120], np.hypot(rows - 30, columns - 60) > 6)


def test_other_options_mask_again_and_the_same_ones_nothing(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    for number in (1, 2):
        archive.add(f"p{number}", {"B02": 100, "SCL": 5}, time=cube_kit.day(number))
    order, path = archive.order(), store.cube("kit", "L2A", CELL)
    make(store, order)
    before = cube_kit.files_of(path)
    assert [(one.masked, one.skipped) for one in make(store, order)] == [((), (CELL.name,))] * 2
    assert cube_kit.files_of(path) == before

    bare = MaskOptions(l2a=L2AMask(clear=(4, 6, 7)))  # bare soil is not clear
    first = order.acquisitions[0].id
    assert mask_acquisition(store, order, first, [CELL], bare).masked == (CELL.name,)
    cube = Cube(path)
    assert [cube.read("clear", index)[0, 0] for index in (0, 1)] == [0, 1]
    assert cube.values("masked_with").tolist() == [bare.record("L2A"), USUAL_MASK.record("L2A")]
    assert cube.values("clear_fraction")[0] == 0
    assert mask_acquisition(store, order, first, [CELL], bare).masked == ()
    assert mask_acquisition(store, order, first, [CELL]).masked == (CELL.name,)
    assert cube_kit.files_of(path) == before

    Cube(path, "r+").set(1, masked_with="")  # masked before there were records
    assert [one.masked for one in make(store, order)] == [(), (CELL.name,)]
    assert cube_kit.files_of(path) == before


def test_masking_again_that_is_stopped_leaves_no_mask(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 100, "SCL": 5})
    order, path = archive.order(), store.cube("kit", "L2A", CELL)
    make(store, order)

    def full(*arguments: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Cube, "write_slab", full)
        with pytest.raises(StoreError):
            make(store, order, options=MaskOptions(l2a=L2AMask(dilation=0)))
    assert Cube(path).flags("masked").tolist() == [False]
    assert make(store, order)[0].masked == (CELL.name,)


# Shadows and the sun


def test_a_shadow_falls_away_from_the_sun() -> None:
    clouds = np.zeros((101, 101), bool)
    clouds[50, 50] = True
    # Sun in the south-east at 45 degrees: shadows to the north-west, 200 m to 6 km away, pixels of 100 m.
    shadows = cast_shadows(clouds, 45, 135, 100)
    rows, columns = np.nonzero(shadows)
    assert (50 - rows == 50 - columns).all()
    away = np.hypot(50 - rows, 50 - columns) * 100
    assert away.min() == pytest.approx(200, abs=100)
    assert away.max() == pytest.approx(6000, abs=100)
    assert len(rows) == len(set(rows.tolist())) == rows.max() - rows.min() + 1  # no gap


@pytest.mark.parametrize(("azimuth", "row", "column"), [(180, -1, 0), (90, 0, -1), (0, 1, 0), (270, 0, 1)])
def test_shadows_of_each_quarter(azimuth: float, row: int, column: int) -> None:
    clouds = np.zeros((41, 41), bool)
    clouds[20, 20] = True
    found = np.argwhere(cast_shadows(clouds, 45, azimuth, 1000)) - 20
    # heights of 200 m to 6 km: 0 to 6 pixels of 1 km
    assert {(down, right) for down, right in found.tolist()} == {(row * step, column * step) for step in range(7)}


def test_shadows_lie_no_further_than_asked() -> None:
    clouds = np.zeros((101, 101), bool)
    clouds[50, 50] = True
    rows, _ = np.nonzero(cast_shadows(clouds, 60, 180, 100, 2500))  # 6 km high: 10 km away
    assert (50 - rows).min() * 100 == pytest.approx(200 * math.tan(math.radians(60)), abs=100)
    assert (50 - rows).max() == 25
    assert not cast_shadows(clouds, 60, 180, 100, 300).any()  # the lowest clouds' are 346 m away


def test_nothing_casts_no_shadow_and_does_not_spread() -> None:
    nothing = np.zeros((8, 8), bool)
    assert not cast_shadows(nothing, 50, 100, 10).any()
    assert not dilated(nothing, 3).any()


@given(
    arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24)),
    st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 6.0, 6.5, 12.0, 30.0]),
)
def test_dilation_is_by_distance_between_centres(mask: np.ndarray, radius: float) -> None:
    expected = distance_transform_edt(~mask) <= radius if mask.any() else mask
    np.testing.assert_array_equal(dilated(mask, radius), expected)
