"""Turns at a source: so many acquisitions of it are read at once, by all runs and processes that share the cubes."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from catalog.storage.store import Store
from processors.cube.lock import one_of

_FOLDER = "downloads"
"""Folder of locks below the cubes, beside the sources. What is there has no `.zarr` at the end of its name: it is no cell."""


class Turn:
    """Turn of one acquisition, taken when it first reads what lies elsewhere, and kept until it is read."""

    def __init__(self, stack: ExitStack, store: Store, source_id: str, at_once: int | None) -> None:
        """``stack``: ends with the reading; ``at_once``: acquisitions of the source, None for as many as like."""
        self._stack, self._taken, self._lock = stack, at_once is None, threading.Lock()
        self._locks = [store.cubes / _FOLDER / source_id / f"{number}.lock" for number in range(at_once or 0)]

    def take(self) -> None:
        """Return when it is this acquisition's turn. Waits as long as it takes; raises `StoreError`."""
        with self._lock:
            if not self._taken:
                self._stack.enter_context(one_of(self._locks))
                self._taken = True
