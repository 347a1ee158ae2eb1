"""A cell where it lies: on disk or in a bucket. Opening it, making it whole or not at all, and the lock that its growth takes."""

from __future__ import annotations

import atexit
import json
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import zarr
from filelock import FileLock
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath, file_system, reaching
from catalog.storage.credentials import S3Access
from catalog.storage.store import CellPath

LEASE = 60.0
"""Seconds after which a lock object that nobody renewed is taken over: its holder died."""

_GROUP = "zarr.json"
_PUTS = 8
"""Objects written at once: each waits for the network."""


def open_group(path: CellPath, mode: Literal["r", "r+"]) -> zarr.Group:
    """The Zarr group at a path. Raises `FileNotFoundError` where there is none, `StoreError` where its bucket can't be reached."""
    store = path if isinstance(path, Path) else BucketStore(path)
    return zarr.open_group(store, mode=mode, zarr_format=3, use_consolidated=False)


class BucketStore(FsspecStore):
    """A Zarr store below a bucket's path, whose errors say what to do next."""

    def __init__(self, path: BucketPath, read_only: bool = False) -> None:
        self.at = path
        super().__init__(_files(path.access), read_only, f"{path.bucket}/{path.key}")

    def with_read_only(self, read_only: bool = False) -> BucketStore:
        return BucketStore(self.at, read_only)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        with reaching(self.at):
            return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        with reaching(self.at):
            return await super().get_partial_values(prototype, key_ranges)

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        with reaching(self.at):
            await super().set(key, value, byte_range)

    async def exists(self, key: str) -> bool:
        with reaching(self.at):
            return await super().exists(key)

    async def delete(self, key: str) -> None:
        # fsspec would look for what lies below the key first; an object store takes the deletion of nothing for done
        with reaching(self.at):
            await self.fs._rm_file(f"{self.path}/{key}")

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        with reaching(self.at):
            async for name in super().list_dir(prefix):
                yield name


@lru_cache(maxsize=32)
def _files(access: S3Access) -> Any:
    files = file_system(access, asynchronous=True)
    atexit.register(_close, files)  # before zarr ends the loop that its connections belong to
    return files


def _close(files: Any) -> None:
    if files._s3 is not None:
        sync(files._s3creator.__aexit__(None, None, None))


def create(path: CellPath, files: Mapping[str, bytes]) -> None:
    """Make a group of its files, whole or not at all; nothing is done where another process was first. Raises `StoreError`."""
    if isinstance(path, BucketPath):
        _create_objects(path, files)
    else:
        _create_folder(path, files)


def _create_folder(path: Path, files: Mapping[str, bytes]) -> None:
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
        whole = aside / path.name
        for name, data in files.items():
            (whole / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / name).write_bytes(data)
        whole.rename(path)
    except OSError as error:
        if not path.exists():  # else another process was first, with the same cell
            raise StoreError(f"can't create {path}: {error}. Free some space or check the permissions.") from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _create_objects(path: BucketPath, files: Mapping[str, bytes]) -> None:
    # Only where nothing is yet: a process that comes late must not put an empty array in the place of one that has grown.
    def put(name: str) -> None:
        (path / name).put(files[name], IfNoneMatch="*")

    with ThreadPoolExecutor(_PUTS) as pool:
        list(pool.map(put, [name for name in files if name != _GROUP]))
    put(_GROUP)  # from here on the cell exists


StillHeld = Callable[[], None]
"""To be called before each write under a lock. Raises `StoreError` where the lock was lost."""


@contextmanager
def locked(path: CellPath) -> Iterator[StillHeld]:
    """One process at a time: a lock file beside the cell, or a lock object written by puts with a condition.

    The system releases a lock file whose holder dies. A lock object is taken over when it has not changed for `LEASE`: no clock of
    one machine is compared with another's. Waits as long as it takes. Raises `StoreError`.
    """
    if isinstance(path, BucketPath):
        lock = _LockObject(BucketPath(path.bucket, f"{path.key}.lock", path.access))
        lock.acquire()
        try:
            yield lock.renew
        finally:
            lock.release()
        return
    with FileLock(f"{path}.lock"):
        yield lambda: None


class _LockObject:
    """A lock that is an object: whoever's name it holds may write. Every write of it has other content, and so another ETag."""

    def __init__(self, path: BucketPath) -> None:
        self.path = path
        self._owner = uuid.uuid4().hex
        self._etag = ""
        self._written = 0.0

    def acquire(self) -> None:
        seen, since = "", time.monotonic()
        while True:
            if self._write(IfNoneMatch="*"):
                self._check_conditions()
                return
            found = self.path.read()
            if found is None:
                continue
            owner, etag = str(json.loads(found[0])["owner"]), found[1]
            if etag != seen:
                seen, since = etag, time.monotonic()
            # "" is a released lock; one's own name is left by an answer that got lost
            free = owner in ("", self._owner) or time.monotonic() - since > LEASE
            if free and self._write(IfMatch=etag):
                return
            if not free:
                time.sleep(random.uniform(0.1, 0.4))  # noqa: S311 - so that those who wait don't ask in step

    def renew(self) -> None:
        """Say that the holder lives, where that was not said lately. Raises `StoreError` where another took the lock over."""
        if time.monotonic() - self._written > LEASE / 4 and not self._write(IfMatch=self._etag):
            raise StoreError(
                f"{self.path}: this process stood still for over {LEASE:g} s and another one took its lock. Run again."
            )

    def release(self) -> None:
        # By the same condition: the lock may be another's by now.
        self.path.put(_content(""), IfMatch=self._etag)

    def _write(self, **condition: str) -> bool:
        asked = time.monotonic()
        etag = self.path.put(_content(self._owner), **condition)
        if etag is not None:
            self._etag, self._written = etag, asked
        return etag is not None

    def _check_conditions(self) -> None:
        """Once per cell: some object stores take conditions and ignore them."""
        if self.path.put(_content(self._owner), IfNoneMatch="*") is not None:
            raise StoreError(
                f"{self.path}: {self.path.access.endpoint or 'AWS'} ignores the conditions of puts, and two processes that extend "
                "a cell would destroy each other's dates. Use another object store, or a folder (CROPLINE_CUBES)."
            )


def _content(owner: str) -> bytes:
    return json.dumps({"owner": owner, "written": uuid.uuid4().hex}).encode()


def files_in_memory(fill: Callable[[zarr.Group], Any]) -> dict[str, bytes]:
    """The files of a new group, by name, as ``fill`` makes it."""
    files: dict[str, Buffer] = {}
    store: Store = zarr.storage.MemoryStore(files)
    fill(zarr.open_group(store, mode="w-", zarr_format=3))
    return {name: buffer.to_bytes() for name, buffer in files.items()}
