"""The addresses at which this store's own server hands out deliveries: `cropline up` serves them beside the Prefect UI."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from catalog.delivered_maps import name_of
from catalog.storage.store import Store
from flows.own_server import own_secret, own_server

PATH = "/deliveries"
"""Where the server has them."""

_LETTERS = 32


def key_of(secret: str, name: str) -> str:
    """The word in a delivery's address by which its files are handed out, hexadecimal.

    Other users of this machine reach the server, too; they can't guess it, nor learn the server's secret from it.
    """
    return hmac.new(secret.encode(), f"{PATH}/{name}".encode(), hashlib.sha256).hexdigest()[:_LETTERS]


def served_at(store: Store, folder: Path, api: str | None) -> str | None:
    """The address of a delivery's folder at this store's own server, without a slash at its end.

    ``api``: the address of the server that is asked; None, or another machine's, and a delivery that isn't listed: nobody serves it.
    """
    server, secret, name = own_server(), own_secret(), name_of(store, folder)
    if server is None or secret is None or name is None or (api or "").rstrip("/") != server:
        return None
    return f"{server.removesuffix('/api')}{PATH}/{name}/{key_of(secret, name)}"
