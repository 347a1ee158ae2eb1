"""Series of places out of the cubes: which pixels, which dates, and what isn't seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from catalog.grid import Cell
from catalog.products import LEVEL_BANDS, Acquisition, Product
from catalog.storage.store import Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.engine.opening import open_engine
from processors.patches.places import Place
from processors.patches.series import Series, read_series
from processors.season import Season, SeasonAcquisition

CELLS = (Cell(32631, 56, 549), Cell(32631, 57, 549))
LEFT, TOP = CELLS[0].window.left, CELLS[0].window.top
TIMES = [datetime(2018, 12, 31, 10, tzinfo=UTC), datetime(2019, 4, 1, 10, tzinfo=UTC)]
TIMES = [*TIMES, TIMES[1] + timedelta(hours=1), datetime(2019, 4, 6, 10, tzinfo=UTC), datetime(2019, 4, 11, tzinfo=UTC)]
BANDS = ("B03", "B08")


def value_of(number: int, band: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return 1000 * (number + 1) + 100 * band + rows % 40 + columns % 50


def clear_at(number: int, columns: np.ndarray) -> np.ndarray:
    """The second date in the west, the third of the same day in the east and west of column 600, the last nowhere."""
    return {1: columns < 1024, 2: (columns < 600) | (columns >= 1024), 4: columns < 0}.get(number, columns >= 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("cubes"))
    acquisitions = [
        Acquisition(
            id=f"a{number}", time=time, platform="S2A",
            products=(Product(id=f"p{number}", href="", level="L2A", time=time, footprint={"type": "Point"}),),
        )
        for number, time in enumerate(TIMES)
    ]  # fmt: skip
    rows, columns = np.mgrid[:1024, :1024]
    for east, cell in enumerate(CELLS):
        path = made.cube("kit", "L2A", cell)
        ensure_cell(path, cell, "L2A", source="kit", synthetic=True)
        extend(path, acquisitions)
        cube = Cube(path, "r+")
        here = columns + 1024 * east
        for number in range(len(TIMES)):
            slab = np.stack([value_of(number, band, rows, here) for band in range(12)]).astype(np.uint16)
            slab[7, 300, 300] = 65535 if number == 1 else 0 if number == 3 else slab[7, 300, 300]
            cube.write_slab("reflectance", number, slab)
            cube.write_slab("clear", number, clear_at(number, here).astype(np.uint8))
            cube.set(number, bands_present=np.ones(12, np.uint8), ingested=1, masked=1)
    return made


def season() -> Season:
    used = tuple(
        SeasonAcquisition(
            id=f"a{number}", time=time, platform="S2A", baseline="05.00", cloud_cover=None, valid_fraction=1, clear_fraction=1,
            sun_zenith=40, products=(f"p{number}",), used=True, reason="",
        )
        for number, time in enumerate(TIMES)
    )  # fmt: skip
    return Season(level="L2A", start=TIMES[0], bands=BANDS, acquisitions=used)


def place(columns: list[int], rows: list[int]) -> Place:
    return Place(LEFT + np.array(columns), TOP - np.array(rows))


def series(store: Store, *places: Place) -> Series:
    with open_engine("threads", 2) as engine:
        return read_series(store, "kit", "L2A", season(), BANDS, 2019, 32631, places, engine)


def at(number: int, row: int, column: int) -> list[int]:
    return [int(value_of(number, LEVEL_BANDS["L2A"].index(band), np.array(row), np.array(column))) for band in BANDS]


def test_a_point_has_the_numbers_of_its_pixel_where_that_is_clear(store: Store) -> None:
    """Of one day the first clear acquisition; a day on which nothing is clear isn't there."""
    read = series(store, place([10], [20]), place([700], [900]), place([1500], [0]))
    assert read.days.tolist() == [0, 91, 96]
    for number, (row, column, second) in enumerate(((20, 10, 1), (900, 700, 1), (0, 1500, 2))):
        assert read.values[number].tolist() == [at(0, row, column), at(second, row, column), at(3, row, column)]
    assert read.clear == 1


def test_a_parcel_is_the_median_of_its_pixels_across_chunks_and_cells(store: Store) -> None:
    rows, columns = np.mgrid[120:135, 1000:1051]
    read = series(store, place(columns.ravel().tolist(), rows.ravel().tolist()), place([1023], [127]))
    west = columns < 1024
    for date, (number, seen) in enumerate(((0, west | ~west), (1, west), (3, west | ~west))):
        expected = [
            np.rint(np.median(value_of(number, LEVEL_BANDS["L2A"].index(band), rows, columns)[seen])) for band in BANDS
        ]
        assert read.values[0, date].tolist() == expected
    assert read.values[1].tolist() == [at(number, 127, 1023) for number in (0, 1, 3)]


def test_what_is_saturated_or_without_data_in_a_band_is_not_seen(store: Store) -> None:
    read = series(store, place([300], [300]), place([300, 301], [300, 300]))
    assert read.values[0].tolist() == [at(0, 300, 300), at(2, 300, 300), [0, 0]]
    assert read.values[1, 2].tolist() == at(3, 300, 301)


def test_places_are_read_in_their_order_whatever_their_number(store: Store) -> None:
    rng = np.random.default_rng(0)
    spots = rng.integers(0, 1024, (300, 2)).tolist()
    read = series(store, *(place([column], [row]) for row, column in spots))
    assert read.values[:, 0].tolist() == [at(0, row, column) for row, column in spots]
