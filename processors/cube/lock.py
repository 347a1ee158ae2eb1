"""The lock of a cell, held while its time axis grows: a lock file beside it, or an object in its bucket."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath

LEASE = 60.0
"""Seconds after which a lock object that nobody renewed is taken over: its holder died."""

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
        """Check, once per cell, that the object store obeys conditions: some take them and ignore them."""
        if self.path.put(_content(self._owner), IfNoneMatch="*") is not None:
            raise StoreError(
                f"{self.path}: {self.path.access.endpoint or 'AWS'} ignores the conditions of puts, and two processes that extend "
                "a cell would destroy each other's dates. Use another object store, or a folder (CROPLINE_CUBES)."
            )


def _content(owner: str) -> bytes:
    return json.dumps({"owner": owner, "written": uuid.uuid4().hex}).encode()
