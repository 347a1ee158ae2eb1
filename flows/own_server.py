"""This process's store, and the address and the secret of its Prefect server: found without Prefect and without settings."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from catalog.errors import RequestError
from catalog.guards.addresses import split_address
from catalog.guards.environment import variable
from catalog.guards.json_text import parse_object
from catalog.guards.paths import user_path

MARKER = ".cropline"
"""The folder that is a store: in the folder where commands run, or in one above it."""

OWN_PLACE = "cropline"
"""The place of an installation that names none: the work pool of `cropline up`."""

REQUEST, RETRAIN = "crop-map/request", "retrain/ddp"
"""Deployments whose parameters are a request's; those of other places have the place's name behind these."""

SERVER_FILE = "server.json"
"""File in the store's folder `prefect`; `cropline up` writes it."""

PUBLIC = "CROPLINE_PUBLIC_URL"
"""Setting: the address at which a proxy shows that server to other machines."""

METRICS = "/metrics"
"""Where the server tells its metrics."""

_LETTERS = 32
"""Of a word that opens a page."""

SECRET_FILE = "secret"  # noqa: S105 - a file's name
"""File in the same folder: one line, ``name:password``, that the server asks of everybody."""


def store_folder() -> Path:
    """Find the store that CROPLINE_STORE names; else the nearest `.cropline` from the working folder upwards; else `.cropline` here.

    The last may not be there: the first command that writes makes it. Above the working folder only this user's own folders count:
    anybody may make one in a folder such as /tmp.
    """
    named = variable("CROPLINE_STORE")
    if named:
        return user_path(named, lambda why: RequestError(f"CROPLINE_STORE: {why}. Set it to a folder you may write."))
    here = Path.cwd()
    for folder in (here, *here.parents):
        store = folder / MARKER
        if store.is_dir() and (folder == here or store.stat().st_uid == os.getuid()):
            return store
    return here / MARKER


def own_server() -> str | None:
    """Address of the API, or None where `cropline up` didn't run; whether it answers now is not asked."""
    return _noted("api")


def own_pages() -> str | None:
    """Address of that server's pages on its own machine; None as for the API."""
    return _noted("ui")


def _noted(name: str) -> str | None:
    try:
        text = (store_folder() / "prefect" / SERVER_FILE).read_bytes()
        return str(parse_object(text, ValueError)[name])
    except (OSError, ValueError, KeyError):
        return None


def public_address() -> str | None:
    """Address at which a proxy shows the server to others; None where none is set. Raises `RequestError` where it is none."""
    named = variable(PUBLIC)
    try:
        return None if named is None else public_of(named)
    except ValueError as error:
        raise RequestError(f"{PUBLIC}: {error}. Correct or unset it.") from error


def public_of(text: str) -> str:
    """Read an address such as https://maps.example.org. Raises `ValueError` where it isn't so: the secret goes there."""
    parts = split_address(text.strip(), ValueError)
    named = parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme != "https" or not parts.hostname or named:
        raise ValueError("no address such as https://maps.example.org, with https and nothing behind the host")
    return f"https://{parts.netloc}"


def own_secret() -> str | None:
    """Secret of that server, or None where `cropline up` made none or this user may not read it."""
    return read_secret(store_folder() / "prefect")


def read_secret(folder: Path) -> str | None:
    """Read the secret in a store's folder `prefect`; None where there is none that this user may read."""
    try:
        return (folder / SECRET_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def key_for(secret: str, path: str) -> str:
    """The word that opens one of a server's pages, hexadecimal: nobody guesses it, nor learns the server's secret from it."""
    return hmac.new(secret.encode(), path.encode(), hashlib.sha256).hexdigest()[:_LETTERS]


def authorization(secret: str) -> dict[str, str]:
    """Header with which a request shows the secret, as Prefect's own client sends it."""
    return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
