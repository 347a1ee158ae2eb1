"""Files and folders that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agrunet.errors import AgrunetError


def _permissions(mode: int) -> int:
    # mkstemp and mkdtemp make things that only their owner reads.
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


def _failure(path: Path, error: OSError) -> AgrunetError:
    return AgrunetError(
        f"can't write {path}: {error.strerror or error}. Free some space or check the permissions, and run again."
    )


@contextmanager
def file_written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; renamed onto it when the block ends well, removed when it fails.

    Raises `AgrunetError` where the disk is full or may not be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(_permissions(0o666))
        temporary.replace(path)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file (UTF-8) that is whole or absent. Raises `AgrunetError` where the disk is full or may not be written."""
    with file_written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``, likewise; a folder that is already there is replaced when the block ends well."""
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        fresh, old = aside / "new", aside / "old"
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def verify_listed(folder: Path, asset: str, name: str) -> None:
    """Raise `AgrunetError` where a file of a checkpoint isn't the one whose checksum its `item.json` states for that asset."""
    item = folder / "item.json"
    try:
        wanted = str(json.loads(item.read_text(encoding="utf-8"))["assets"][asset]["file:checksum"])
    except (OSError, ValueError, KeyError, TypeError) as error:
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
