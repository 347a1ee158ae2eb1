"""Addresses of what is kept in a bucket, and what to do when the object store refuses.

What is there is always asked of the object store: listings are not remembered, since other workers write beside this one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import s3fs
from aiohttp import ClientError
from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError
from fsspec.asyn import sync

from catalog.errors import StoreError, StoreUnreachableError, object_store_code
from catalog.storage.credentials import S3Access

_UNMET = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401", "403"}


@dataclass(frozen=True, slots=True)
class BucketPath:
    """``s3://bucket/key`` with the keys to it: the little of `pathlib.Path` that cells need."""

    bucket: str
    key: str
    access: S3Access = field(default=S3Access(), repr=False)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> BucketPath:
        return BucketPath(self.bucket, f"{self.key}/{name}".lstrip("/"), self.access)

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def exists(self) -> bool:
        """True where a Zarr group is, whole: its own metadata is what is written last. Raises `StoreError`."""
        with reaching(self):
            try:
                file_system(self.access).call_s3("head_object", Bucket=self.bucket, Key=f"{self.key}/zarr.json")
            except FileNotFoundError:
                return False
        return True

    def sizes(self) -> dict[str, int]:
        """Size in bytes of each object below, by its address relative to this one. Raises `StoreError`."""
        base = f"{self.bucket}/{self.key}".rstrip("/") + "/"
        with reaching(self):
            found: dict[str, Any] = file_system(self.access).find(base, detail=True)
        return {path.removeprefix(base): int(entry["size"]) for path, entry in sorted(found.items())}

    def folders(self) -> list[BucketPath]:
        """What lies directly below and holds objects. Raises `StoreError`."""
        base = f"{self.bucket}/{self.key}".rstrip("/")
        with reaching(self):
            try:
                found: list[dict[str, Any]] = file_system(self.access).ls(base, detail=True)
            except FileNotFoundError as error:
                if object_store_code(error) == "NoSuchBucket":
                    raise
                return []
        names = [str(one["name"]).rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory"]
        return [self / name for name in sorted(names)]

    def read(self) -> tuple[bytes, str] | None:
        """An object and its ETag; None where there is none. Raises `StoreError`."""
        files = file_system(self.access)

        async def get() -> tuple[bytes, str]:
            answer = await files._call_s3("get_object", Bucket=self.bucket, Key=self.key)
            async with answer["Body"] as body:
                return await body.read(), str(answer["ETag"])

        with reaching(self):
            try:
                found: tuple[bytes, str] = sync(files.loop, get)
            except FileNotFoundError as error:
                if object_store_code(error) == "NoSuchBucket":
                    raise
                return None
        return found

    def put(self, data: bytes, **condition: str) -> str | None:
        """Write an object whole and return its ETag; None where the condition does not hold.

        ``condition``: ``IfNoneMatch="*"`` (there is none yet) or ``IfMatch=ETAG`` (it is that one still). Raises `StoreError`.
        """
        with reaching(self):
            try:
                answer: dict[str, Any] = file_system(self.access).call_s3(
                    "put_object", Bucket=self.bucket, Key=self.key, Body=data, **condition
                )
            except OSError as error:
                if condition and (object_store_code(error) in _UNMET or object_store_code(error) == "NoSuchKey"):
                    return None
                raise
        return str(answer["ETag"])


def bucket_path(address: str, access: S3Access) -> BucketPath:
    """The path of ``s3://bucket/prefix``. Raises `StoreError` where it names no bucket."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket or not address.startswith("s3://"):
        raise StoreError(f"{address}: no address in a bucket. Write s3://bucket/prefix.")
    return BucketPath(bucket, key.strip("/"), access)


@lru_cache(maxsize=32)
def file_system(access: S3Access, asynchronous: bool = False) -> s3fs.S3FileSystem:
    """One client per access and kind for this process. Without a key it uses what the machine is given, such as its role."""
    return s3fs.S3FileSystem(
        key=_revealed(access.key),
        secret=_revealed(access.secret),
        token=_revealed(access.token),
        endpoint_url=access.endpoint,
        client_kwargs={"region_name": access.region} if access.region else {},
        config_kwargs={
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"mode": "standard", "max_attempts": 3},
            "max_pool_connections": 32,
        },
        requester_pays=access.requester_pays,
        max_concurrency=1,  # one request reads an object: in parts it might be parts of two, and its size is asked for first
        use_listings_cache=False,
        skip_instance_cache=True,  # fsspec keeps one per thread, and each a pool of connections
        asynchronous=asynchronous,
    )


def _revealed(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()


@contextmanager
def reaching(path: BucketPath) -> Iterator[None]:
    """Errors of the object store become `StoreError`, with what to do next."""
    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        told = _told(path, error)
        if told is None:
            raise StoreUnreachableError(
                f"{path}: {path.access.endpoint or 'AWS'} can't be reached ({error}). Check the network, AWS_ENDPOINT_URL and "
                "AWS_REGION, and run again; what was finished is kept."
            ) from error
        raise StoreError(f"{path}: {told}") from error


def _told(path: BucketPath, error: Exception) -> str | None:
    """What is wrong and what to do; None where the object store doesn't answer."""
    code, endpoint = object_store_code(error), path.access.endpoint or "AWS"
    if code == "NoSuchBucket":
        return f"there is no bucket {path.bucket} at {endpoint}. Make it, or correct CROPLINE_CUBES."
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no keys to the object store. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    if isinstance(error, PermissionError) or code in _DENIED:
        return (
            f"{endpoint} denies access ({error}). Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and that "
            "their owner may list, read, write and delete there."
        )
    if code in _FULL or getattr(error, "errno", None) == errno.ENOSPC:
        return f"the object store is full ({error}). Free some space and run again; what was finished is kept."
    if code == "NotImplemented":
        return f"{endpoint} lacks what cubes need, puts with a condition among it ({error}). Use another object store."
    if isinstance(error, BotoCoreError | ClientError | ConnectionError | TimeoutError) or code in _BUSY:
        return None
    return f"the object store failed ({error}). Run again; what was finished is kept."
