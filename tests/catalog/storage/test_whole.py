"""Files and folders are whole or absent, whatever happens to who writes them."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pyogrio.errors import DataSourceError

from catalog.errors import StoreError
from catalog.storage.whole import (
    asides,
    clear_aside,
    folder_aside,
    folder_written_whole,
    write_json,
    written_geopackage,
    written_whole,
)


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
        assert temporary.parent.parent == tmp_path
        assert temporary.parent.name.startswith(".")


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom catalog.storage.whole import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert asides(tmp_path) == [], "it may have been made just now, and not be held yet"
    (left,) = asides(tmp_path, age=0)
    clear_aside(left)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_living_process_writes_is_not_taken_for_left(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a.txt"), folder_written_whole(tmp_path / "b"):
        assert len([path for path in tmp_path.iterdir() if path.name.startswith(".")]) == 2
        assert asides(tmp_path, age=0) == []


def test_a_folder_whose_successor_never_came_is_put_back(tmp_path: Path) -> None:
    """Its writer was killed between the two renames; one that has a successor goes."""
    fill(tmp_path / ".kept-0123abcd.old", "old")
    fill(tmp_path / ".there-0123abcd.old", "older")
    fill(tmp_path / "there", "new")
    for left in asides(tmp_path, age=0):
        clear_aside(left)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "there"]
    assert (tmp_path / "there" / "a.txt").read_text() == "new"


def fill(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_text(content)
    return folder


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder.zarr"
    with folder_written_whole(path) as temporary:
        fill(temporary, "new")
        assert not path.exists()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777 & ~umask
    assert (path / "a.txt").read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_there_is_replaced_whole(tmp_path: Path) -> None:
    path = fill(tmp_path / "folder", "old")
    (path / "only-old.txt").touch()
    with folder_written_whole(path) as temporary:
        fill(temporary, "new")
        assert (path / "a.txt").read_text() == "old"
    assert [file.name for file in path.iterdir()] == ["a.txt"]
    assert (path / "a.txt").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_another_process_finished_first_is_kept_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with folder_written_whole(path, "keep") as temporary:
        fill(temporary, "late")
        fill(path, "first")
    assert (path / "a.txt").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_failed_folder_leaves_the_old_one(tmp_path: Path, error: Exception) -> None:
    path = fill(tmp_path / "folder", "old")
    wanted = StoreError if isinstance(error, OSError) else ZeroDivisionError

    def fail_half_way() -> None:
        with folder_written_whole(path) as temporary:
            fill(temporary, "new")
            raise error

    with pytest.raises(wanted):
        fail_half_way()
    assert (path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_renamed_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rename = fill(tmp_path / "folder", "old"), Path.rename

    def refuse_the_new(source: Path, target: Path) -> Path:
        if target == path and source.suffix != ".old":
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(OSError, match="Input/output error"), folder_aside(path) as temporary:
        fill(temporary, "new")
    assert (path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_geopackage_that_its_library_cannot_write_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    def write() -> None:
        with written_geopackage(tmp_path / "points.gpkg") as aside:
            assert not aside.exists(), "GDAL opens what is there"
            raise DataSourceError("sqlite3_exec(CREATE TABLE a) failed: database or disk is full")

    with pytest.raises(StoreError, match=r"can't write .*points\.gpkg: .*, and run again"):
        write()
    assert not list(tmp_path.iterdir())
