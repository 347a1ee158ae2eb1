"""Where the per-patch results of a run lie: in its folder, or below the cubes' bucket where workers share nothing else."""

from __future__ import annotations

import uuid
from pathlib import Path

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath, Store
from processors.engine import Engine
from processors.thematic.results import remove

_RUNS = "runs"
"""Below the cubes' bucket, beside the sources. What is there has no `.zarr` at the end of its name: it is no cell."""

_NAME = "shared-results.txt"
"""In a run's folder: what its results are called in the bucket. Made up, since another installation may run the same request."""


def results_path(store: Store, folder: Path, engine: Engine) -> CellPath:
    """Where a run with that folder keeps its results, the same each time. Raises `StoreError` where workers could see them nowhere."""
    if engine.shares_files:
        return folder / "results.zarr"
    if not isinstance(store.cubes, BucketPath):
        raise StoreError(
            "the scheduler's workers don't see this machine's files, and the cubes are in a folder of it. Set CROPLINE_CUBES to "
            "s3://bucket/prefix, or correct CROPLINE_SHARED_STORE."
        )
    name = folder / _NAME
    if not name.is_file():
        name.write_text(f"{folder.name}-{uuid.uuid4().hex[:12]}", encoding="utf-8")
    return _shared(store.cubes, name)


def forget_shared(store: Store, folder: Path) -> None:
    """Remove what a run left in the bucket, once it is delivered. Raises `StoreError`."""
    name = folder / _NAME
    if isinstance(store.cubes, BucketPath) and name.is_file():
        remove(_shared(store.cubes, name))
        name.unlink()


def _shared(cubes: BucketPath, name: Path) -> BucketPath:
    return cubes / _RUNS / name.read_text(encoding="utf-8").strip()
