"""Address of the Prefect server of this process's store: written by `cropline up`, read without Prefect and without settings."""

from __future__ import annotations

import json
import os
from pathlib import Path

STORE = ".cropline"
"""The store where CROPLINE_STORE names none."""

SERVER_FILE = "server.json"
"""File in the store's folder `prefect`."""


def own_server() -> str | None:
    """Address of the API, or None where `cropline up` didn't run; whether it answers now is not asked."""
    store = Path(os.environ.get("CROPLINE_STORE", STORE)).expanduser()
    try:
        return str(json.loads((store / "prefect" / SERVER_FILE).read_text(encoding="utf-8"))["api"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
