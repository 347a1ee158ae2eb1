"""The store: where things lie, and names that stay the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.storage.store import Store, digest, open_store, sha256


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
