"""The process that `processors.engine.apart` starts: it makes the calls that it is sent, each in a thread, until nobody sends any more.

Then, or where it is told to end (SIGTERM), calls under way are stopped at the next step, so that they leave no scratch and no claim behind.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from catalog.errors import WorkerError
from processors.engine.limits import MARKS, StoppedError, stop_calls, watch_calls

_MOST_CALLS = 1000
"""Calls made at once: as many as are sent."""

_LAST = 10.0
"""Seconds that stopped calls are given; a call that hangs must not keep the process."""

_TOLD_TO_END = 128 + signal.SIGTERM
"""Exit code of a process that ended since it was told to."""


class _EndError(Exception):
    """The process is told to end."""


def serve(connection: Connection) -> None:
    """Make calls until the other end is closed, or `_EndError` comes from outside; then stop them."""
    sending = threading.Lock()
    # Threads that stay: what PROJ and GDAL prepare is a thread's own, and takes longer than a small acquisition.
    threads = ThreadPoolExecutor(_MOST_CALLS)
    under_way: set[Future[None]] = set()

    def make(number: int, data: bytes) -> None:
        failed, value = False, None
        try:
            function, arguments = pickle.loads(data)  # noqa: S301 - from the process that started this one
            value = function(*arguments)
        except StoppedError:
            return  # nobody waits any more
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the call was made
            failed, value = True, error
        answer = _packed(number, failed, value)
        with sending, suppress(OSError):  # where nobody waits any more
            connection.send_bytes(answer)

    try:
        while True:
            try:
                number, data = pickle.loads(connection.recv_bytes())  # noqa: S301
            except (EOFError, OSError):
                return
            made = threads.submit(make, number, data)
            under_way.add(made)
            made.add_done_callback(under_way.discard)
    finally:
        stop_calls()
        wait(list(under_way), _LAST)


def _packed(number: int, failed: bool, value: Any) -> bytes:
    try:
        answer = pickle.dumps((number, failed, value))
        pickle.loads(answer)  # noqa: S301 - some errors can be packed and not unpacked
    except Exception as error:  # noqa: BLE001 - of others' classes
        told = f"{type(value).__name__}: {value}" if failed else str(error)
        return pickle.dumps((number, True, WorkerError(f"a process that reads failed: {told}")))
    return answer


def main(ends: list[str]) -> None:
    """``ends``: numbers of the open files: the connection, and the memory for marks of calls."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that waits
    connection, shared = map(int, ends)
    there = Connection(connection)
    sys.path[:] = pickle.loads(there.recv_bytes())  # noqa: S301 - functions are found where the other process found them
    watch_calls(memoryview(mmap.mmap(shared, MARKS)))
    signal.signal(signal.SIGTERM, _end)
    try:
        serve(there)
    except _EndError:
        os._exit(_TOLD_TO_END)
    os._exit(0)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as a handler has it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise _EndError


if __name__ == "__main__":
    main(sys.argv[1:])
