"""What killed processes leave is cleared away by whoever starts next; what living ones write is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cube_kit
import pytest

from catalog.storage.scratch import scratch_folder
from catalog.storage.store import Store
from flows.leftovers import clear_leftovers, leftovers, temporary_files_held
from processors.cube.claim import Claim

_WRITER = """
import sys, time
from pathlib import Path
from agrunet.files import folder_written_whole
from catalog.storage.scratch import scratch_folder
from catalog.storage.whole import folder_aside, written_whole
from processors.cube.claim import Claim
root, cell = Path(sys.argv[1]), Path(sys.argv[2])
claim = Claim(cell, 0)
claim.take()
with (
    scratch_folder("reading") as scratch,
    written_whole(root / "maps" / "a.json") as file,
    folder_aside(root / "models" / "mine") as model,
    folder_aside(root / "runs" / "1a2b" / "training" / "3c4d" / "patches") as patches,
    folder_written_whole(root / "runs" / "1a2b" / "training" / "3c4d" / "checkpoint") as checkpoint,
    written_whole(root / "runs" / "1a2b" / "mosaic" / "ndvi.tif") as raster,
):
    for half in (scratch / "band", file, model / "weights", patches / "0.npz", checkpoint / "w", raster, claim.aside() / "c.0"):
        half.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    store = Store(tmp_path / "store")
    for folder in ("runs/1a2b/training/3c4d", "runs/1a2b/mosaic", "models", "maps"):
        (store.root / folder).mkdir(parents=True)
    return store


@pytest.fixture
def cell(store: Store) -> Path:
    path = cube_kit.new_cell(store.cubes / "source" / "L2A")
    assert isinstance(path, Path)
    return path


@pytest.fixture
def writer(store: Store, cell: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing everything that is written beside its place."""
    words = [sys.executable, "-c", _WRITER, str(store.root), str(cell)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def _aged(*folders: Path) -> None:
    """Make all below look two minutes old."""
    old = time.time() - 120
    for folder in folders:
        for path in folder.rglob("*"):
            os.utime(path, (old, old), follow_symlinks=False)


def test_what_a_killed_process_left_goes_and_nothing_else(
    store: Store, cell: Path, writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    whole = store.root / "models" / "theirs" / "weights"
    whole.parent.mkdir()
    whole.write_bytes(b"whole")
    _aged(store.root, tmp_path / "tmp")
    assert leftovers(store) == [], "it lives, however long it takes"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(leftovers(store, cubes=False)) == 6
    assert clear_leftovers(store) == 7
    files = [path for folder in (store.root, tmp_path / "tmp") for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.read_bytes() == b"half"]
    assert list((tmp_path / "tmp").iterdir()) == []
    assert whole.read_bytes() == b"whole"
    assert list((cell.parent / ".writers").iterdir()) == []
    claim = Claim(cell, 0)
    claim.take()  # at once: its holder is known to be dead
    claim.release()


def test_what_was_made_just_now_is_not_taken_for_left(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tmp" / "cropline-scratch-abcd0123").mkdir()
    (store.root / "models" / ".mine-0123abcd").mkdir()
    assert leftovers(store) == []
    _aged(store.root, tmp_path / "tmp")
    assert [path.name for path in leftovers(store)] == ["cropline-scratch-abcd0123", ".mine-0123abcd"]


def test_folders_of_other_names_are_nobody_elses_business(store: Store, tmp_path: Path) -> None:
    for name in ("cropline-cases", "cropline-workers-0", "cropline-scratch-of-mine-and-yours", "precious"):
        (tmp_path / "tmp" / name).mkdir()
    (store.root / "models" / "mine-0123abcd").mkdir()
    (store.root / "models" / ".hidden").mkdir()
    _aged(store.root, tmp_path / "tmp")
    assert clear_leftovers(store) == 0


def test_a_run_holds_the_temporary_files_of_its_worker(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker may be killed while its runs go on."""
    left = tmp_path / "tmp" / "cropline-scratch-worker-abcd0123"
    left.mkdir()
    _aged(tmp_path / "tmp")
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(left))
        with temporary_files_held(), scratch_folder() as own:
            patch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
            _aged(tmp_path / "tmp")
            assert leftovers(store) == []
            assert own.is_dir()
    _aged(tmp_path / "tmp")
    assert leftovers(store) == [left]
