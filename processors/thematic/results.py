"""Per-patch results of a processor, unblended, where they lie until the mosaic blends them: a folder, or a bucket that workers share."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer

from catalog.errors import RewrittenError, StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.holding import is_left
from catalog.storage.store import CellPath
from catalog.storage.whole import folder_written_whole
from processors.cube.codecs import DAMAGE, plain_codecs
from processors.cube.direct_array import PARTIAL, DirectArray
from processors.cube.storage import BucketStore, create, files_in_memory, open_group, write_files
from processors.thematic.protocol import Fields

FIELDS = "fields"
DONE = "done"
_DIGEST = "digest"

_READERS = 8
"""Patches that are read at once to see whether they are whole."""


@dataclass(frozen=True, slots=True)
class Results:
    """A Zarr group with ``fields`` (N, K, size, size) float32 and ``done`` (N,) uint8.

    One chunk a patch in both, so that no two processes ever write the same file. ``done`` is set after the patch is whole. Fields
    carry a checksum.
    """

    path: CellPath

    def read(self, index: int) -> Fields:
        """Fields of one patch, (K, size, size). Raises `StoreError` where it isn't done.

        Raises `RewrittenError` where it is damaged, and takes it back: who begins again makes it anew.
        """
        try:
            fields, done = self._arrays()
            if int(done[index]):
                return np.asarray(fields[index], np.float32)
        except DAMAGE as error:
            self._forget(index)
            raise RewrittenError(f"{self.path}: patch {index} is damaged ({error}). It is made anew.") from error
        raise StoreError(f"{self.path}: patch {index} has no result yet. Run the processor again; it resumes.")

    def todo(self, among: Sequence[int] | None = None) -> list[int]:
        """Numbers of the patches, or of these among them, that have no result yet."""
        _, done = self._arrays()
        asked: npt.NDArray[np.intp] = np.arange(done.shape[0]) if among is None else np.asarray(among, np.intp)
        flags = done[:] if among is None else done.oindex[asked]
        return [int(index) for index in asked[np.asarray(flags) == 0]]

    def forget_damaged(self) -> list[int]:
        """Take back what is said to be done and can't be read any more, such as after a disk's fault; returns the patches' numbers."""
        fields, done = self._arrays()
        patches = range(done.shape[0])
        with ThreadPoolExecutor(_READERS) as pool:
            damaged = list(compress(patches, pool.map(partial(_is_damaged, fields, done), patches)))
        for index in damaged:
            self._forget(index)
        return damaged

    def _forget(self, index: int) -> None:
        for name in (f"{DONE}/c/{index}", f"{FIELDS}/c/{index}/0/0/0"):
            path = self.path / name
            if isinstance(path, BucketPath):
                path.delete()  # a put with a condition would leave the damaged one
            else:
                path.unlink(missing_ok=True)

    def writer(self) -> Callable[[int, Fields], None]:
        """Make a function that writes the result of one patch (`StoreError` where it can't), then says that it is done."""
        with plain_codecs():  # which rename: a torn `done` would lie
            store = _FirstPut(self.path) if isinstance(self.path, BucketPath) else self.path
            group: Any = zarr.open_group(store, mode="r+", zarr_format=3, use_consolidated=False)
            fields, done = group[FIELDS], group[DONE]
            if isinstance(self.path, Path):
                fields, done = DirectArray(fields.async_array), DirectArray(done.async_array)

        def write(index: int, result: Fields) -> None:
            try:
                fields[index : index + 1] = result[np.newaxis]
                done[index : index + 1] = 1
            except OSError as error:
                raise StoreError(
                    f"can't write {self.path}: {error.strerror or error}. Free some space and run again; it resumes."
                ) from error

        return write

    def _arrays(self) -> tuple[Any, Any]:
        group: Any = open_group(self.path, "r")
        return group[FIELDS], group[DONE]


def _is_damaged(fields: Any, done: Any, index: int) -> bool:
    try:
        if int(done[index]):
            fields[index]
    except DAMAGE:
        return True
    return False


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

    What lies there of another run, or is damaged, is replaced. Raises `StoreError` where that can't be written.
    """
    with plain_codecs():
        files = files_in_memory(lambda group: _fill(group, shape, digest))
    if _described_by(path, files):
        results = Results(path)
        results.forget_damaged()
        if isinstance(path, Path):
            for file in path.rglob(f"*{PARTIAL}"):
                if is_left(file):  # by a process that was killed; what another one writes is younger
                    file.unlink(missing_ok=True)
        return results
    if isinstance(path, BucketPath):
        remove(path)
        create(path, files)
    else:
        # Never half of the old ones gone: `done` of a deleted patch would lie.
        with folder_written_whole(path) as aside:
            write_files(aside, files)
    return Results(path)


def remove(path: CellPath) -> None:
    """Remove results, and all that lies with them. Raises `StoreError` where their bucket can't be reached."""
    if isinstance(path, BucketPath):
        path.remove()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _fill(group: zarr.Group, shape: tuple[int, int, int, int], digest: str) -> None:
    group.attrs[_DIGEST] = digest
    group.create_array(
        FIELDS,
        shape=shape,
        chunks=(1, *shape[1:]),
        dtype="float32",
        fill_value=float("nan"),
        compressors=Crc32cCodec(),  # probabilities hardly get smaller: compressing them took longer than writing them
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


def _described_by(path: CellPath, files: Mapping[str, bytes]) -> bool:
    """Return whether the metadata of what lies there are these."""
    return all(_json(_content(path, name)) == _json(data) for name, data in files.items())


def _content(path: CellPath, name: str) -> bytes | None:
    """Content of a file below a path; None where there is none. Raises `StoreError` where its bucket can't be reached."""
    if isinstance(path, BucketPath):
        found = (path / name).read()
        return None if found is None else found[0]
    try:
        return (path / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _json(data: bytes | None) -> Any:
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError):  # damaged
        return None
