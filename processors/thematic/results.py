"""Per-patch results of a processor, unblended, where they lie until the mosaic blends them: a folder, or a bucket that workers share."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.core.sync import sync

from catalog.errors import RewrittenError, StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath
from catalog.storage.whole import folder_written_whole
from processors.cube.codecs import DAMAGE, plain_codecs
from processors.cube.storage import BucketStore, create, files_in_memory, open_group
from processors.thematic.protocol import Fields

FIELDS = "fields"
DONE = "done"
_DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Results:
    """A Zarr group with ``fields`` (N, K, size, size) float32 and ``done`` (N,) uint8.

    One chunk a patch in both, so that no two processes ever write the same file. ``done`` is set after the patch is whole.
    """

    path: CellPath

    def read(self, index: int) -> Fields:
        """Fields of one patch, (K, size, size). Raises `StoreError` where it isn't done.

        Raises `RewrittenError` where it is damaged, after all results were removed: who begins again makes them anew.
        """
        try:
            fields, done = self._arrays()
            if int(done[index]):
                return np.asarray(fields[index], np.float32)
        except DAMAGE as error:
            remove(self.path)
            raise RewrittenError(
                f"{self.path}: patch {index} is damaged ({error}). The results are made anew."
            ) from error
        raise StoreError(f"{self.path}: patch {index} has no result yet. Run the processor again; it resumes.")

    def todo(self, among: Sequence[int] | None = None) -> list[int]:
        """Numbers of the patches, or of these among them, that have no result yet."""
        _, done = self._arrays()
        asked: npt.NDArray[np.intp] = np.arange(done.shape[0]) if among is None else np.asarray(among, np.intp)
        flags = done[:] if among is None else done.oindex[asked]
        return [int(index) for index in asked[np.asarray(flags) == 0]]

    def writer(self) -> Callable[[int, Fields], None]:
        """Make a function that writes the result of one patch (`StoreError` where it can't), then says that it is done."""
        with plain_codecs():  # which rename: a torn `done` would lie
            store = _FirstPut(self.path) if isinstance(self.path, BucketPath) else self.path
            group: Any = zarr.open_group(store, mode="r+", zarr_format=3, use_consolidated=False)
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
        group: Any = open_group(self.path, "r")
        return group[FIELDS], group[DONE]


class _FirstPut(BucketStore):
    """Store in which the first put of an object stays, where two workers write the same patch since the first was given up too early."""

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        if byte_range is not None:
            await super().set(key, value, byte_range)
            return
        await asyncio.to_thread((self.at / key).put, value.to_bytes(), IfNoneMatch="*")

    def with_read_only(self, read_only: bool = False) -> BucketStore:
        return BucketStore(self.at, read_only=True) if read_only else self


def open_results(path: CellPath, shape: tuple[int, int, int, int], digest: str) -> Results:
    """Open the results of a run, made where there are none. ``shape``: (N, K, size, size); ``digest`` names the run.

    What lies there of another run is replaced. Raises `StoreError` where that can't be written.
    """
    if _digest_of(path) == digest and _tells_what_is_done(Results(path)):
        return Results(path)
    if isinstance(path, BucketPath):
        remove(path)
        create(path, files_in_memory(lambda group: _fill(group, shape, digest)))
    else:
        # Never half of the old ones gone: `done` of a deleted patch would lie.
        with folder_written_whole(path) as aside, plain_codecs():
            _fill(zarr.open_group(aside, mode="a", zarr_format=3), shape, digest)
    return Results(path)


def remove(path: CellPath) -> None:
    """Remove results, and all that lies with them. Raises `StoreError` where their bucket can't be reached."""
    if not isinstance(path, BucketPath):
        shutil.rmtree(path, ignore_errors=True)
        return
    store = BucketStore(path)
    names = sorted(
        path.sizes(), key=lambda name: name != "zarr.json"
    )  # the group's own first: without it there are no results

    async def delete() -> None:
        for name in names:
            await store.delete(name)

    sync(delete())


def _fill(group: zarr.Group, shape: tuple[int, int, int, int], digest: str) -> None:
    group.attrs[_DIGEST] = digest
    group.create_array(
        FIELDS,
        shape=shape,
        chunks=(1, *shape[1:]),
        dtype="float32",
        fill_value=float("nan"),
        compressors=(BloscCodec(cname="lz4", shuffle="shuffle"), Crc32cCodec()),
        dimension_names=("patch", "field", "y", "x"),
    )
    group.create_array(
        DONE,
        shape=shape[:1],
        chunks=(1,),
        dtype="uint8",
        fill_value=0,
        compressors=Crc32cCodec(),
        dimension_names=("patch",),
    )


def _tells_what_is_done(results: Results) -> bool:
    try:
        results.todo()
    except DAMAGE:
        return False
    return True


def _digest_of(path: CellPath) -> str | None:
    try:
        return str(open_group(path, "r").attrs.get(_DIGEST))
    except DAMAGE:  # FileNotFoundError among them
        return None
