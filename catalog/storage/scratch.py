"""Scratch folders of this machine: in use while a process holds them, and known as left behind when it was killed."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "cropline-"

LEFT = 24 * 3600.0
"""Age in seconds from which a scratch folder that nobody holds counts as left behind: one in the making is not held yet."""


@contextmanager
def scratch_folder(purpose: str = "", within: Path | str | None = None) -> Iterator[Path]:
    """A folder among the temporary files (or in ``within``) that is gone when the block ends, and is held until then."""
    prefix = f"{PREFIX}{purpose}-" if purpose else PREFIX
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=True) as folder,
        held(Path(folder)),
    ):
        yield Path(folder)


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


def left_behind() -> list[Path]:
    """Scratch folders of this user that killed processes left among the temporary files, sorted by name."""
    folders = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
    return [folder for folder in folders if folder.is_dir() and is_left(folder)]


def is_left(path: Path) -> bool:
    """Return whether a file or folder of this user is old, and no process holds it."""
    try:
        state = path.lstat()
        if path.is_symlink() or state.st_uid != os.getuid():
            return False
        return time.time() - state.st_mtime > LEFT and not in_use(path)
    except OSError:  # gone meanwhile, or not to be opened
        return False
