"""The process that `processors.engine.apart` starts: it makes the calls that it is sent, each in a thread, until nobody sends any more."""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from catalog.errors import WorkerError
from processors.engine.limits import MARKS, watch_calls

_MOST_CALLS = 1000
"""Calls made at once: as many as are sent."""


def serve(connection: Connection) -> None:
    """Make calls until the other end is closed."""
    sending = threading.Lock()
    # Threads that stay: what PROJ and GDAL prepare is a thread's own, and takes longer than a small acquisition.
    threads = ThreadPoolExecutor(_MOST_CALLS)

    def make(number: int, data: bytes) -> None:
        failed, value = False, None
        try:
            function, arguments = pickle.loads(data)  # noqa: S301 - from the process that started this one
            value = function(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the call was made
            failed, value = True, error
        answer = _packed(number, failed, value)
        with sending:
            connection.send_bytes(answer)

    while True:
        try:
            number, data = pickle.loads(connection.recv_bytes())  # noqa: S301
        except (EOFError, OSError):
            return
        threads.submit(make, number, data)


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
    serve(there)
    os._exit(0)  # a call that hangs must not keep it


if __name__ == "__main__":
    main(sys.argv[1:])
