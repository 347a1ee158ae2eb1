"""Files and folders that are whole or absent, also after a kill or on a full disk: made beside their place, then renamed.

They are made in folders whose names begin with a dot, held by the process that writes (`catalog.storage.holding`): what a killed one left
is known by that, and cleared away by whoever starts next.
"""

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
from catalog.storage.holding import MAKING, held, is_left
from catalog.storage.system_errors import refusal

_ASIDE = re.compile(r"\.(?P<name>.+)-[0-9a-f]{8}(?P<old>\.old)?")
"""Names of folders in which something is written beside its place, or was when its process was killed."""

Existing = Literal["replace", "keep"]
"""The fate of a folder that is there when a new one is ready."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file of the same name in a folder beside ``path``; renamed onto it when the block ends well, removed when it fails.

    Raises `StoreError` for each `OSError`, those of the block among them: of a full disk for instance.
    """
    try:
        with file_aside(path) as temporary:
            yield temporary
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def written_geopackage(path: Path) -> Iterator[Path]:
    """The same for a GeoPackage, whose library has errors of its own; in the block there is no file yet: GDAL would open it."""
    from pyogrio.errors import DataSourceError, FeatureError

    with written_whole(path) as temporary:
        temporary.unlink()
        try:
            yield temporary
        except (DataSourceError, FeatureError) as error:
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
    with _aside(path) as folder:
        temporary = folder / path.name
        temporary.touch(exist_ok=False)
        yield temporary
        temporary.replace(path)


@contextmanager
def folder_aside(path: Path, existing: Existing = "replace") -> Iterator[Path]:
    """Do as `folder_written_whole` does, for callers with errors of their own: each `OSError` passes as it is.

    The temporary folder is called ``.<name>-<8 hex digits>``; what it replaces gets the same name with ``.old`` for that moment, and
    is put back where the new one can't be renamed.
    """
    with _aside(path) as temporary:
        yield temporary
        if existing == "replace":
            _exchange(temporary, path)
        else:
            _rename_unless_there(temporary, path)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A folder beside ``path``, held until the block ends, and gone then unless it was renamed."""
    folder = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        folder.mkdir(parents=True)
        with held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def asides(folder: Path, age: float = MAKING, name: str | None = None) -> list[Path]:
    """What killed processes left in a folder of what they wrote, sorted; ``name``: of that file or folder only."""
    matches = [_ASIDE.fullmatch(path.name) for path in sorted(folder.glob(".*"))] if folder.is_dir() else []
    named = [folder / match.string for match in matches if match and name in (None, match["name"])]
    return [path for path in named if path.is_dir() and is_left(path, age)]


def clear_aside(aside: Path) -> None:
    """Remove what `asides` gave; what was moved away for something new that never came is put back."""
    match = _ASIDE.fullmatch(aside.name)
    if match and match["old"] and not (place := aside.with_name(match["name"])).exists():
        aside.rename(place)
    else:
        shutil.rmtree(aside, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that it is whole or absent."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")


def _exchange(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    old = new.with_name(f"{new.name}.old")
    with held(path):
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


def _unwritable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"can't write {path}: {refusal(error, path)}, and run again.")
