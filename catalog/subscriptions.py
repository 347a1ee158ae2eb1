"""Requests that are made again whenever new acquisitions appear: one JSON file each, named by its digest."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from catalog.errors import RequestError, StoreError
from catalog.guards.json_text import parse_object
from catalog.storage.store import Store, digest
from catalog.storage.whole import write_json


def add(store: Store, request: dict[str, Any]) -> Path:
    """Keep a request; the same one twice is one subscription. Raises `StoreError` when the store can't be written."""
    path = store.subscriptions / f"{digest(request)}.json"
    write_json(path, request)
    return path


def remove(store: Store, name: str) -> None:
    """Forget the subscription of that name. Raises `RequestError` when there is none."""
    path = store.subscriptions / f"{name}.json"
    if not re.fullmatch(r"[0-9a-f]{12}", name) or not path.is_file():
        known = ", ".join(subscribed(store)) or "none"
        raise RequestError(f"no subscription {name!r}; there are: {known}.")
    path.unlink()


def subscribed(store: Store) -> dict[str, dict[str, Any]]:
    """The subscribed requests by name, sorted. Raises `StoreError` on a file that holds none."""
    requests: dict[str, dict[str, Any]] = {}
    for path in sorted(store.subscriptions.glob("[0-9a-f]*.json")):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise _damaged(path, f"can't be read: {error.strerror}") from error
        requests[path.stem] = parse_object(text, partial(_damaged, path))
    return requests


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(f"subscription {path} {why}. Remove it and subscribe again.")
