"""One process at a time extends a cell, on disk and in a bucket, and a lock whose holder died is taken over."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cube_kit
import pytest
from cube_kit import dates, new_cell

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath
from processors.cube import lock
from processors.cube.cell import Cube, extend
from processors.cube.lock import locked, one_of

_EXTEND = """
import sys
sys.path.insert(0, sys.argv[2])
from cube_kit import CELL, dates, new_cell, place_at
from processors.cube.cell import extend
name = sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
for number in range(3):
    extend(place_at(sys.argv[1]), dates(name, 1, number + (10 if name == "b" else 0)))
"""


def child(code: str, path: CellPath, repository: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(Path(cube_kit.__file__).parent), *words],
        cwd=repository,
        env=cube_kit.environment_for(path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_that_extend_one_cell_at_once_lose_no_date(place: CellPath, repository: Path) -> None:
    path = new_cell(place)
    writers = [child(_EXTEND, path, repository, name) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate(timeout=60) == ("", "")
        assert writer.returncode == 0
    cube = Cube(path)
    assert sorted(cube.acquisition_ids) == ["a0", "a1", "a2", "b10", "b11", "b12"]
    assert {array.shape[0] for array in cube.arrays.values()} == {6}
    assert [time.day for time in cube.times] == [1 + int(name[1:]) for name in cube.acquisition_ids]


_KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
import zarr
from cube_kit import CELL, dates, new_cell, place_at
from processors.cube.cell import extend
resize, resized = zarr.Array.resize, 0

def pause(array, shape):
    global resized
    resize(array, shape)
    resized += 1
    if resized == 7:
        print("in the middle", flush=True)
        time.sleep(60)

zarr.Array.resize = pause
extend(place_at(sys.argv[1]), dates("b", 2, 1))
"""


def test_a_killed_extension_is_taken_over(place: CellPath, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_cell(place)
    extend(path, dates("a", 1))
    process = child(_KILLED, path, repository)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert Cube(path).acquisition_ids == ("a0",)
    monkeypatch.setattr(lock, "LEASE", 1.0)
    extend(path, dates("c", 1, 5))
    cube = Cube(path)
    assert cube.acquisition_ids == ("a0", "c5")
    assert {array.shape[0] for array in cube.arrays.values()} == {2}


def test_a_lock_waits_for_a_holder_that_lives(place: CellPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE", 0.8)
    path, order = new_cell(place), []

    def second() -> None:
        with locked(path):
            order.append("second")

    with locked(path) as still_held:
        waiting = threading.Thread(target=second)
        waiting.start()
        for _ in range(8):  # twice the lease, renewed all the time
            time.sleep(0.2)
            still_held()
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_who_lost_its_lock_writes_no_more_and_leaves_the_lock_alone(
    bucket: BucketPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE", 0.5)
    path = bucket / "cell.zarr"
    with pytest.raises(StoreError, match="another one took its lock"), locked(path) as still_held:  # noqa: SIM117
        with locked(path):  # it stood still: another one takes over
            still_held()
    with locked(path) as still_held:
        still_held()


def test_conditions_that_are_ignored_are_found_out(bucket: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    put = BucketPath.put
    monkeypatch.setattr(BucketPath, "put", lambda self, data, **_: put(self, data))
    with pytest.raises(StoreError, match="ignores the conditions"), locked(bucket / "cell.zarr"):
        pass


_HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from cube_kit import place_at
from processors.cube.lock import one_of
folder = place_at(sys.argv[1])
with one_of([folder / "0.lock", folder / "1.lock"]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_of_several_locks_is_had_by_as_many_as_there_are(
    place: CellPath, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of this process, beside a process that holds one of two and is killed."""
    other = child(_HOLDER, place, repository)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    locks, holding, most, counting = [place / "0.lock", place / "1.lock"], 0, 0, threading.Lock()

    def hold() -> None:
        nonlocal holding, most
        with one_of(locks):
            with counting:
                holding += 1
                most = max(most, holding)
            time.sleep(0.2)
            with counting:
                holding -= 1

    def all_hold() -> int:
        nonlocal most
        most = 0
        threads = [threading.Thread(target=hold) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        return most

    assert all_hold() == 1
    other.kill()
    other.communicate(timeout=30)
    monkeypatch.setattr(lock, "LEASE", 0.5)
    assert all_hold() == 2, "what a dead process held is free"
