"""What the system refused, and what to do about it, in the words of every message that tells of it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space, or have your quota raised",
    errno.EFBIG: "Free some space, or raise the limit of file sizes (`ulimit -f`)",
    errno.EACCES: "Check the permissions",
    errno.EPERM: "Check the permissions",
    errno.EROFS: "It is mounted to be read only: name another place",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "Raise the system's limit of open files",
    errno.ENOMEM: "Free some memory",
    errno.EIO: "Check the disk",
    errno.ENAMETOOLONG: "Name a shorter place",
    errno.ENOTDIR: "Move the file that stands where a folder is needed",
    errno.EISDIR: "Move the folder that stands where a file is needed",
}

_LEAST_FREE = 2**20
"""Bytes; a disk with less is full for whoever writes rasters, whose library tells of it in many words or in none."""


def refusal(error: BaseException, path: Path | None = None) -> str:
    """The reason, then the remedy: ``No space left on device. Free some space``, without an end.

    ``error``: an `OSError`, or what a library made of one. ``path``: what was to be written, where the disk itself may be asked.
    """
    number = _number(error, path)
    if number is None:
        return f"{_innermost(error)}. Free some space or check the permissions"
    return f"{os.strerror(number)}. {_REMEDIES[number]}"


def is_refusal(error: OSError) -> bool:
    """Whether the error is one that whoever runs the software can remedy: permissions, a full disk, limits, a broken disk."""
    return error.errno in _REMEDIES


def _number(error: BaseException, path: Path | None) -> int | None:
    """Number of the system's error; None where it is none that is known."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for one in chain:
        if isinstance(one, OSError) and one.errno in _REMEDIES:
            return one.errno
        for number in _REMEDIES:  # of libraries that keep the text alone
            if os.strerror(number) in str(one):
                return number
    if path is not None and _free(path) < _LEAST_FREE:
        return errno.ENOSPC
    return None


def _free(path: Path) -> float:
    for folder in (path, *path.parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return float("inf")


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:  # libraries keep there what the text points to
        error = error.__cause__
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().rstrip(".") or type(error).__name__
