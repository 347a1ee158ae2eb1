"""The addresses at which this store's own server hands out deliveries: `cropline up` serves them beside the Prefect UI."""

from __future__ import annotations

from pathlib import Path

from catalog.delivered_maps import name_of
from catalog.guards.environment import variable
from catalog.storage.store import Store
from flows.own_server import key_for, own_pages, own_secret, own_server, public_address
from flows.web_folder import WebFolder

PATH = "/deliveries"
"""Where the server has them."""


def key_of(secret: str, name: str) -> str:
    """The word in a delivery's address by which its files are handed out, hexadecimal.

    Other users of this machine reach the server, too.
    """
    return key_for(secret, f"{PATH}/{name}")


def reachable(store: Store, folder: Path, web: WebFolder | None) -> WebFolder | None:
    """How a delivery's folder is reached by web: as the installation is set to (``web``), else at this store's own server; None: not."""
    if web is not None and web.address_of(folder) is not None:
        return web
    return served(store, folder, variable("PREFECT_API_URL"))


def served(store: Store, folder: Path, api: str | None) -> WebFolder | None:
    """The folder of a delivery with its address at this store's own server, where a proxy shows that to others: there.

    ``api``: the address of the server that is asked; None, or another machine's, and a delivery that isn't listed: nobody serves it.
    """
    server, pages, secret, name = own_server(), own_pages(), own_secret(), name_of(store, folder)
    if server is None or secret is None or name is None or (api or "").rstrip("/") != server:
        return None
    return WebFolder(
        folder, f"{public_address() or pages or server.removesuffix('/api')}{PATH}/{name}/{key_of(secret, name)}"
    )
