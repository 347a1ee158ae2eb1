"""The store: files that are whole or absent, names that stay the same."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.storage.store import Store, digest, open_store, sha256, write_json, written_whole


def test_a_store_is_made_where_its_address_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("deep/store")
    assert store.root == tmp_path / "deep" / "store"
    assert store.root.is_dir()
    assert list(store.root.iterdir()) == []


def test_folders_are_those_of_the_design(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.cube("stac-a-1", "L2A", Cell(32631, 56, 549)) == tmp_path / "cubes/stac-a-1/L2A/32631_0056_0549.zarr"
    assert [folder.name for folder in (store.models, store.maps, store.subscriptions, store.runs, store.prefect)] == [
        "models",
        "maps",
        "subscriptions",
        "runs",
        "prefect",
    ]


def test_a_store_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="CROPLINE_STORE"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="s3://bucket"):
        open_store("s3://bucket/store")


def test_digest_names_a_value_whatever_the_order_of_its_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()[:12]


def test_checksums_are_those_of_hashlib(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_half_way() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_store_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(StoreError, match=r"a\.txt.*No space left"), written_whole(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't write"), written_whole(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not run")


def test_the_kind_of_file_can_be_told_from_the_temporary_name(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a.tif") as temporary:
        assert temporary.suffix == ".tif"
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom catalog.storage.store import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
