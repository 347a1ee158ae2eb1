"""Items made ahead in a thread: their order, errors, bound and end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from agrunet.data.prefetch import prefetched


def test_items_keep_their_order() -> None:
    assert list(prefetched(range(50), 3)) == list(range(50))


def test_an_error_reaches_the_consumer_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    items = prefetched(failing(), 2)
    assert next(items) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(items)


def test_no_more_than_depth_items_wait() -> None:
    made: list[int] = []

    def counting() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = prefetched(counting(), 2)
    next(items)
    time.sleep(0.3)
    assert len(made) <= 4  # one taken, two ready, one in the thread's hand
    items.close()


def test_the_thread_ends_when_the_consumer_stops() -> None:
    items = prefetched(iter(range(10**9)), 1)
    next(items)
    items.close()
    deadline = time.monotonic() + 5
    while any(thread.name == "prefetch" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
