"""Removal of a cell that nobody uses."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from catalog.storage.store import CellPath
from processors.cube.claim import forget_claims
from processors.cube.lock import locked


def remove_cell(path: CellPath, in_use: Callable[[], bool]) -> bool:
    """Remove a cell unless it is in use, which is asked while its lock is held. Returns whether it was removed.

    A run that needs the cell later makes it anew. Raises `StoreError`.
    """
    with locked(path):
        if in_use():
            return False
        forget_claims(path)
        if not isinstance(path, Path):
            path.remove()
            return True
        # Renamed first: a reader finds the cell whole, or none.
        aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
    return True
