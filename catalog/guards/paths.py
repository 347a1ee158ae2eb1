"""Paths that users write."""

from __future__ import annotations

import os
from pathlib import Path

from catalog.guards.refusal import Refuse, refusing
from catalog.quoting import shown

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes of one name in a path and of the whole, as file systems have them."""

_FOREIGN = (
    OSError,
    RuntimeError,
    ValueError,
)  # a name too long, links in a circle, a home that nobody has, a null character


def what_lies_at(path: Path) -> str:
    """What lies at a path where a file should, in words: nothing, a folder, or a device or pipe."""
    return "a folder, no file" if path.is_dir() else "a device, no file" if path.exists() else "there is no file"


def user_path(text: str | Path, refuse: Refuse, *, base: Path | None = None) -> Path:
    """The absolute path of what a user wrote, from ``base`` where it is relative (else from the working folder); ``~`` is a home.

    Whether anything lies there is not asked. Raises what ``refuse`` makes where it can be no path.
    """
    written = os.fspath(text)
    if not written.strip():
        raise refuse("the path is empty")
    if not written.isprintable() and any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in written):
        raise refuse(f"{shown(written)} holds characters that no path has")
    longest = max(len(os.fsencode(part)) for part in written.split("/"))
    if longest > LONGEST_NAME or len(os.fsencode(written)) > LONGEST_PATH:
        raise refuse(f"the path {shown(written)} is too long")
    with refusing(_FOREIGN, lambda why: refuse(f"{shown(written)} is no path ({why})")):
        path = Path(written).expanduser()
        path = (path if base is None else base / path).resolve()
        path.exists()  # asks the system, which knows limits of its own
    return path
