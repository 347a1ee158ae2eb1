"""The engine of a Dask scheduler, this machine's own or another. Imported where it is needed: Dask takes a while to import."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, Future, KilledWorker, get_worker
from distributed.scheduler import NoValidWorkerError, NoWorkerError

from catalog.errors import WorkerError
from processors.engine.messages import listening
from processors.engine.packing import PackedCall, Resolve, pack
from processors.engine.protocol import TaskKilledError
from processors.engine.scratch import working_in

Result = TypeVar("Result")
Item = TypeVar("Item")

_AT_WORK = {"executing", "long-running"}
"""States of a task that runs and whose result is waited for, in Dask's words."""


class ClientEngine:
    """Engine of a Dask client; see `Engine`."""

    def __init__(self, client: Client, resolve: Resolve | None, *, is_scheduler: bool, shares_files: bool) -> None:
        self._client, self._resolve = client, resolve
        self.is_scheduler, self.shares_files = is_scheduler, shares_files

    @property
    def workers(self) -> int:
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        result: Result = _result_of(self._submit(function, arguments))
        return result

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        waiting = [(self._submit(function, (item,)), item) for item in items]
        try:
            for future, item in waiting:
                yield _result_of(future, item)
        finally:
            self._client.cancel([future for future, _ in waiting], force=True)

    def as_completed(
        self, function: Callable[[Item], Result], items: Iterable[Item], heard: Callable[[Any], None] | None = None
    ) -> Iterator[tuple[Item, Result]]:
        inbox: SimpleQueue[tuple[Future[Any] | None, Any]] = SimpleQueue()
        topic, flying, remaining = f"cropline-{uuid4().hex}", dict[Any, Item](), iter(items)
        futures: dict[Any, Future[Any]] = {}

        def fill() -> None:
            # No more than are worked on: whatever a dying worker held would count as what it died of.
            for item in islice(remaining, max(0, self.workers - len(flying))):
                future = self._submit(function, (item,), topic)
                flying[future.key], futures[future.key] = item, future
                future.add_done_callback(lambda future: inbox.put((future, None)))

        self._client.subscribe_topic(topic, lambda event: inbox.put((None, event[1])))
        try:
            fill()
            while flying:
                future, word = inbox.get()
                if future is not None:
                    item = flying.pop(future.key)
                    yield item, _result_of(futures.pop(future.key), item)
                    fill()
                elif heard is not None:
                    heard(word)
        finally:
            self._client.cancel(list(futures.values()), force=True)
            self._client.unsubscribe_topic(topic)

    def _submit(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], topic: str | None = None
    ) -> Future[Any]:
        # pure=False: Dask would else answer from the result of an equal call, and stages work by what they write
        return self._client.submit(_perform, pack(function, arguments, self._resolve), topic, pure=False)


def _result_of(future: Future[Any], item: Any = None) -> Any:
    try:
        return future.result()
    except KilledWorker:
        raise TaskKilledError(item) from None
    except (NoWorkerError, NoValidWorkerError) as error:
        raise WorkerError(
            "no worker is left that could do it. Start some, or free memory of this machine, and run again."
        ) from error
    except CancelledError as error:
        raise WorkerError(
            f"the Dask scheduler went away, or somebody cancelled the work there ({error}). Run again; what was finished is kept."
        ) from error


def _perform(call: PackedCall, topic: str | None) -> Any:
    """Make a call, on a worker; what it reports goes to ``topic``."""
    worker = get_worker()
    if topic is None:
        with working_in(worker.local_directory):
            return call()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in _AT_WORK

    with working_in(worker.local_directory), listening(lambda word: worker.log_event(topic, word), is_wanted):
        return call()


@contextmanager
def silent() -> Iterator[None]:
    """Nothing of what Dask logs in the block is shown: what matters is raised.

    Its own switch (`silence_logs`) doesn't reach the handlers of others, such as Prefect's.
    """
    log = logging.getLogger("distributed")
    handlers, propagate = log.handlers[:], log.propagate
    log.handlers[:], log.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        log.handlers[:], log.propagate = handlers, propagate
