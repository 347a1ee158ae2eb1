"""The thread of this process that says of what it holds that its holder lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from catalog.errors import StoreError

_BEAT = 0.5
"""Seconds between two looks at what is to be renewed."""


class Renewable(Protocol):
    """What another process takes over when it isn't renewed."""

    def renew(self) -> None:
        """Renew it where that was not done lately. Raises `StoreError` where it was lost, or its bucket is away."""


class _Heartbeat:
    def __init__(self) -> None:
        self._held: set[Renewable] = set()
        self._some = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def of(self, held: Renewable) -> Iterator[None]:
        with self._some:
            self._held.add(held)
            if self._thread is None or not self._thread.is_alive():  # in a fork it isn't
                self._thread = threading.Thread(target=self._beat, name="cropline-heartbeat", daemon=True)
                self._thread.start()
            self._some.notify()
        try:
            yield
        finally:
            with self._some:
                self._held.discard(held)

    def _beat(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._held)
                held = tuple(self._held)
            for renewable in held:
                try:
                    renewable.renew()
                except StoreError:  # lost, or its bucket is away: who holds it finds out by itself
                    continue
            time.sleep(_BEAT)


_heartbeat = _Heartbeat()


@contextmanager
def renewed(held: Renewable) -> Iterator[None]:
    """Renew what is held for as long as the block runs."""
    with _heartbeat.of(held):
        yield
