"""A measurement in a process of its own: its peak of memory is its own, and what kills it kills nothing else."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import torch

from agrunet.bench.failures import CAUGHT, MeasureError, reason
from agrunet.memory import keep_freed_memory

Result = TypeVar("Result")

_STATUS = Path("/proc/self/status")


def isolated(function: Callable[..., Result], *arguments: Any) -> Result:
    """Run ``function(*arguments)`` in a fresh process with as many threads as this one; function, arguments and result are pickled.

    Raises `MeasureError` with the reason where it fails or is killed.
    """
    # Forked from a small process that has imported torch and done nothing else: it starts at once, and holds nothing of this one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agrunet.bench.steps"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, torch.get_num_threads(), function, arguments), daemon=True)
    process.start()
    there.close()
    try:
        done, result = here.recv()
    except EOFError:
        process.join()
        raise MeasureError(_ending(process.exitcode)) from None
    finally:
        here.close()
    process.join()
    if not done:
        raise MeasureError(result)
    found: Result = result
    return found


def peak_memory() -> int:
    """Peak memory of this process, bytes, Python and torch included."""
    # A child's ru_maxrss starts at its parent's on Linux; this one is its own.
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _work(channel: Connection, threads: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    keep_freed_memory()  # as inference and training do
    try:
        channel.send((True, function(*arguments)))
    except CAUGHT as error:
        channel.send((False, reason(error)))


def _ending(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "killed by the system, most likely out of memory"
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"
