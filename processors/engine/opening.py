"""Engines, opened by what the setting names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from catalog.errors import RequestError
from processors.engine.packing import Resolve
from processors.engine.protocol import Engine
from processors.engine.threads import thread_engine


@contextmanager
def open_engine(
    address: str = "threads",
    workers: int = 2,
    *,
    environments: Sequence[Mapping[str, str]] | None = None,
    resolve: Resolve | None = None,
    insecure: str | None = None,
    in_bucket: bool = False,
    shared_files: bool | None = None,
) -> Iterator[Engine]:
    """Open workers for the length of a block.

    ``address``: ``threads`` (of this process), ``local`` (a Dask cluster of ``workers`` processes, gone at the end) or a scheduler such
    as ``tls://host:8786``, whose workers need this package. ``environments``: variables of each process of ``local``, in the place of
    ``workers``. ``resolve``: where workers get the credentials from that no call carries. Of a scheduler, ``insecure`` is the address
    that may do without encryption on another machine; ``in_bucket`` says that the cubes are there; ``shared_files``
    whether its workers see this machine's files (None: those on this machine do). Raises `RequestError` where the address is none of
    these, no scheduler answers, or it may not be trusted.
    """
    if workers < 1:
        raise RequestError(f"workers: at least one is needed, got {workers}.")
    if address == "threads":
        with thread_engine(workers) as threads:
            yield threads
    elif address == "local":
        from processors.engine.local import local_cluster  # Dask is slow to import

        with local_cluster(environments or [{}] * workers, resolve) as cluster:
            yield cluster
    elif "://" in address:
        from processors.engine.scheduler import scheduler_engine

        with scheduler_engine(
            address, resolve, insecure=insecure, in_bucket=in_bucket, shared_files=shared_files
        ) as scheduler:
            yield scheduler
    else:
        raise RequestError(
            f"engine {address!r}: unknown. Use threads, local, or a Dask scheduler's address such as tls://host:8786."
        )
