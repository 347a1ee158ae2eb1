"""Files in a bucket of an S3 object store: AWS, the Copernicus Data Space, or any other endpoint."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from catalog.errors import AccessError, RequestError, SourceError, object_store_code
from catalog.storage.credentials import S3Access, remedy
from catalog.storage.file_trees import DOCUMENT, Entry, join, name_of, too_long

_ATTEMPTS = 3
"""At one request; pauses grow to some seconds in all."""

_BLOCK = 2**16
"""Bytes asked for at once of a file that is read piece by piece."""

_REFUSALS = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "401"}
"""Refusals that aren't answered with 403."""


def split_address(address: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises `RequestError`."""
    match = re.fullmatch(r"s3://([A-Za-z0-9][A-Za-z0-9._-]+)(?:/(.*))?", address)
    if match is None:
        raise RequestError(f"{address}: a bucket's address looks like s3://bucket/prefix.")
    return match[1], (match[2] or "").strip("/")


def gdal_options(access: S3Access, bucket: str) -> dict[str, str]:
    """All options that GDAL enters a bucket with; holds secrets.

    Complete, so that nothing of another endpoint or of the environment is mixed in.
    """
    endpoint = urlsplit(access.endpoint or "https://s3.amazonaws.com")
    return {
        "AWS_S3_ENDPOINT": endpoint.netloc + endpoint.path.rstrip("/"),
        "AWS_HTTPS": "NO" if endpoint.scheme == "http" else "YES",
        # A certificate of *.s3.amazonaws.com doesn't hold for a bucket with a dot; other endpoints have no host for each bucket.
        "AWS_VIRTUAL_HOSTING": "TRUE" if access.endpoint is None and "." not in bucket else "FALSE",
        "AWS_REGION": access.region or "us-east-1",
        "AWS_NO_SIGN_REQUEST": "YES" if access.key is None else "NO",
        "AWS_ACCESS_KEY_ID": access.key.get_secret_value() if access.key else "",
        "AWS_SECRET_ACCESS_KEY": access.secret.get_secret_value() if access.secret else "",
        "AWS_SESSION_TOKEN": access.token.get_secret_value() if access.token else "",
        "AWS_REQUEST_PAYER": "requester" if access.requester_pays else "",
    }


class Bucket:
    """What lies below s3://bucket/prefix."""

    def __init__(self, address: str, access: S3Access) -> None:
        """Nothing is asked of the store yet. Raises `RequestError` where it is no address of a bucket."""
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
        with self._told(path):
            found = self._filesystem.ls(folder, detail=True)
        entries = [
            Entry(name_of(name), entry["type"] == "directory", int(entry["size"] or 0))
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
        with self._told(path):
            found = self._filesystem.info(self._full(path))
        if found["type"] == "directory":
            raise FileNotFoundError(f"no file {self._shown(path)}")
        return int(found["size"])

    def range(self, path: str, start: int, end: int) -> bytes:
        """The bytes of a file from ``start`` up to ``end``, or to its end. Raises as `list` does."""
        with self._told(path):
            try:
                return bytes(self._filesystem.cat_file(self._full(path), start=start, end=end))
            except OSError as error:
                # Nothing lies there, as in a file without a byte.
                if object_store_code(error) in ("InvalidRange", "416"):
                    return b""
                raise

    def _full(self, path: str) -> str:
        return join(self._bucket, self._prefix, path)

    def _shown(self, path: str) -> str:
        return f"s3://{self._full(path)}"

    def _is_refusal(self, error: BaseException) -> bool:
        # An answer to HEAD has no body to say that the token has expired.
        wordless = object_store_code(error) == "400" and self._access.token is not None
        return isinstance(error, PermissionError) or object_store_code(error) in _REFUSALS or wordless

    @cached_property
    def _filesystem(self) -> Any:
        import s3fs  # slow to import, and needed by buckets alone

        access = self._access
        filesystem = s3fs.S3FileSystem(
            anon=access.key is None,
            key=access.key.get_secret_value() if access.key else None,
            secret=access.secret.get_secret_value() if access.secret else None,
            token=access.token.get_secret_value() if access.token else None,
            requester_pays=access.requester_pays,
            client_kwargs={
                name: value
                for name, value in (("endpoint_url", access.endpoint), ("region_name", access.region))
                if value is not None
            },
            config_kwargs={
                "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
                "connect_timeout": 10,
                "read_timeout": 60,
            },
            use_listings_cache=False,  # a schedule would never see what is new
        )
        filesystem.retries = 2  # of what the client below it doesn't try again: a body that breaks off
        return filesystem

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """What goes wrong in the store, in this project's errors."""
        from aiohttp import ClientError
        from botocore.exceptions import BotoCoreError

        shown = self._shown(path)
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(f"no {shown}: {error}") from error
        except (OSError, BotoCoreError, ClientError) as error:
            if self._is_refusal(error):
                raise AccessError(f"{shown} may not be read: {_words(error)}. {remedy(shown)}") from error
            endpoint = self._access.endpoint or "AWS"
            raise SourceError(
                f"{shown} can't be read: {_words(error)}. Check that {endpoint} can be reached, and try again later."
            ) from error


class _Object(io.RawIOBase):
    """One file of a bucket, read by ranges."""

    def __init__(self, bucket: Bucket, path: str, size: int) -> None:
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


def _words(error: BaseException) -> str:
    code, said = object_store_code(error), str(getattr(error, "strerror", None) or error).strip().rstrip(".")
    return f"{code}: {said}" if code and code not in said else said
