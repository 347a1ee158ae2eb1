"""Folders of this machine for what is gone when its process is: a killed process leaves them, so another one must clear them away."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from catalog.storage.scratch import scratch_folder

_WORKER: ContextVar[str | None] = ContextVar("scratch", default=None)


def worker_folder() -> str | None:
    """The folder of the worker that runs this task, which goes with it; None in other processes."""
    return _WORKER.get()


@contextmanager
def working_in(folder: str) -> Iterator[None]:
    """Around a task: its worker's folder."""
    token = _WORKER.set(folder)
    try:
        yield
    finally:
        _WORKER.reset(token)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that nobody but this user may open, the same for all clusters of this user: Dask removes there what dead workers left.

    Workers import from their folders, so one that somebody else made is never taken: then it is a new one.
    """
    folder = Path(tempfile.gettempdir()) / f"cropline-workers-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        is_private = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077
    except OSError:
        is_private = False
    if is_private:
        yield folder
        return
    with scratch_folder("workers") as new:
        yield new
