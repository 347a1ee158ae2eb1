"""Addresses of what a store keeps in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog.errors import RequestError, StoreError
from catalog.storage.credentials import S3Access
from catalog.storage.refusals import Refusal, refusal_of, store_errors
from catalog.storage.s3 import s3_client, split_address


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
        with self._client() as client:
            try:
                client.call_s3("head_object", Bucket=self.bucket, Key=f"{self.key}/zarr.json")
            except FileNotFoundError:
                return False
        return True

    def sizes(self) -> dict[str, int]:
        """Size in bytes of each object below, by its address relative to this one. Raises `StoreError`."""
        return {name: int(entry["size"]) for name, entry in self._objects().items()}

    def states(self) -> dict[str, tuple[int, datetime]]:
        """Size in bytes of each object below and when it was written, by its address relative to this one. Raises `StoreError`."""
        return {name: (int(entry["size"]), entry["LastModified"]) for name, entry in self._objects().items()}

    def delete(self) -> None:
        """Delete one object, if it is there. Raises `StoreError`."""
        with self._client() as client:
            client.call_s3("delete_object", Bucket=self.bucket, Key=self.key)

    def remove(self) -> None:
        """Remove every object below, a Zarr group's own metadata first: without it there is no group. Raises `StoreError`."""
        names = sorted(self.sizes(), key=lambda name: name != "zarr.json")
        with self._client() as client:
            for part in filter(None, (names[:1], names[1:])):
                client.rm([f"{self.bucket}/{self.key}/{name}" for name in part])

    def _objects(self) -> dict[str, Any]:
        base = f"{self.bucket}/{self.key}".rstrip("/") + "/"
        with self._client() as client:
            objects: dict[str, Any] = client.find(base, detail=True)
        return {path.removeprefix(base): entry for path, entry in sorted(objects.items())}

    def folders(self) -> list[BucketPath]:
        """The addresses directly below that hold objects. Raises `StoreError`."""
        with self._client() as client:
            try:
                entries: list[dict[str, Any]] = client.ls(f"{self.bucket}/{self.key}".rstrip("/"), detail=True)
            except FileNotFoundError as error:
                if refusal_of(error, self.access) is Refusal.NO_BUCKET:
                    raise
                return []
        names = [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory"]
        return [self / name for name in sorted(names)]

    def read(self) -> tuple[bytes, str] | None:
        """An object and its ETag; None where there is none. Raises `StoreError`."""
        with self._client() as client:
            try:
                answer = client.call_s3("get_object", Bucket=self.bucket, Key=self.key)
            except FileNotFoundError as error:
                if refusal_of(error, self.access) is Refusal.NO_BUCKET:
                    raise
                return None

            from fsspec.asyn import sync  # slow to import, and needed by buckets alone

            async def content() -> bytes:
                async with answer["Body"] as body:
                    return bytes(await body.read())

            return sync(client.loop, content), str(answer["ETag"])

    def etag(self) -> str | None:
        """The ETag of an object; None where there is none. Raises `StoreError`."""
        answer = self._head()
        return str(answer["ETag"]) if answer else None

    def size(self) -> int | None:
        """Bytes of an object; None where there is none. Raises `StoreError`."""
        answer = self._head()
        return int(answer["ContentLength"]) if answer else None

    def _head(self) -> dict[str, Any]:
        """What the bucket says of an object; empty where there is none."""
        with self._client() as client:
            try:
                answer: dict[str, Any] = client.call_s3("head_object", Bucket=self.bucket, Key=self.key)
            except FileNotFoundError:
                return {}
        return answer

    def put(self, data: bytes, **condition: str) -> str | None:
        """Write an object whole and return its ETag; None where the condition does not hold.

        ``condition``: ``IfNoneMatch="*"`` (there is none yet) or ``IfMatch=ETAG`` (it is that one still). Raises `StoreError`.
        """
        with self._client() as client:
            try:
                answer = client.call_s3("put_object", Bucket=self.bucket, Key=self.key, Body=data, **condition)
            except OSError as error:
                if condition and refusal_of(error, self.access) in (Refusal.UNMET, Refusal.MISSING):
                    return None
                raise
        return str(answer["ETag"])

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with store_errors(str(self), self.access):
            yield s3_client(self.access, "store")


def bucket_path(address: str, access: S3Access) -> BucketPath:
    """The path of ``s3://bucket/prefix``. Raises `StoreError` where it names no bucket."""
    try:
        return BucketPath(*split_address(address), access)
    except RequestError as error:
        raise StoreError(f"{address}: no address in a bucket. Write s3://bucket/prefix.") from error
