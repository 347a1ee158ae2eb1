"""Work done ahead in a thread, so that reading and computing overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_POLL = 0.1
"""Seconds between two looks of a waiting thread whether it is still wanted."""


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetched(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yield the same items in the same order, made by a thread that keeps at most ``depth`` of them ready.

    What ``items`` raises is raised here. When the consumer stops early, the thread ends with its next item.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(maxsize=depth)
    unwanted = threading.Event()

    def put(item: Item | _End) -> bool:
        while not unwanted.is_set():
            try:
                ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False

    def fill() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as caught:  # noqa: BLE001 - handed to the consumer whatever it is
            error = caught
        put(_End(error))

    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        unwanted.set()
