"""Where a processor's per-patch results lie, unblended, until the mosaic blends them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from catalog.errors import StoreError
from processors.cube.codecs import plain_codecs
from processors.thematic.protocol import Fields

FIELDS = "fields"
DONE = "done"
_DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Results:
    """A Zarr group with ``fields`` (N, K, size, size) float32 and ``done`` (N,) uint8.

    One chunk a patch in both, so that no two processes ever write the same file. ``done`` is set after the patch is whole.
    """

    path: Path

    def read(self, index: int) -> Fields:
        """Fields of one patch, (K, size, size). Raises `StoreError` where it isn't done."""
        fields, done = self._arrays()
        if not int(done[index]):
            raise StoreError(f"{self.path}: patch {index} has no result yet. Run the processor again; it resumes.")
        return np.asarray(fields[index], np.float32)

    def todo(self) -> list[int]:
        """Numbers of the patches that have no result yet."""
        _, done = self._arrays()
        return [int(index) for index in np.flatnonzero(np.asarray(done[:]) == 0)]

    def writer(self) -> Callable[[int, Fields], None]:
        """A function that writes the result of one patch (`StoreError` where it can't), then says that it is done."""
        with plain_codecs():  # which rename: a torn `done` would lie
            group: Any = zarr.open_group(self.path, mode="r+")
            fields, done = group[FIELDS], group[DONE]

        def write(index: int, result: Fields) -> None:
            try:
                fields[index] = result
                done[index] = 1
            except OSError as error:
                raise StoreError(
                    f"can't write {self.path}: {error.strerror or error}. Free some space and run again; it resumes."
                ) from error

        return write

    def _arrays(self) -> tuple[Any, Any]:
        group = zarr.open_group(self.path, mode="r")
        return group[FIELDS], group[DONE]


def open_results(path: Path, shape: tuple[int, int, int, int], digest: str) -> Results:
    """The results of a run, made where there are none. ``shape``: (N, K, size, size); ``digest`` names the run.

    What lies there of another run is replaced. Raises `StoreError` where that can't be written.
    """
    results = Results(path)
    if _digest_of(path) == digest:
        return results
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise StoreError(f"can't write {path}: {error.strerror or error}. Check space and permissions.") from error
    try:
        _create(aside / "new", shape, digest)
        if path.exists():
            path.rename(aside / "old")  # never half of it gone: `done` of a deleted patch would lie
        (aside / "new").rename(path)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error.strerror or error}. Check space and permissions.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return results


def _create(path: Path, shape: tuple[int, int, int, int], digest: str) -> None:
    with plain_codecs():
        group = zarr.create_group(path, attributes={_DIGEST: digest})
        group.create_array(
            FIELDS,
            shape=shape,
            chunks=(1, *shape[1:]),
            dtype="float32",
            fill_value=float("nan"),
            compressors=BloscCodec(cname="lz4", shuffle="shuffle"),
            dimension_names=("patch", "field", "y", "x"),
        )
        group.create_array(
            DONE,
            shape=shape[:1],
            chunks=(1,),
            dtype="uint8",
            fill_value=0,
            compressors=None,
            dimension_names=("patch",),
        )


def _digest_of(path: Path) -> str | None:
    try:
        return str(zarr.open_group(path, mode="r").attrs.get(_DIGEST))
    except (FileNotFoundError, ValueError, KeyError):
        return None
