"""Where stages run: threads of this process, processes of this machine, or any Dask scheduler. One interface, same bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from catalog.errors import RequestError

Result = TypeVar("Result")
Item = TypeVar("Item")


class Engine(Protocol):
    """Runs module-level functions with picklable arguments."""

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call once, on a worker; raises what the function raises."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call for each item, several at once; results in the order of the items. Raises at the first item that failed."""


@contextmanager
def open_engine(address: str = "threads", workers: int = 2) -> Iterator[Engine]:
    """Workers for the length of a block.

    ``address``: ``threads`` (of this process), ``local`` (a Dask cluster of ``workers`` processes, gone at the end) or a
    scheduler such as ``tcp://host:8786``, whose workers need this package and the same store. Raises `RequestError` where the address
    is none of these or no scheduler answers.
    """
    if workers < 1:
        raise RequestError(f"workers: at least one is needed, got {workers}.")
    if address == "threads":
        with ThreadPoolExecutor(workers, thread_name_prefix="cropline") as pool:
            yield _Threads(pool)
    elif address == "local":
        yield from _local_cluster(workers)
    elif "://" in address:
        yield from _scheduler(address)
    else:
        raise RequestError(
            f"engine {address!r}: unknown. Use threads, local, or a Dask scheduler's address such as tcp://host:8786."
        )


class _Threads:
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return self._pool.submit(function, *arguments).result()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return self._pool.map(function, items)


class _Dask:
    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        # pure=False: Dask would else answer from the result of an equal call, and stages work by what they write
        result: Result = self._client.submit(function, *arguments, pure=False).result()
        return result

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        futures = [self._client.submit(function, item, pure=False) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            self._client.cancel(futures)


def _local_cluster(workers: int) -> Iterator[Engine]:
    from distributed import Client, LocalCluster  # slow to import, and needed by this choice alone

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: with the usual one, two clusters of a machine are in each other's way
            memory_limit=None,  # memory is bounded by the stages; Dask's guess would kill workers of small machines
        ) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        yield _Dask(client)


def _scheduler(address: str) -> Iterator[Engine]:
    from distributed import Client

    try:
        client = Client(address, timeout="10s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise RequestError(
            f"engine {address}: no Dask scheduler answers ({error}). Start one with `dask scheduler`, or use threads."
        ) from error
    with client:
        yield _Dask(client)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_ENVIRONMENT = threading.Lock()


@contextmanager
def inherited(values: Mapping[str, str]) -> Iterator[None]:
    """Environment of the processes that are started in the block. Set before they start, since libraries read it when loaded."""
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
