"""Folders that a process holds while it makes them: the hold goes with the process, so what nobody holds was left by a killed one."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAKING = 60.0
"""Age in seconds from which what nobody holds counts as left behind: a folder is made first and held a moment later."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Mark a folder as in use by this process; the mark goes with the process, however it ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def in_use(path: Path) -> bool:
    """Return whether some process holds a folder or file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def is_left(path: Path, age: float = MAKING) -> bool:
    """Return whether a file or folder of this user was last changed ``age`` seconds ago or earlier, and no process holds it."""
    try:
        state = path.lstat()
        if path.is_symlink() or state.st_uid != os.getuid():
            return False
        return time.time() - state.st_mtime >= age and not in_use(path)
    except OSError:  # gone meanwhile, or not to be opened
        return False
