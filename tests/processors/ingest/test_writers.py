"""One writer at a time fills a date of a cell: the others wait, a dead one is replaced, and one that stood still writes nothing more."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
from shapely.geometry import box

from catalog.errors import RewrittenError
from catalog.grid import Cell, to_lonlat
from catalog.products import Order
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath, Store
from processors.cube import claim, lock
from processors.cube.cell import Cube
from processors.cube.claim import Claim
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.patches.cube_patches import CubePatches
from processors.season import Season, choose_season

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)


@pytest.fixture
def store(place: CellPath, tmp_path: Path) -> Store:
    return Store(tmp_path / "store", place)


@pytest.fixture
def archive(tmp_path: Path) -> cube_kit.Archive:
    made = cube_kit.Archive(tmp_path / "archive")
    made.add("p", {"B02": 100, "SCL": 4})
    return made


def ingest(store: Store, order: Order) -> IngestResult:
    (one,) = order.acquisitions
    return ingest_acquisition(store, order, one.id, [CELL], order.source)


def cube_of(store: Store) -> Cube:
    return Cube(store.cube("kit", "L2A", CELL))


def blue(store: Store) -> int:
    return int(cube_of(store).read("reflectance", 0)[1, 0, 0])


class Halt:
    """A point at which the first thread that comes there stands still until it is told to go on."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(60)


def halted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, *, after: bool = False) -> Halt:
    """Halt the first thread before, or after, its call of that number of a method; ``after`` says which."""
    halt, original, calls = Halt(), getattr(owner, name), 0

    def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls == number
        if mine and not after:
            halt()
        result = original(*args, **kwargs)
        if mine and after:
            halt()
        return result

    monkeypatch.setattr(owner, name, stopping)
    return halt


@contextmanager
def begun(halt: Halt, work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Work that another thread has begun and stands still in."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            assert halt.reached.wait(60)
            yield future
        finally:
            halt.go.set()


def test_the_second_writer_waits_and_takes_what_is_there(
    store: Store, archive: cube_kit.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = archive.order()
    extend_cells(store, order, [CELL])
    halt = halted(monkeypatch, Cube, "write_slab", 2)
    with ThreadPoolExecutor(1) as pool, begun(halt, lambda: ingest(store, order)) as first:
        second = pool.submit(ingest, store, order)
        with pytest.raises(TimeoutError):
            second.result(1.0)  # it waits for the first one
        halt.go.set()
        assert first.result(60).written == (CELL.name,)
        assert second.result(60).skipped == (CELL.name,)
    assert blue(store) == 100


@pytest.mark.parametrize(
    ("place", "method", "number", "after"),
    [
        ("folder", "write_slab", 1, False),
        ("folder", "write_slab", 2, False),
        ("folder", "write_slab", 3, True),
        ("folder", "set", 1, False),
        pytest.param("bucket", "write_slab", 2, False, marks=pytest.mark.slow),
        ("bucket", "set", 1, False),
    ],
    indirect=["place"],
)
def test_a_writer_that_stood_still_for_longer_than_its_lease_changes_nothing(
    store: Store,
    archive: cube_kit.Archive,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    number: int,
    after: bool,
) -> None:
    order = archive.order()
    extend_cells(store, order, [CELL])
    halt = halted(monkeypatch, Cube, method, number, after=after)
    monkeypatch.setattr(lock, "LEASE", 0.5)
    monkeypatch.setattr(claim, "renewed", lambda _: nullcontext())
    with begun(halt, lambda: ingest(store, order)) as first:
        archive.add("p", {"B02": 700, "SCL": 4})  # what the second one reads
        assert ingest(store, order).written == (CELL.name,)
        mask_acquisition(store, order, order.acquisitions[0].id, [CELL])
        before = cube_kit.files_of(store.cubes)
        halt.go.set()
        assert first.result(60).skipped == (CELL.name,)
    assert cube_kit.files_of(store.cubes) == before
    assert blue(store) == 700


def test_who_stands_still_with_a_slab_in_hand_can_not_put_it_in_its_place(
    store: Store, archive: cube_kit.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On disk the last look is behind a shut gate; in a bucket it is the put's own condition."""
    order = archive.order()
    extend_cells(store, order, [CELL])
    where = (Claim, "put") if isinstance(store.cubes, BucketPath) else (Claim, "held")
    halt = halted(monkeypatch, *where, 1)
    monkeypatch.setattr(lock, "LEASE", 0.5)
    monkeypatch.setattr(claim, "renewed", lambda _: nullcontext())
    with begun(halt, lambda: ingest(store, order)) as first:
        archive.add("p", {"B02": 700, "SCL": 4})
        assert ingest(store, order).written == (CELL.name,)
        halt.go.set()
        assert first.result(60).skipped == (CELL.name,)
    assert blue(store) == 700
    assert cube_of(store).flags("ingested").tolist() == [True]


_CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cube_kit
import processors.ingest.acquisition
from catalog.products import Order
from catalog.storage.store import Store
from processors.cube.cell import Cube

processors.ingest.acquisition.open_source = cube_kit.FolderSource
order = Order.model_validate_json(Path(sys.argv[2]).read_text())
write = Cube.write_slab

def pause(cube, variable, index, slab):
    write(cube, variable, index, slab)
    print("in the middle", flush=True)
    time.sleep(600)

Cube.write_slab = pause
store = Store(Path("nowhere"), cube_kit.place_at(sys.argv[3]))
processors.ingest.acquisition.ingest_acquisition(store, order, order.acquisitions[0].id, [cube_kit.CELL], order.source)
"""


def child(store: Store, order: Order, tmp_path: Path, repository: Path) -> subprocess.Popen[str]:
    (tmp_path / "order.json").write_text(order.model_dump_json(), encoding="utf-8")
    kit = str(Path(cube_kit.__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD, kit, str(tmp_path / "order.json"), str(store.cubes)],
        cwd=repository,
        env=cube_kit.environment_for(store.cubes),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    return process


@pytest.mark.parametrize(
    ("place", "how"),
    [("folder", signal.SIGKILL), ("folder", signal.SIGSTOP), ("bucket", signal.SIGKILL)],
    indirect=["place"],
)
def test_a_dead_writer_and_one_that_is_stopped_lose_their_claim(
    store: Store,
    archive: cube_kit.Archive,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    repository: Path,
    how: signal.Signals,
) -> None:
    order = archive.order()
    extend_cells(store, order, [CELL])
    with child(store, order, tmp_path, repository) as process:
        process.send_signal(how)
        if how is signal.SIGKILL:
            process.wait(30)
        # On disk the system tells that it is dead: no lease has to run out.
        dead_on_disk = how is signal.SIGKILL and isinstance(store.cubes, Path)
        monkeypatch.setattr(lock, "LEASE", 1e6 if dead_on_disk else 1.0)
        assert ingest(store, order).written == (CELL.name,)
        process.kill()
    assert blue(store) == 100
    if isinstance(store.cubes, Path):  # and nothing that was made aside is left
        assert not [file for file in store.cubes.rglob("*.claims/*") if file.suffix != ".lock"]


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_who_is_asked_for_another_version_meanwhile_reads_that(
    store: Store, archive: cube_kit.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = archive.order()
    extend_cells(store, old, [CELL])
    halt = halted(monkeypatch, Cube, "write_slab", 2)
    with begun(halt, lambda: ingest(store, old)) as first:
        archive.add("new", {"B02": 700, "SCL": 4}, baseline="05.00")
        extend_cells(store, archive.order("new"), [CELL])
        halt.go.set()
        assert first.result(60).written == (CELL.name,)
    cube = cube_of(store)
    assert blue(store) == 700
    assert [one.product for one in cube.sources(0)] == ["new"]


def season_of(store: Store, order: Order) -> Season:
    extend_cells(store, order, [CELL])
    ingest(store, order)
    mask_acquisition(store, order, order.acquisitions[0].id, [CELL])
    return choose_season(store, order, to_lonlat(box(*cube_kit.square().bounds), 32631), 32631, 0.5, 1)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_patch_that_is_read_while_its_product_is_replaced_is_not_used(
    store: Store, archive: cube_kit.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    season = season_of(store, archive.order())

    def patches(of: Season) -> CubePatches:
        return CubePatches(store, "kit", "L2A", of, [cube_kit.square(size=64)], ("B02",))

    halt = halted(monkeypatch, CubePatches, "_decode", 1)
    with begun(halt, lambda: patches(season).read(0)) as reading:
        archive.add("new", {"B02": 700, "SCL": 4}, baseline="05.00")
        later = season_of(store, archive.order("new"))
        halt.go.set()
        with pytest.raises(RewrittenError, match="was written anew while it was read"):
            reading.result(60)
    with pytest.raises(RewrittenError, match="since the season was chosen: S2A_20190401T110000"):
        patches(season).read(0)
    assert [one.products for one in later.used] == [("new",)]
    assert np.unique(patches(later).read(0).values).tolist() == [700]
    assert season.used[0].contents != later.used[0].contents


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_mask_made_anew_is_another_content(store: Store, archive: cube_kit.Archive) -> None:
    order = archive.order()
    season = season_of(store, order)
    cube = Cube(store.cube("kit", "L2A", CELL), "r+")
    cube.take_back(0, "masked")
    again = season_of(store, order)
    assert again.used[0].contents == season.used[0].contents  # the same one
    cube.take_back(0, "masked")
    cube.set(0, masked_with="other options", masked=1)
    with pytest.raises(RewrittenError):
        CubePatches(store, "kit", "L2A", season, [cube_kit.square(size=64)], ("B02",)).read(0)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_fractions_that_are_counted_while_a_date_is_replaced_are_counted_again(
    store: Store, archive: cube_kit.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = archive.order()
    season_of(store, order)
    halt = halted(monkeypatch, Cube, "sources", 1)  # its pixels are counted, and what they are from isn't known yet
    area = to_lonlat(box(*cube_kit.square().bounds), 32631)
    with begun(halt, lambda: choose_season(store, order, area, 32631, 0.1, 1)) as first:
        half = np.where(np.arange(60) < 30, 4, 10)
        archive.add("new", {"B02": 700, "SCL": np.tile(half, (60, 1))}, baseline="05.00")
        season = season_of(store, archive.order("new"))
        halt.go.set()
        counted = first.result(60)
    assert [one.clear_fraction for one in counted.used] == [one.clear_fraction for one in season.used] == [0.5]
    assert [one.products for one in counted.used] == [("new",)]
