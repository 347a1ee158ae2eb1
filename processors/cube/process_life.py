"""Whether a process that wrote into a folder lives still: each holds a lock file there, which the system releases when it ends."""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

_lock = threading.Lock()
_held: dict[tuple[int, Path], FileLock] = {}
"""Lock files of this process, by its number (a fork is another process) and folder."""


def process_in(folder: Path) -> str:
    """Name of this process in a folder; a lock file of that name is held there from the first call on."""
    key = os.getpid(), folder
    with _lock:
        held = _held.get(key)
        if held is None or not Path(held.lock_file).exists():
            folder.mkdir(parents=True, exist_ok=True)
            held = FileLock(folder / f"{uuid.uuid4().hex}.lock", thread_local=False)
            held.acquire(timeout=0)
            _held[key] = held
        return Path(held.lock_file).stem


def process_has_ended(folder: Path, process: str) -> bool:
    """True where a process surely ended: its lock file is gone, or nobody holds it."""
    if not process:
        return False
    file = folder / f"{process}.lock"
    if any(Path(held.lock_file) == file for held in _held.values()):
        return False
    if not file.exists():
        return True
    left = FileLock(file)
    try:
        left.acquire(timeout=0)
    except Timeout:
        return False
    left.release()
    file.unlink(missing_ok=True)
    return True


@atexit.register
def _leave() -> None:
    for (process, _), held in list(_held.items()):
        if process == os.getpid():
            Path(held.lock_file).unlink(missing_ok=True)
            held.release(force=True)
