"""Requests that are made again whenever new acquisitions appear: one JSON file each, named by its digest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from catalog.errors import RequestError, StoreError
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
            request = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"subscription {path} can't be read ({error}). Remove it and subscribe again.") from error
        if not isinstance(request, dict):
            raise StoreError(f"subscription {path} holds no request. Remove it and subscribe again.")
        requests[path.stem] = request
    return requests
