"""Several acquisitions at once share a fixed number of slabs: nobody waits for ever, and the bytes are those of one alone."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import cube_kit
import numpy as np
import pytest

from catalog.grid import Cell, Window
from catalog.products import Order
from catalog.storage.store import Store, open_store
from processors.engine.opening import open_engine
from processors.ingest import blocks as ingest_blocks
from processors.ingest import slabs as ingest_slabs
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.ingest.reading import BandReader

pytestmark = pytest.mark.usefixtures("folder_source")

CELLS = [Cell(32631, 56, 549), Cell(32631, 57, 549), Cell(32631, 56, 548), Cell(32631, 57, 548)]


class Counting(ingest_slabs._Memory):
    """Knows how many arrays were taken at most at once."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.taken = self.most = 0
        self.counting = threading.Lock()

    def take(self, shape: tuple[int, ...], *, wait: bool) -> np.ndarray | None:
        found = super().take(shape, wait=wait)
        if found is not None:
            with self.counting:
                self.taken += 1
                self.most = max(self.most, self.taken)
        return found

    def give(self, array: np.ndarray) -> None:
        array.fill(12345)  # who takes it next must not rely on what is in it
        with self.counting:
            self.taken -= 1
        super().give(array)


def over_four_cells(folder: Path) -> Order:
    rng = np.random.default_rng(3)
    archive = cube_kit.Archive(folder)
    window = cube_kit.square(row=900, column=880, size=240)
    for number in range(1, 5):
        bands = {"B02": rng.integers(0, 9000, (240, 240)), "B05": rng.integers(0, 9000, (120, 120))}
        archive.add(f"p{number}", {**bands, "SCL": 4}, window=window, time=cube_kit.day(number))
    order: Order = archive.order()
    return order


def ingest_one(store: Store, order: Order, acquisition: str) -> tuple[str, ...]:
    return ingest_acquisition(store, order, acquisition, CELLS, order.source).written


@pytest.mark.parametrize(("slabs", "kept"), [(1, 0), (2, 10_000), (3, 10**9)])
def test_four_acquisitions_at_once_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slabs: int, kept: int
) -> None:
    order = over_four_cells(tmp_path / "archive")
    alone, together = open_store(str(tmp_path / "alone")), open_store(str(tmp_path / "together"))
    for store in (alone, together):
        assert len(extend_cells(store, order, CELLS)) == 4
    for one in order.acquisitions:
        assert len(ingest_one(alone, order, one.id)) == 4
    memory = Counting(slabs)
    monkeypatch.setattr(ingest_slabs, "_memory", memory)
    monkeypatch.setattr(ingest_blocks, "KEPT_BYTES", kept)
    with open_engine("threads", 4) as engine:
        written = list(engine.map(partial(ingest_one, together, order), [one.id for one in order.acquisitions]))
    assert [len(cells) for cells in written] == [4, 4, 4, 4]
    assert 1 <= memory.most <= slabs
    assert memory.taken == 0
    assert memory._spare == []  # given back when the last one left
    assert ingest_blocks._kept_bytes == 0
    assert cube_kit.files_of(alone.root) == cube_kit.files_of(together.root)


def test_a_failure_gives_its_slabs_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = over_four_cells(tmp_path / "archive")
    store = open_store(str(tmp_path / "store"))
    extend_cells(store, order, CELLS)
    memory = Counting(2)
    monkeypatch.setattr(ingest_slabs, "_memory", memory)
    path = tmp_path / "archive" / "p1-B05.tif"
    path.write_bytes(path.read_bytes()[:-500])
    result = ingest_acquisition(store, order, order.acquisitions[0].id, CELLS, order.source)
    assert (result.written, [left.product for left in result.dropped]) == ((), ["p1"])
    assert (memory.taken, ingest_blocks._kept_bytes) == (0, 0)


def test_the_next_cell_is_begun_while_the_last_band_of_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = over_four_cells(tmp_path / "archive")
    store = open_store(str(tmp_path / "store"))
    extend_cells(store, order, CELLS)
    begun = threading.Event()
    windows = []

    def fill(self: BandReader, window: Window, out: np.ndarray, *, fresh: bool) -> bool:
        if window not in windows:
            windows.append(window)
        if len(windows) > 1:
            begun.set()
        elif out.dtype == np.uint8:  # the classification is the last to be read
            assert begun.wait(10), "a thread waits for a cell's last band"
        return original(self, window, out, fresh=fresh)

    original = BandReader.fill
    monkeypatch.setattr(BandReader, "fill", fill)
    monkeypatch.setattr(ingest_slabs, "cores", lambda: 2)
    assert len(ingest_one(store, order, order.acquisitions[0].id)) == 4


def test_memory_is_used_again_by_an_acquisition_that_begins_while_another_one_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = over_four_cells(tmp_path / "archive")
    store = open_store(str(tmp_path / "store"))
    extend_cells(store, order, CELLS)
    memory = Counting(4)
    monkeypatch.setattr(ingest_slabs, "_memory", memory)
    with ingest_slabs.slab_memory():
        ingest_one(store, order, order.acquisitions[0].id)
        spare = {id(array) for array in memory._spare}
        ingest_one(store, order, order.acquisitions[1].id)
        assert {id(array) for array in memory._spare} == spare
        assert len(spare) == 2
    assert memory._spare == []
