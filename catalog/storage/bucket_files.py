"""A bucket of an archive seen as a tree of files."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from catalog.storage.credentials import S3Access
from catalog.storage.file_trees import DOCUMENT, Entry, join, name_of, too_long
from catalog.storage.refusals import Refusal, archive_errors, refusal_of
from catalog.storage.s3 import gdal_options, s3_client, split_address

_BLOCK = 2**16
"""Bytes asked for at once of a file that is read piece by piece."""


class BucketFiles:
    """The tree of objects below s3://bucket/prefix."""

    def __init__(self, address: str, access: S3Access) -> None:
        """Prepare without asking the store anything yet. Raises `RequestError` where it is no address of a bucket."""
        self._bucket, self._prefix = split_address(address)
        self._access = access
        self.address = "s3://" + join(self._bucket, self._prefix)

    @property
    def gdal_env(self) -> Mapping[str, str]:
        """See `Files`."""
        return gdal_options(self._access, self._bucket)

    def list(self, path: str = "") -> list[Entry]:
        """See `Files`."""
        folder = self._full(path)
        with self._client(path) as client:
            found = client.ls(folder, detail=True)
        entries = [
            Entry(name_of(name), entry["type"] == "directory", int(entry["size"] or 0), str(entry.get("ETag") or ""))
            for entry in found
            # A marker of the folder itself, which some tools write, is no file in it.
            if (name := str(entry["name"]).rstrip("/")) != folder
        ]
        if not entries and found and found[0]["type"] != "directory" and not str(found[0]["name"]).endswith("/"):
            raise FileNotFoundError(f"no folder {self._shown(path)}")
        return sorted(entries, key=lambda entry: entry.name)

    def read(self, path: str, most: int = DOCUMENT) -> bytes:
        """See `Files`."""
        content = self.range(path, 0, most + 1)
        if len(content) > most:
            raise too_long(self._shown(path), self.size(path), most)
        return content

    def open(self, path: str) -> BinaryIO:
        """See `Files`."""
        # typeshed wants a raw stream with more than BufferedReader uses
        return cast("BinaryIO", io.BufferedReader(_Object(self, path, self.size(path)), _BLOCK))

    def gdal(self, path: str) -> str:
        """See `Files`."""
        return f"/vsis3/{self._full(path)}"

    def size(self, path: str) -> int:
        """Bytes of a file. Raises as `list` does."""
        with self._client(path) as client:
            found = client.info(self._full(path))
        if found["type"] == "directory":
            raise FileNotFoundError(f"no file {self._shown(path)}")
        return int(found["size"])

    def range(self, path: str, start: int, end: int) -> bytes:
        """The bytes of a file from ``start`` up to ``end``, or to its end. Raises as `list` does."""
        with self._client(path) as client:
            try:
                return bytes(client.cat_file(self._full(path), start=start, end=end))
            except OSError as error:
                if refusal_of(error, self._access) is Refusal.OUT_OF_RANGE:
                    return b""  # as in a file without a byte
                raise

    def _full(self, path: str) -> str:
        return join(self._bucket, self._prefix, path)

    def _shown(self, path: str) -> str:
        return f"s3://{self._full(path)}"

    @contextmanager
    def _client(self, path: str) -> Iterator[Any]:
        with archive_errors(self._shown(path), self._access):
            yield s3_client(self._access, "archive")


class _Object(io.RawIOBase):
    """One file of a bucket, read by ranges."""

    def __init__(self, bucket: BucketFiles, path: str, size: int) -> None:
        self._bucket, self._path, self._size, self._at = bucket, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "seek before the start of a file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size)
        if end <= self._at:
            return 0
        content = self._bucket.range(self._path, self._at, end)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)
