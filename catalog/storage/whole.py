"""Files and folders that are whole or absent, also after a kill or on a full disk: made beside their place, then renamed."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from catalog.errors import StoreError
from catalog.storage.system_errors import refusal

ASIDE = re.compile(r"\..+-[0-9a-f]{8}(\.\w+)?")
"""Names of what is being written beside its place, or was when its process was killed."""

Existing = Literal["replace", "keep"]
"""The fate of a folder that is there when a new one is ready."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, of the same suffix; renamed onto it when the block ends well, removed when it fails.

    Raises `StoreError` for each `OSError`, those of the block among them: of a full disk for instance.
    """
    try:
        with file_aside(path) as temporary:
            yield temporary
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def folder_written_whole(path: Path, existing: Existing = "replace") -> Iterator[Path]:
    """The same for a folder. With ``keep`` one that another process finished first stays, for those that would be the same."""
    try:
        with folder_aside(path, existing) as temporary:
            yield temporary
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def file_aside(path: Path) -> Iterator[Path]:
    """Do as `written_whole` does, for callers with errors of their own: each `OSError` passes as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_aside(path: Path, existing: Existing = "replace") -> Iterator[Path]:
    """Do as `folder_written_whole` does, for callers with errors of their own: each `OSError` passes as it is.

    The temporary folder is called ``.<name>-<8 hex digits>``; what it replaces gets the same name with ``.old`` for that moment, and
    is put back where the new one can't be renamed.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if existing == "replace":
            _exchange(temporary, path)
        else:
            _rename_unless_there(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that it is whole or absent."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")


def _exchange(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    old = new.with_name(f"{new.name}.old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _rename_unless_there(new: Path, path: Path) -> None:
    try:
        new.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"can't write {path}: {refusal(error, path)}, and run again.")
