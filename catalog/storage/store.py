"""The folders in which this installation keeps what it made. The store is the only truth about what is done."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.guards.paths import user_path
from catalog.products import Level
from catalog.quoting import shown
from catalog.storage.bucket_path import BucketPath, bucket_path
from catalog.storage.credentials import S3Access

_SCHEME = re.compile(r"^[a-z0-9]+://")

CellPath = Path | BucketPath
"""The address of a cell: in a folder of this machine, or in a bucket."""


@dataclass(frozen=True, slots=True)
class Store:
    """The folders of a store; nothing is created by looking.

    Only the cubes may lie in a bucket (``cubes_at``): they are what grows, and what several machines share. All else needs files.
    """

    root: Path
    cubes_at: CellPath | None = None

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
    def areas(self) -> Path:
        """Areas that are too long to travel in a request, each named by its digest."""
        return self.root / "areas"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def cubes(self) -> CellPath:
        return self.root / "cubes" if self.cubes_at is None else self.cubes_at

    def cube(self, source_id: str, level: Level, cell: Cell) -> CellPath:
        return self.cubes / source_id / level / f"{cell.name}.zarr"


def open_store(address: str, cubes: str | None = None, access: S3Access | None = None, *, create: bool = True) -> Store:
    """The store at a local address, created if need be. Raises `StoreError` where that can't be.

    ``create=False``: for looking only; where there is none, the store is an empty one.
    ``cubes``: a folder or ``s3://bucket/prefix`` for the cubes, entered with ``access``; by default a folder of the store.
    """
    if _SCHEME.match(address):
        raise StoreError(
            f"store {address}: models, maps and runs need a folder of this machine. Set CROPLINE_STORE to a folder; "
            "the cubes may go to a bucket: set CROPLINE_CUBES to s3://bucket/prefix."
        )
    root = user_path(address, lambda why: StoreError(f"store: {why}. Set CROPLINE_STORE to a folder you may write."))
    try:
        if create or root.exists():
            root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"store {root}: can't be created ({error.strerror}). Set CROPLINE_STORE to a folder you may write."
        ) from error
    return Store(root, None if cubes is None else _cubes_at(cubes, access or S3Access()))


def _cubes_at(address: str, access: S3Access) -> CellPath:
    if address.startswith("s3://"):
        return bucket_path(address, access)
    if _SCHEME.match(address):
        raise StoreError(
            f"cubes at {shown(address)}: unknown. Set CROPLINE_CUBES to a folder or to s3://bucket/prefix."
        )
    return user_path(
        address, lambda why: StoreError(f"cubes: {why}. Set CROPLINE_CUBES to a folder or to s3://bucket/prefix.")
    )


def digest(value: Any) -> str:
    """Twelve hex digits that name a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sha256(path: Path) -> str:
    """Checksum of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
