"""The engine of this process: threads, for work that lets Python's lock go or is smaller than a cluster's start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from processors.engine.messages import listening

Result = TypeVar("Result")
Item = TypeVar("Item")


class ThreadEngine:
    """Engine of threads; see `Engine`."""

    is_scheduler = False
    shares_files = True

    def __init__(self, pool: ThreadPoolExecutor, workers: int) -> None:
        self._pool, self.workers = pool, workers

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return self._pool.submit(function, *arguments).result()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return self._pool.map(function, items)

    def as_completed(
        self, function: Callable[[Item], Result], items: Iterable[Item], heard: Callable[[Any], None] | None = None
    ) -> Iterator[tuple[Item, Result]]:
        inbox: SimpleQueue[tuple[Future[Result] | None, Any]] = SimpleQueue()
        ended, flying, remaining = threading.Event(), dict[Future[Result], Item](), iter(items)

        def call(item: Item) -> Result:
            with listening(lambda word: inbox.put((None, word)), lambda: not ended.is_set()):
                return function(item)

        def fill() -> None:
            for item in islice(remaining, self.workers - len(flying)):
                future = self._pool.submit(call, item)
                flying[future] = item
                future.add_done_callback(lambda future: inbox.put((future, None)))

        try:
            fill()
            while flying:
                future, word = inbox.get()
                if future is not None:
                    yield flying.pop(future), future.result()
                    fill()
                elif heard is not None:
                    heard(word)
        finally:
            ended.set()


@contextmanager
def thread_engine(workers: int) -> Iterator[ThreadEngine]:
    """Open threads for the length of a block."""
    with ThreadPoolExecutor(workers, thread_name_prefix="cropline") as pool:
        yield ThreadEngine(pool, workers)
