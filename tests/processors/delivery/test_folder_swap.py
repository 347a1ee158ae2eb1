"""A delivery is whole or not there, and never overwrites anything but itself."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
from pathlib import Path
from typing import Any

import delivery_kit
import pytest

import processors.delivery.deliver
from catalog.errors import DeliveryError, StoreError
from processors.delivery.deliver import deliver
from processors.delivery.folder_swap import check_target, swapped_in

MINE, OTHER = "0123456789ab", "ba9876543210"


def make(folder: Path, digest: str = MINE, content: str = "old") -> Path:
    """A folder that is a delivery of a request."""
    folder.mkdir(parents=True)
    (folder / "item.json").write_text(json.dumps({"properties": {"cropline:request_digest": digest}}))
    (folder / "crop_map.tif").write_text(content)
    return folder


def replace(folder: Path, content: str = "new", digest: str = MINE) -> None:
    with swapped_in(folder, digest) as aside:
        make(aside / "made", digest, content)
        for path in (aside / "made").iterdir():
            path.rename(aside / path.name)
        (aside / "made").rmdir()


def test_an_earlier_delivery_of_the_same_request_is_replaced(tmp_path: Path) -> None:
    folder = make(tmp_path / "map")
    (folder / "no_longer_made.txt").touch()
    replace(folder)
    assert (folder / "crop_map.tif").read_text() == "new"
    assert sorted(path.name for path in folder.iterdir()) == ["crop_map.tif", "item.json"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_not_there_or_empty_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "deep/er"):
        replace(tmp_path / name)
        assert (tmp_path / name / "crop_map.tif").read_text() == "new"


def test_another_requests_delivery_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "map", OTHER)
    with pytest.raises(DeliveryError, match=rf"another request \({OTHER}, this one is {MINE}\)\. Give another folder"):
        replace(folder)
    assert (folder / "crop_map.tif").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_another_requests_delivery_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = make(tmp_path / "map", OTHER)
    check_target(folder, MINE, replace=True)
    with swapped_in(folder, MINE, replace=True) as aside:
        (aside / "crop_map.tif").write_text("new")
    assert (folder / "crop_map.tif").read_text() == "new"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("item", [None, "not json", "[]", '{"properties": {"title": "another item"}}'])
def test_files_that_are_no_delivery_are_never_overwritten(tmp_path: Path, item: str | None) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    if item is not None:
        (tmp_path / "thesis" / "item.json").write_text(item)
    with pytest.raises(DeliveryError, match=r"no delivery; they are never overwritten\. Give another folder"):
        check_target(tmp_path / "thesis", MINE, replace=True)
    with pytest.raises(DeliveryError, match="never overwritten"):
        replace(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "map").touch()
    with pytest.raises(DeliveryError, match="map: is a file"):
        check_target(tmp_path / "map", MINE)


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryError, match=r"file/map: can't be written: Not a directory\. Move the file"):
        replace(tmp_path / "file" / "map")


def test_a_failure_in_the_middle_leaves_the_old_delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    area = delivery_kit.window(20, 10)
    mosaics = delivery_kit.crop_rasters(tmp_path, area)
    folder = tmp_path / "out" / "map"
    before = {
        path: path.read_bytes()
        for path in deliver(folder, mosaics, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), delivery_kit.facts(area))
    }

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(processors.delivery.deliver, "write_report", full)
    with pytest.raises(DeliveryError, match=r"No space left on device\. Free some space"):
        deliver(folder, mosaics, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), delivery_kit.facts(area))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert list(folder.parent.iterdir()) == [folder]


def test_a_failing_rename_puts_the_old_delivery_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "map")
    rename = Path.rename

    def refuse_the_new(path: Path, target: Path) -> Path:
        if target == folder and not path.name.endswith(".old"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(DeliveryError, match="Input/output error"):
        replace(folder)
    assert (folder / "crop_map.tif").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    folder = make(tmp_path / "map")
    make(tmp_path / ".map-0123abcd", content="half")
    make(tmp_path / ".map-0123abcd.old", content="older")
    make(tmp_path / ".map-of-something-else", OTHER)
    replace(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".map-of-something-else", "map"]
    assert (folder / "crop_map.tif").read_text() == "new"


def test_a_delivery_that_a_killed_run_moved_aside_is_put_back(tmp_path: Path) -> None:
    make(tmp_path / ".map-0123abcd.old", content="old")
    with pytest.raises(KeyboardInterrupt), swapped_in(tmp_path / "map", MINE):
        raise KeyboardInterrupt
    assert (tmp_path / "map" / "crop_map.tif").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["map"]


def test_another_run_at_work_is_left_alone(tmp_path: Path) -> None:
    busy = make(tmp_path / ".map-0123abcd", content="half")
    handle = os.open(busy, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        replace(tmp_path / "map")
    finally:
        os.close(handle)
    assert (busy / "crop_map.tif").read_text() == "half"


def test_a_delivery_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def meet_another() -> None:
        with swapped_in(tmp_path / "map", MINE):
            make(tmp_path / "map", OTHER, "theirs")

    with pytest.raises(DeliveryError, match="another request"):
        meet_another()
    assert (tmp_path / "map" / "crop_map.tif").read_text() == "theirs"


def test_others_may_read_what_is_delivered(tmp_path: Path) -> None:
    replace(tmp_path / "map")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "map").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize("limit", [2_000, 60_000])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, limit: int) -> None:
    # The rasters fail at 2 kB, the picture at 60 kB.
    area = delivery_kit.window(300, 300)
    mosaics = delivery_kit.crop_rasters(tmp_path, area)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises((StoreError, DeliveryError), match=r"can't (be )?writ.*Free some space"):
            deliver(
                tmp_path / "out" / "map",
                mosaics,
                (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE),
                delivery_kit.facts(area),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "out").iterdir()) == []
