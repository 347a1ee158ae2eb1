"""Locks: of a whole cell while its time axis grows (`locked`), one of several (`one_of`), and leases that are taken over when their
holder dies.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.record_file import RecordFile
from catalog.storage.store import CellPath
from processors.cube.heartbeat import renewed
from processors.engine.limits import check_stopped

LEASE = 60.0
"""Seconds after which a lease that nobody renewed is taken over: its holder died or stands still."""

StillHeld = Callable[[], None]
"""To be called before each write under a lock. Raises `StoreError` where the lock was lost."""


class LeaseLostError(StoreError):
    """Another process took a lease over, since this one stood still for longer than it runs."""


@contextmanager
def locked(path: CellPath) -> Iterator[StillHeld]:
    """One process at a time: a lock file beside the cell, or a lock object written by puts with a condition.

    The system releases a lock file whose holder dies. A lock object is taken over when it has not changed for `LEASE`: no clock of
    one machine is compared with another's. Waits as long as it takes. Raises `StoreError`.
    """
    if isinstance(path, BucketPath):
        lease = Lease(BucketPath(path.bucket, f"{path.key}.lock", path.access))
        lease.acquire(self_check=True)
        try:
            yield lease.renew
        finally:
            lease.release()
        return
    with FileLock(f"{path}.lock"):
        yield lambda: None


@contextmanager
def one_of(locks: Sequence[CellPath]) -> Iterator[None]:
    """One holder of each of the locks at a time: whichever is free first is held while the block runs. Waits as long as it takes.

    The system frees a lock file whose holder dies, whatever it died of; a lock object is free when it has not changed for `LEASE`.
    Raises `StoreError`.
    """
    on_disk = [lock for lock in locks if isinstance(lock, Path)]
    leases = [Lease(lock) for lock in locks if not isinstance(lock, Path)]
    with ExitStack() as stack:
        while True:
            # Not all of them begin with the same.
            if any(_took(stack, lock) for lock in random.sample(on_disk, len(on_disk))):
                break
            lease = next((lease for lease in random.sample(leases, len(leases)) if lease.attempt()), None)
            if lease is not None:
                stack.callback(lease.release)
                stack.enter_context(renewed(lease))
                break
            check_stopped()
            time.sleep(random.uniform(0.1, 0.4))  # noqa: S311 - as below
        yield


def _took(stack: ExitStack, path: Path) -> bool:
    """Take a lock file for the length of a stack, unless somebody holds it."""
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise StoreError(
            f"can't write {path}: {error.strerror or error}. Free some space or check the permissions, and run again."
        ) from error
    stack.callback(lock.release)
    return True


class _Content(NamedTuple):
    """What a record says of its lease."""

    owner: str
    """Name of the holder; empty where nobody holds it."""
    number: int
    """Fencing number: rises by one with each holder."""
    process: str
    """Process of the holder, for those who can tell whether it lives."""


class Lease:
    """A record whose named owner may write. Every write of it has other content, and so another name (ETag)."""

    def __init__(
        self, record: BucketPath | RecordFile, process: str = "", has_ended: Callable[[str], bool] = lambda _: False
    ) -> None:
        """``process``: of the holder; ``has_ended`` tells of another holder's whether it surely ended."""
        self.record = record
        self.owner = uuid.uuid4().hex
        self.number = 0
        self.contested = False
        """True where it was taken from a holder that had not released it, and may come back."""
        self._process, self._has_ended = process, has_ended
        self._etag = ""
        self._written = 0.0
        self._seen, self._since = "", time.monotonic()
        """What another holder wrote last, and when it was first seen."""
        self._turn = threading.Lock()

    def acquire(self, *, seize: bool = False, self_check: bool = False) -> None:
        """Take the lease when it is free; ``seize``: from its holder. ``self_check``: find out whether conditions are obeyed."""
        while not self.attempt(seize=seize):
            check_stopped()
            time.sleep(random.uniform(0.1, 0.4))  # noqa: S311 - so that those who wait don't ask in step
        if self_check and self.number == 1:  # nobody had it before
            self._check_conditions()

    def attempt(self, *, seize: bool = False) -> bool:
        """Take the lease if it is free now. One that nobody renews gets free for those who look again and again."""
        if self._write(1, IfNoneMatch="*"):
            return True
        while (there := self.record.read()) is not None:
            content, etag = _parse(there[0]), there[1]
            if etag != self._seen:
                self._seen, self._since = etag, time.monotonic()
            # "" is a released lease; one's own name is left by an answer that got lost
            free = content.owner in ("", self.owner) or time.monotonic() - self._since > LEASE
            if not (free or seize or self._has_ended(content.process)):
                return False
            if self._write(content.number + 1, IfMatch=etag):
                self.contested = content.owner != ""
                return True
        return False

    def renew(self, at_once: bool = False) -> None:
        """Say that the holder lives, where that was not said lately or ``at_once``. Raises `LeaseLostError` where another took over."""
        with self._turn:
            if not at_once and time.monotonic() - self._written <= LEASE / 4:
                return
            if self._write(self.number, IfMatch=self._etag):
                return
            there = self.record.read()
            # One's own name is left by an answer that got lost.
            if there is None or _parse(there[0]).owner != self.owner or not self._write(self.number, IfMatch=there[1]):
                raise self.lost()

    def is_named_in(self, data: bytes) -> bool:
        """True of a record's content that says that this lease is held."""
        return _parse(data).owner == self.owner

    def release(self) -> None:
        with self._turn:
            # By the same condition: the lease may be another's by now.
            self.record.put(_text("", self.number, ""), IfMatch=self._etag)

    def lost(self) -> LeaseLostError:
        """The error of a holder that another one took over from."""
        return LeaseLostError(
            f"{self.record}: this process stood still for over {LEASE:g} s and another one took its lock. Run again."
        )

    def _write(self, number: int, **condition: str) -> bool:
        asked = time.monotonic()
        etag = self.record.put(_text(self.owner, number, self._process), **condition)
        if etag is not None:
            self._etag, self._written, self.number = etag, asked, number
        return etag is not None

    def _check_conditions(self) -> None:
        """Check, once per cell, that the object store obeys conditions: some take them and ignore them."""
        if isinstance(self.record, BucketPath) and self._write(self.number, IfNoneMatch="*"):
            raise StoreError(
                f"{self.record}: {self.record.access.endpoint or 'AWS'} ignores the conditions of puts, and two processes that extend "
                "a cell would destroy each other's dates. Use another object store, or a folder (CROPLINE_CUBES)."
            )


def _text(owner: str, number: int, process: str) -> bytes:
    return json.dumps({"owner": owner, "number": number, "process": process, "written": uuid.uuid4().hex}).encode()


def _parse(data: bytes) -> _Content:
    """What a record says; one that is damaged, or of an older version, has no holder that can be told."""
    try:
        read = json.loads(data)
        return _Content(str(read["owner"]), int(read.get("number", 0)), str(read.get("process", "")))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return _Content("", 0, "")
