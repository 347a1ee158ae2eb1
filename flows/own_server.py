"""The folder of this process's store and the address of its Prefect server: found without Prefect and without settings."""

from __future__ import annotations

import os
from pathlib import Path

from catalog.errors import RequestError
from catalog.guards.environment import variable
from catalog.guards.json_text import parse_object
from catalog.guards.paths import user_path

MARKER = ".cropline"
"""The folder that is a store: in the folder where commands run, or in one above it."""

SERVER_FILE = "server.json"
"""File in the store's folder `prefect`; `cropline up` writes it."""


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
    try:
        text = (store_folder() / "prefect" / SERVER_FILE).read_bytes()
        return str(parse_object(text, ValueError)["api"])
    except (OSError, ValueError, KeyError):
        return None
