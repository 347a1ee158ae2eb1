"""Ingestion killed in its middle, and ingestion by several workers."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import cube_kit
import numpy as np
import pytest

from catalog.grid import Cell
from catalog.products import Order
from catalog.storage.store import Store, open_store
from processors.cube.cell import Cube
from processors.engine.opening import open_engine
from processors.ingest.acquisition import extend_cells, ingest_acquisition

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)

_CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cube_kit
import processors.ingest.acquisition
from catalog.products import Order
from catalog.storage.store import open_store
from processors.cube.cell import Cube

processors.ingest.acquisition.open_source = cube_kit.FolderSource
order, store = Order.model_validate_json(Path(sys.argv[2]).read_text()), open_store(sys.argv[3])
write, writes = Cube.write_slab, 0

def pause(cube, variable, index, slab):
    global writes
    write(cube, variable, index, slab)
    writes += 1
    if writes == 7:  # three slabs an acquisition: the third has its reflectance and nothing more
        print("in the middle", flush=True)
        time.sleep(60)

Cube.write_slab = pause
for acquisition in order.acquisitions:
    processors.ingest.acquisition.ingest_acquisition(store, order, acquisition.id, [cube_kit.CELL], order.source)
"""


def five_dates(folder: Path) -> Order:
    rng = np.random.default_rng(7)
    archive = cube_kit.Archive(folder)
    for number in range(1, 6):
        bands = {name: rng.integers(0, 9000, (60, 60)) for name in ("B02", "B05")}
        archive.add(f"p{number}", {**bands, "SCL": 4}, time=cube_kit.day(number))
    order: Order = archive.order()
    return order


def ingest_all(store: Store, order: Order) -> list[tuple[str, ...]]:
    results = [ingest_acquisition(store, order, one.id, [CELL], order.source) for one in order.acquisitions]
    return [result.written for result in results]


def test_killed_and_run_again_leaves_the_same_bytes(store: Store, tmp_path: Path, repository: Path) -> None:
    order = five_dates(tmp_path / "archive")
    undisturbed = open_store(str(tmp_path / "undisturbed"))
    for one in (store, undisturbed):
        extend_cells(one, order, [CELL])
    ingest_all(undisturbed, order)

    order_file = tmp_path / "order.json"
    order_file.write_text(order.model_dump_json(), encoding="utf-8")
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(Path(cube_kit.__file__).parent), str(order_file), str(store.root)],
        cwd=repository,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "in the middle\n"
    child.send_signal(signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    child.stdout.close()

    path = store.cube("kit", "L2A", CELL)
    assert Cube(path).flags("ingested").tolist() == [True, True, False, False, False]
    shard = path / "reflectance" / "c" / "2" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:100])  # as a kill inside the write leaves it
    finished = path / "reflectance" / "c" / "1" / "0" / "0" / "0"
    before = finished.stat().st_mtime_ns

    assert ingest_all(store, order) == [(), (), (CELL.name,), (CELL.name,), (CELL.name,)]
    assert finished.stat().st_mtime_ns == before
    assert cube_kit.files_of(store.root) == cube_kit.files_of(undisturbed.root)


def test_several_threads_write_the_same_bytes_as_one(store: Store, tmp_path: Path) -> None:
    order = five_dates(tmp_path / "archive")
    alone = open_store(str(tmp_path / "alone"))
    for one in (store, alone):
        extend_cells(one, order, [CELL])
    ingest_all(alone, order)
    work = partial(_ingest_one, store, order)
    with open_engine("threads", 3) as engine:
        written = list(engine.map(work, [one.id for one in order.acquisitions]))
    assert written == [(CELL.name,)] * 5
    assert cube_kit.files_of(store.root) == cube_kit.files_of(alone.root)


def _ingest_one(store: Store, order: Order, acquisition: str) -> tuple[str, ...]:
    return ingest_acquisition(store, order, acquisition, [CELL], order.source).written
