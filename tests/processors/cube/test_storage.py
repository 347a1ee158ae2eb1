"""What differs between a disk and a bucket: making a cell, and what is said when a bucket fails in the middle."""

from __future__ import annotations

import json
import logging
import pickle
import threading
from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
from cube_kit import CELL, dates, new_cell

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import open_store
from processors.cube.cell import Cube, extend


def test_the_files_of_a_new_cell_are_the_same_in_both_places(tmp_path: Path, bucket: BucketPath) -> None:
    on_disk, in_bucket = new_cell(tmp_path), new_cell(bucket)
    assert cube_kit.files_of(on_disk) == cube_kit.files_of(in_bucket)
    assert (bucket / "elsewhere.zarr").exists() is False


@pytest.mark.parametrize("survived", [0, 5, 28])
def test_a_cell_whose_making_was_stopped_is_none_and_is_made_whole_later(
    bucket: BucketPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    path, put, counting, puts = bucket / f"{CELL.name}.zarr", BucketPath.put, threading.Lock(), 0

    def stop_after(self: BucketPath, data: bytes, **condition: str) -> str | None:
        nonlocal puts
        with counting:
            puts += 1
            if puts > survived:
                raise KeyboardInterrupt
        return put(self, data, **condition)

    with monkeypatch.context() as patched:
        patched.setattr(BucketPath, "put", stop_after)
        with pytest.raises(KeyboardInterrupt):
            new_cell(bucket)
    assert len(path.sizes()) == survived
    assert not path.exists()
    new_cell(bucket)
    assert cube_kit.files_of(path) == cube_kit.files_of(new_cell(tmp_path))


def test_making_a_cell_late_leaves_one_that_has_grown_as_it_is(
    bucket: BucketPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_cell(bucket)
    extend(path, dates("a", 2))
    with monkeypatch.context() as patched:
        patched.setattr(BucketPath, "exists", lambda _: False)  # as it was when the late process looked
        new_cell(bucket)
    assert Cube(path).acquisition_ids == ("a0", "a1")


def test_a_bucket_that_is_not_there_is_named(bucket: BucketPath) -> None:
    nowhere = BucketPath("no-such-bucket-of-cropline", "cubes", bucket.access)
    with pytest.raises(StoreError, match=r"no bucket no-such-bucket-of-cropline .* Make it, or correct CROPLINE_CUBES"):
        new_cell(nowhere)
    with pytest.raises(StoreError, match="no bucket"):
        nowhere.folders()


def test_reading_a_cell_that_may_not_be_read_is_the_same_error(refusing: Any) -> None:
    path = refusing(403, "AccessDenied")
    for ask in (path.exists, path.sizes, path.folders, path.read, lambda: Cube(path), lambda: new_cell(path)):
        with pytest.raises(StoreError, match="denies access"):
            ask()


def test_an_error_in_the_middle_of_reading_is_told_too(bucket: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_cell(bucket)
    extend(path, dates("a", 1))
    cube = Cube(path, "r+")

    async def refuse(*arguments: Any, **named: Any) -> bytes:
        raise PermissionError("Forbidden")

    store: Any = cube.arrays["clear"].store
    monkeypatch.setattr(store.fs, "_cat_file", refuse)
    monkeypatch.setattr(store.fs, "_pipe_file", refuse)
    with pytest.raises(StoreError, match="denies access"):
        cube.flags("ingested")
    with pytest.raises(StoreError, match="denies access"):
        cube.read("clear", 0)
    with pytest.raises(StoreError, match="denies access"):
        cube.set(0, ingested=1)
    with pytest.raises(StoreError, match="denies access"):
        cube.write_slab("clear", 0, np.ones((1024, 1024), np.uint8))


def test_keys_travel_to_other_processes_and_show_nowhere(caplog: pytest.LogCaptureFixture, refusing: Any) -> None:
    caplog.set_level(logging.DEBUG, logger="catalog")
    path: BucketPath = refusing(403, "AccessDenied")
    store = open_store(".", str(path), path.access)
    shown = [repr(store), str(store), repr(path), str(path), repr(store.cube("s", "L2A", CELL)), caplog.text]
    with pytest.raises(StoreError) as refused:
        new_cell(path)
    shown += [str(refused.value), repr(refused.value)]
    assert not [text for text in shown if "the-key" in text or "the-secret" in text]
    again = pickle.loads(pickle.dumps(store))
    assert again.cubes.access.secret.get_secret_value() == "the-secret"
    with pytest.raises(TypeError):
        json.dumps(path)
