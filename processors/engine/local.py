"""A Dask cluster of this machine for the length of a block: processes, so that Python's lock is nobody's but their own.

It runs what it is sent, so nobody else may send: it listens on the loopback only, takes only connections with a certificate that is
made for it and forgotten with it, and serves no dashboard. Its processes die with this one, even where this one is killed, and never
hear of an interruption at the terminal: that is for this process to answer.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, Security, SpecCluster

from catalog.errors import WorkerError
from processors.engine.client import ClientEngine, silent
from processors.engine.packing import Resolve
from processors.engine.protocol import DEATHS
from processors.engine.scratch import private_folder

_LOOPBACK = "127.0.0.1"

_CONFIGURATION = {
    "distributed.worker.daemon": False,  # a daemon may have no children, and a processor may want some
    "distributed.worker.profile.enabled": False,  # nobody looks at it
    "distributed.scheduler.no-workers-timeout": "120s",  # rather than to wait for ever where none can be started any more
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}

_START = 60.0
"""Seconds in which a worker must have started; it takes about one."""

_STARTS = 3
"""Attempts at starting all of them."""

_HURRY = 0.5
"""Seconds that workers are given to end by themselves when what they do is of no use any more."""


class _Nanny(Nanny):
    """Nanny that starts a worker, and another where it dies."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Dask would leave these (OMP_NUM_THREADS=1 among them) in the environment of this process, and so of all that it starts.
        # What workers are given is set in themselves, before any library that reads it is loaded.
        self.pre_spawn_env = {}


@contextmanager
def local_cluster(environments: Sequence[Mapping[str, str]], resolve: Resolve | None) -> Iterator[ClientEngine]:
    """Start a worker process for each of ``environments``, of one task at a time: its variables beside those of this process."""
    security = Security.temporary()
    with dask.config.set(_CONFIGURATION), private_folder() as folder, silent():
        common = {
            "host": _LOOPBACK,
            "protocol": "tls://",
            "security": security,
            "dashboard": False,
            "dashboard_address": f"{_LOOPBACK}:0",
        }
        of_worker = {
            **common,
            "nthreads": 1,
            "memory_limit": None,  # memory is bounded by the stages; Dask's guess would kill workers of small machines
            "local_directory": str(folder),
            "death_timeout": _START,
            "silence_logs": logging.CRITICAL,
        }
        scheduler = {"cls": Scheduler, "options": {**common, "port": 0, "allowed_failures": DEATHS - 1}}
        cluster = _started(
            [{**of_worker, "env": dict(environment)} for environment in environments], scheduler, security
        )
        with cluster, Client(cluster, set_as_default=False) as client:
            try:
                yield ClientEngine(client, resolve, is_scheduler=False, shares_files=True)
            except BaseException:
                cluster.sync(_end, list(cluster.workers.values()))
                raise


def _started(workers: Sequence[dict[str, Any]], scheduler: dict[str, Any], security: Security) -> SpecCluster:
    """The cluster, each worker running. One that dies while it starts is no fault of the machine yet: all of it is started anew.

    Raises `WorkerError`.
    """
    attempt = 1
    while True:
        specified = {number: {"cls": _Nanny, "options": dict(options)} for number, options in enumerate(workers)}
        try:
            with _uninterrupted():
                return SpecCluster(workers=specified, scheduler=dict(scheduler), security=security)
        # The last is what Dask's nanny says of a worker that is given up in the middle of its start.
        except (OSError, RuntimeError, TimeoutError, AssertionError) as error:
            if attempt == _STARTS:
                raise WorkerError(
                    f"{len(workers)} worker processes can't be started on this machine ({type(error).__name__}: {error}). "
                    "Ask for fewer, or free some memory."
                ) from error
        attempt += 1


async def _end(nannies: Sequence[Nanny]) -> None:
    await asyncio.gather(*(nanny.close(timeout=_HURRY) for nanny in nannies))


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep interruptions from threads and processes that are started in the block, and from all that these start."""
    resource_tracker.ensure_running()  # where it is started for the first process, it lets that thread hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
