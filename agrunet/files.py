"""Files and folders that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agrunet.errors import AgrunetError
from agrunet.json_text import read_object


def _failure(path: Path, error: OSError) -> AgrunetError:
    return AgrunetError(
        f"can't write {path}: {error.strerror or error}. Free some space or check the permissions, and run again."
    )


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A folder beside ``path``, ``.<name>-<8 hex digits>``, gone when the block ends.

    It is held by a lock that goes with this process: what nobody holds was left by a killed one, and may be cleared away.
    """
    folder = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        folder.mkdir(parents=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield folder
        finally:
            os.close(handle)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def file_written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary file of the same name beside ``path``; renamed onto it when the block ends well, removed when it fails.

    Raises `AgrunetError` where the disk is full or may not be written.
    """
    try:
        with _aside(path) as aside:
            temporary = aside / path.name
            temporary.touch()
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise _failure(path, error) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file (UTF-8) that is whole or absent. Raises `AgrunetError` where the disk is full or may not be written."""
    with file_written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``, likewise; a folder that is already there is replaced when the block ends well."""
    try:
        with _aside(path) as aside:
            fresh, old = aside / "new", aside / "old"
            fresh.mkdir()
            yield fresh
            if path.exists():
                path.rename(old)
            fresh.rename(path)
    except OSError as error:
        raise _failure(path, error) from error


def verify_listed(folder: Path, asset: str, name: str) -> None:
    """Raise `AgrunetError` where a file of a checkpoint isn't the one whose checksum its `item.json` states for that asset."""
    item = folder / "item.json"
    listed = read_object(item, lambda why: AgrunetError(f"{item}{why}. Copy the checkpoint again."))
    try:
        wanted = str(listed["assets"][asset]["file:checksum"])
    except (KeyError, TypeError) as error:
        raise AgrunetError(f"{item} states no checksum of {name}. Copy the checkpoint again.") from error
    found = "1220" + sha256(folder / name)
    if found != wanted:
        raise AgrunetError(
            f"{folder / name} is not the file that was written: checksum {found[:16]}…, {item.name} says {wanted[:16]}…. "
            "Copy the checkpoint again, or train again."
        )


def sha256(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
