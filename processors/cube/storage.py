"""The Zarr group of a cell where it lies, on disk or in a bucket: opening it, and making it whole or not at all."""

from __future__ import annotations

import atexit
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore

from catalog.storage.bucket_path import BucketPath
from catalog.storage.credentials import S3Access
from catalog.storage.refusals import store_errors
from catalog.storage.s3 import s3_client
from catalog.storage.store import CellPath
from catalog.storage.whole import folder_written_whole

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
        super().__init__(_client(path.access), read_only, f"{path.bucket}/{path.key}")

    def with_read_only(self, read_only: bool = False) -> BucketStore:
        return BucketStore(self.at, read_only)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        with self._errors():
            return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        with self._errors():
            return await super().get_partial_values(prototype, key_ranges)

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        with self._errors():
            await super().set(key, value, byte_range)

    async def exists(self, key: str) -> bool:
        with self._errors():
            return await super().exists(key)

    async def delete(self, key: str) -> None:
        # fsspec would look for what lies below the key first; an object store takes the deletion of nothing for done
        with self._errors():
            client = await self.fs.set_session()
            await client.delete_object(Bucket=self.at.bucket, Key=f"{self.at.key}/{key}", **self.fs.req_kw)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        with self._errors():
            async for name in super().list_dir(prefix):
                yield name

    def _errors(self) -> AbstractContextManager[None]:
        return store_errors(str(self.at), self.at.access)


@lru_cache(maxsize=32)
def _client(access: S3Access) -> Any:
    client = s3_client(access, "store", asynchronous=True)
    atexit.register(_close, client)  # before zarr ends the loop that its connections belong to
    return client


def _close(client: Any) -> None:
    async def close() -> None:
        session = await client.get_s3()
        if session is not None:
            await session.close()

    sync(close())


def create(path: CellPath, files: Mapping[str, bytes]) -> None:
    """Make a group of its files, whole or not at all; nothing is done where another process was first. Raises `StoreError`."""
    if isinstance(path, BucketPath):
        _create_objects(path, files)
    else:
        _create_folder(path, files)


def _create_folder(path: Path, files: Mapping[str, bytes]) -> None:
    with folder_written_whole(path, "keep") as aside:  # kept: another process was first, with the same cell
        write_files(aside, files)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, by name."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _create_objects(path: BucketPath, files: Mapping[str, bytes]) -> None:
    # Only where nothing is yet: a process that comes late must not put an empty array in the place of one that has grown.
    def put(name: str) -> None:
        (path / name).put(files[name], IfNoneMatch="*")

    with ThreadPoolExecutor(_PUTS) as pool:
        list(pool.map(put, [name for name in files if name != _GROUP]))
    put(_GROUP)  # from here on the cell exists


def files_in_memory(fill: Callable[[zarr.Group], Any]) -> dict[str, bytes]:
    """The files of a new group, by name, as ``fill`` makes it."""
    files: dict[str, Buffer] = {}
    store: Store = zarr.storage.MemoryStore(files)
    fill(zarr.open_group(store, mode="w-", zarr_format=3))
    return {name: buffer.to_bytes() for name, buffer in files.items()}
