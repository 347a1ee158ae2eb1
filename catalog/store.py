"""Where this installation keeps what it made. The store is the only truth about what is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.products import Level


@dataclass(frozen=True, slots=True)
class Store:
    """The folders of a store; nothing is created by looking."""

    root: Path

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def maps(self) -> Path:
        return self.root / "maps"

    @property
    def subscriptions(self) -> Path:
        return self.root / "subscriptions"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    def cubes(self, source_id: str, level: Level) -> Path:
        return self.root / "cubes" / source_id / level

    def cube(self, source_id: str, level: Level, cell: Cell) -> Path:
        return self.cubes(source_id, level) / f"{cell.name}.zarr"


def open_store(address: str) -> Store:
    """The store at a local address, created if need be. Raises `StoreError` where that can't be."""
    if re.match(r"^[a-z0-9]+://", address):
        raise StoreError(
            f"store {address}: only folders of this machine are supported so far. Set CROPLINE_STORE to a folder."
        )
    root = Path(address).expanduser().resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"store {root}: can't be created ({error.strerror}). Set CROPLINE_STORE to a folder you may write."
        ) from error
    return Store(root)


def digest(value: Any) -> str:
    """Twelve hex digits that name a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sha256(path: Path) -> str:
    """Checksum of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; renamed onto it when the block ends well, removed when it fails.

    So that a file is either whole or absent, also after a kill or a full disk (`StoreError`).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner reads
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"can't write {path}: {error.strerror or error}. Free some space or check the permissions, and run again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that it is whole or absent."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
