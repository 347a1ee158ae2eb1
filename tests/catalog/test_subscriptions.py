"""Subscriptions: one file each, the same request once."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import subscriptions
from catalog.errors import RequestError, StoreError
from catalog.storage.store import open_store


def test_a_request_is_kept_once_and_forgotten(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert subscriptions.subscribed(store) == {}
    path = subscriptions.add(store, {"area": [4, 50, 5, 51], "year": 2019})
    assert subscriptions.add(store, {"year": 2019, "area": [4, 50, 5, 51]}) == path
    other = subscriptions.add(store, {"year": 2020, "area": [4, 50, 5, 51]})
    assert path.parent == store.subscriptions
    assert subscriptions.subscribed(store)[path.stem] == {"area": [4, 50, 5, 51], "year": 2019}
    assert list(subscriptions.subscribed(store)) == sorted([path.stem, other.stem])
    subscriptions.remove(store, path.stem)
    assert list(subscriptions.subscribed(store)) == [other.stem]


@pytest.mark.parametrize("name", ["0123456789ab", "../runs/0123456789ab", ""])
def test_a_subscription_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    store = open_store(str(tmp_path))
    kept = subscriptions.add(store, {"year": 2019})
    with pytest.raises(RequestError, match=f"no subscription '{name}'; there are: {kept.stem}"):
        subscriptions.remove(store, name)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_file_that_holds_no_request_is_named(tmp_path: Path, text: str) -> None:
    store = open_store(str(tmp_path))
    path = subscriptions.add(store, {"year": 2019})
    path.write_text(text)
    with pytest.raises(StoreError, match=path.name):
        subscriptions.subscribed(store)
