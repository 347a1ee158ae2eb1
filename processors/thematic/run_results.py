"""Path of the per-patch results of a run: in its folder, or below the cubes' bucket where workers share nothing else."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath
from processors.engine.protocol import Engine
from processors.thematic.results import remove

_RUNS = "runs"
"""Folder below the cubes' bucket, beside the sources. What is there has no `.zarr` at the end of its name: it is no cell."""


_NAME = re.compile(rb"[\w-]+-[0-9a-f]{12}")
"""The name that a run's results get there; what a file that is damaged holds is none."""


def results_path(local: Path, shared_name: Path, cubes: CellPath, engine: Engine) -> CellPath:
    """The path where a run keeps its results, the same each time.

    ``local``: where they lie on this machine. ``shared_name``: file that remembers what they are called in the bucket: a made-up name,
    since another installation may run the same request. Raises `StoreError` where workers could see them nowhere.
    """
    if engine.shares_files:
        return local
    if not isinstance(cubes, BucketPath):
        raise StoreError(
            "the scheduler's workers don't see this machine's files, and the cubes are in a folder of it. Set CROPLINE_CUBES to "
            "s3://bucket/prefix, or correct CROPLINE_SHARED_STORE."
        )
    if not shared_name.is_file() or not _NAME.fullmatch(shared_name.read_bytes()):
        shared_name.write_text(f"{shared_name.parent.name}-{uuid.uuid4().hex[:12]}", encoding="utf-8")
    return _shared(cubes, shared_name)


def forget_shared(shared_name: Path, cubes: CellPath) -> None:
    """Remove what a run left in the bucket, once it is delivered. Raises `StoreError`."""
    if isinstance(cubes, BucketPath) and shared_name.is_file():
        if _NAME.fullmatch(shared_name.read_bytes()):
            remove(_shared(cubes, shared_name))
        shared_name.unlink()


def _shared(cubes: BucketPath, shared_name: Path) -> BucketPath:
    return cubes / _RUNS / shared_name.read_text(encoding="utf-8").strip()
