"""Turns at a source: who waits for one, and who needs none."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from catalog.errors import ProductError
from catalog.products import Asset
from catalog.storage.store import Store
from processors.ingest.opening import AssetOpener
from processors.ingest.turns import Turn


def _locks(store: Store) -> list[str]:
    folder = Path(str(store.cubes)) / "downloads"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.lock"))


def test_a_turn_is_taken_once_and_ends_with_the_reading(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        with ExitStack() as reading:
            turn = Turn(reading, store, "an-archive", 1)
            turn.take()
            turn.take()
    with ExitStack() as one, ExitStack() as other:
        Turn(one, store, "an-archive", 1).take()
        Turn(other, store, "another-archive", 1).take()
    assert _locks(store) == ["an-archive/0.lock", "another-archive/0.lock"]


@pytest.mark.parametrize(
    ("href", "waits"), [("https://127.0.0.1:1/a.tif", True), ("/vsis3/bucket/a.tif", True), ("a.tif", False)]
)
def test_only_what_lies_elsewhere_is_waited_for(href: str, waits: bool, tmp_path: Path) -> None:
    store = Store(tmp_path)
    asset = Asset(href=href if waits else str(tmp_path / href))
    with ExitStack() as stack, pytest.raises(ProductError):
        AssetOpener(stack, Turn(stack, store, "an-archive", 1)).open(asset)
    assert bool(_locks(store)) == waits


def test_without_a_limit_nobody_waits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with ExitStack() as stack:
        Turn(stack, store, "an-archive", None).take()
    assert _locks(store) == []
