"""Windows that cover an area, and what patches hold."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import shapely
import shapes_kit
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box

from agrunet.data.patches import PatchSource
from catalog.errors import RequestError
from catalog.grid import Cell, Window, inside, window_around
from catalog.products import LEVEL_BANDS, Acquisition, Product
from catalog.storage.store import Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.patches.cube_patches import CubePatches, PatchGrid, cover, in_strips, training_windows
from processors.season import Season, SeasonAcquisition

CELL, EAST = Cell(32631, 56, 549), Cell(32631, 57, 549)
L2A = LEVEL_BANDS["L2A"]
START = datetime(2019, 4, 1, tzinfo=UTC)

areas = st.builds(
    Window, st.just(32631), st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 150), st.integers(1, 150)
)
grids = st.integers(1, 40).flatmap(lambda size: st.builds(PatchGrid, st.just(size), st.integers(0, size - 1)))


@given(areas, grids, st.data())
def test_patches_cover_every_pixel_and_all_meet_the_area(area: Window, grid: PatchGrid, data: st.DataObject) -> None:
    step = grid.size - grid.overlap
    shift = data.draw(st.tuples(st.integers(0, step - 1), st.integers(0, step - 1)))
    windows = cover(area, grid, shift)
    times = np.zeros(area.shape, int)
    for window in windows:
        assert window.shape == (grid.size, grid.size)
        part = area.intersection(window)
        assert part is not None
        times[area.slices(part)] += 1
    assert times.min() >= 1
    assert len(set(windows)) == len(windows)
    assert windows == sorted(windows, key=lambda window: (-window.top, window.left))
    for length, edge in ((area.width, 0), (area.height, 1)):
        starts = sorted({(window.left - area.left, area.top - window.top)[edge] for window in windows})
        if length > grid.size:
            assert starts[-1] == length - grid.size  # the last one ends where the area does
            assert starts[0] == 0
            assert max(np.diff(starts)) <= step  # overlaps at least as asked
        else:
            assert len(starts) == 1


@given(shapes_kit.scattered(reach=3000, radius=150), grids.filter(lambda grid: grid.size - grid.overlap >= 10))
@settings(max_examples=20)
def test_of_scattered_parts_only_patches_that_meet_them_are_made(zone_area: MultiPolygon, grid: PatchGrid) -> None:
    area = window_around(zone_area, 32631)
    every, chosen = cover(area, grid), cover(area, grid, zone_area=zone_area)
    assert chosen == [window for window in every if window in set(chosen)]
    within = inside(zone_area, area)
    for window in set(every) - set(chosen):
        assert not within[area.slices(area.intersection(window))].any()  # type: ignore[arg-type]
    touched = shapely.union_all([box(*window.bounds) for window in chosen])
    assert zone_area.difference(touched.buffer(0.01)).area < 1


def test_two_parcels_60_km_apart_are_a_few_patches() -> None:
    parcels = MultiPolygon([box(x, x, x + 300, x + 300) for x in (500_000, 540_000)])
    area = window_around(parcels, 32631)
    assert len(cover(area, PatchGrid(128, 32))) > 1000
    assert len(cover(area, PatchGrid(128, 32), zone_area=parcels)) == 2
    assert len(training_windows(area, 64, parcels)) == 2


def test_patches_without_a_shift_stay_inside_the_area() -> None:
    area = Window(32631, 100, 1000, 300, 128)
    found = cover(area, PatchGrid(128, 32))
    assert [(window.left, window.top) for window in found] == [(100, 1000), (196, 1000), (272, 1000)]


def test_an_area_smaller_than_a_patch_lies_in_its_middle() -> None:
    (window,) = cover(Window(32631, 100, 1000, 64, 65), PatchGrid(128, 32))
    assert (window.left, window.top, window.width) == (100 - 32, 1000 + 31, 128)


def test_a_shift_moves_the_grid_to_the_north_west_and_no_patch_out_of_the_area() -> None:
    area = Window(32631, 0, 1000, 300, 128)
    assert [window.left for window in cover(area, PatchGrid(128, 32))] == [0, 96, 172]
    assert [window.left for window in cover(area, PatchGrid(128, 32), (0, 20))] == [0, 76, 172]


@pytest.mark.parametrize(
    ("grid", "shift"), [(PatchGrid(16, 16), (0, 0)), (PatchGrid(16, -1), (0, 0)), (PatchGrid(16, 4), (12, 0))]
)
def test_grids_that_cannot_be(grid: PatchGrid, shift: tuple[int, int]) -> None:
    with pytest.raises(RequestError):
        cover(Window(32631, 0, 0, 100, 100), grid, shift)


@given(areas, st.integers(1, 40))
def test_training_windows_cover_each_pixel_once(area: Window, size: int) -> None:
    times = np.zeros(area.shape, int)
    for window in training_windows(area, size):
        assert window.shape == (size, size)
        part = area.intersection(window)
        assert part is not None
        times[area.slices(part)] += 1
    assert (times == 1).all()


# Patches of two cells, the eastern of which lacks a date and has the others in another order


def decoded(windows: list[Window], order: list[int], kept: int) -> tuple[int, int]:
    """How many blocks of 128 pixels are decoded where so many are kept, and how many there are."""
    cache: OrderedDict[tuple[int, int], None] = OrderedDict()
    count, every = 0, set()
    for index in order:
        window = windows[index]
        rows = range(window.top - window.height, window.top)
        columns = range(window.left, window.left + window.width)
        for block in product(sorted({row // 128 for row in rows}), sorted({column // 128 for column in columns})):
            count += block not in cache
            every.add(block)
            cache[block] = None
            cache.move_to_end(block)
            if len(cache) > kept:
                cache.popitem(last=False)
    return count, len(every)


def test_strips_decode_each_block_about_once_however_wide_the_area_is() -> None:
    windows = cover(Window(32631, 56 * 1024, 549 * 1024, 4992, 1500), PatchGrid())
    order = in_strips(windows, range(len(windows)))
    assert sorted(order) == list(range(len(windows)))
    count, every = decoded(windows, order, 14)  # 14 blocks of 27 dates take 124 MB
    assert count < 1.4 * every
    in_rows, _ = decoded(windows, list(range(len(windows))), 14)
    assert in_rows > 1.7 * every, "what it is for"
    assert in_strips(windows, [9, 3, 60]) == sorted([9, 3, 60], key=order.index)


def date_of(number: int) -> datetime:
    return START + timedelta(days=5 * number, hours=23)


def acquisition(number: int, name: str | None = None) -> Acquisition:
    product = Product(id=f"p{number}", href="", level="L2A", time=date_of(number), footprint={"type": "Point"})
    return Acquisition(id=name or f"a{number}", time=date_of(number), platform="S2A", products=(product,))


def candidate(number: int, *, used: bool = True) -> SeasonAcquisition:
    return SeasonAcquisition(
        id=f"a{number}", time=date_of(number), platform="S2A", baseline="05.00", cloud_cover=None, valid_fraction=1,
        clear_fraction=1, sun_zenith=40, products=(f"p{number}",), used=used, reason="" if used else "cloudy",
    )  # fmt: skip


SEASON = Season(
    level="L2A",
    start=START,
    bands=("B02", "B03", "B08"),
    acquisitions=(candidate(0), candidate(1), candidate(2, used=False), candidate(3)),
)


def value_of(number: int, band: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A number that tells date, band and place (pixels of the zone, from the cells' north-west corner)."""
    return (1 + number * 10007 + band * 1009 + rows * 31 + columns * 7) % 60000 + 1


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cubes")
    rows, columns = np.mgrid[:1024, :1024]
    # In the east the third date goes by another name: its source names no datatake, and the area was another one.
    for cell, numbers in ((CELL, (0, 1, 2, 3)), (EAST, (3, 0))):
        path = Store(root).cube("kit", "L2A", cell)
        ensure_cell(path, cell, "L2A", source="kit", synthetic=True)
        extend(path, [acquisition(number, "other" if (cell, number) == (EAST, 3) else None) for number in numbers])
        cube = Cube(path, "r+")
        for index, number in enumerate(numbers):
            east = columns + (1024 if cell == EAST else 0)
            slab = np.stack([value_of(number, band, rows, east) for band in range(12)]).astype(np.uint16)
            cube.write_slab("reflectance", index, slab)
            cube.write_slab("clear", index, ((rows + east + number) % 3).astype(np.uint8))
            cube.set(index, bands_present=np.ones(12, np.uint8), ingested=1, masked=1)
    return root


def window_at(row: int, column: int, size: int = 128) -> Window:
    return Window(32631, CELL.window.left + column, CELL.window.top - row, size, size)


def patches_of(root: Path, *windows: Window, bands: tuple[str, ...] = ("B08", "B02")) -> CubePatches:
    return CubePatches(Store(root), "kit", "L2A", SEASON, windows, bands)


def expected(number: int, band: str, row: int, column: int, size: int = 128) -> np.ndarray:
    rows, columns = np.mgrid[row : row + size, column : column + size]
    return value_of(number, L2A.index(band), rows, columns)


def test_a_patch_holds_the_bands_and_dates_asked_for(cubes: Path) -> None:
    source: PatchSource = patches_of(cubes, window_at(128, 256), window_at(333, 77))
    assert len(source) == 2
    for index, (row, column) in enumerate(((128, 256), (333, 77))):
        patch = source.read(index)
        assert (patch.values.shape, patch.values.dtype) == ((3, 2, 128, 128), np.uint16)
        assert (patch.clear.shape, patch.clear.dtype) == ((3, 128, 128), np.bool_)
        assert patch.days.tolist() == [0, 5, 15]
        assert patch.label is None
        for date, number in enumerate((0, 1, 3)):
            for channel, band in enumerate(("B08", "B02")):
                np.testing.assert_array_equal(patch.values[date, channel], expected(number, band, row, column))
            rows, columns = np.mgrid[row : row + 128, column : column + 128]
            np.testing.assert_array_equal(patch.clear[date], (rows + columns + number) % 3 == 1)


def test_a_patch_reaches_into_the_next_cell_and_beyond_all(cubes: Path) -> None:
    patch = patches_of(cubes, window_at(-20, 1000)).read(0)
    assert patch.values[:, :, :20].max() == 0  # no cell in the north
    assert not patch.clear[:, :20].any()
    for date, number in enumerate((0, 1, 3)):
        values = expected(number, "B02", -20, 1000)
        if number == 1:
            values[:, 24:] = 0  # a date that the eastern cell lacks
        np.testing.assert_array_equal(patch.values[date, 1, 20:], values[20:])
    assert not patch.clear[1, :, 24:].any()
    assert patch.clear[1, 20:, :24].any()
    nowhere = patches_of(cubes, window_at(-5000, 0)).read(0)
    assert nowhere.values.max() == 0


def test_what_is_not_whole_is_no_data(cubes: Path) -> None:
    cube = Cube(Store(cubes).cube("kit", "L2A", EAST), "r+")
    try:
        cube.set(0, masked=0)
        patch = patches_of(cubes, window_at(0, 1100)).read(0)
    finally:
        cube.set(0, masked=1)
    assert patch.values[2].max() == 0
    assert patch.values[0].min() > 0


def test_threads_and_other_processes_read_the_same(cubes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = cover(window_at(900, 900, 300), PatchGrid(64, 16))
    alone = [patches_of(cubes, window).read(0) for window in windows]
    shared = patches_of(cubes, *windows)
    shared.read(0)
    sent = pickle.loads(pickle.dumps(shared))
    monkeypatch.setattr(
        "processors.patches.cube_patches._CACHE_BYTES", 2_000_000
    )  # room for a few blocks: they are pushed out
    for source in (shared, sent):
        with ThreadPoolExecutor(4) as pool:
            for patch, wanted in zip(pool.map(source.read, range(len(windows))), alone, strict=True):
                np.testing.assert_array_equal(patch.values, wanted.values)
                np.testing.assert_array_equal(patch.clear, wanted.clear)
        assert len(source._blocks) <= 3


def test_bands_that_the_season_lacks_are_named(cubes: Path) -> None:
    with pytest.raises(RequestError, match="bands B05 are not in every acquisition"):
        patches_of(cubes, window_at(0, 0), bands=("B02", "B05"))
    with pytest.raises(RequestError, match="one size"):
        patches_of(cubes, window_at(0, 0), window_at(0, 0, 64))
