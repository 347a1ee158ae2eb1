"""The claim of a date of a cell: one writer at a time fills it, and whoever lost its claim writes nothing more.

A claim is a lease with a record beside the cell, renewed by a thread while the work goes on. On disk what is written comes into
its place while the record's gate is shut and its content is looked at, so that nobody can take over in between: a writer that stood
still changes nothing. In a bucket each object is put on the condition that it is still the one that this writer found or made while
it had the claim. What that leaves: a writer that stands still for the length of a lease between this look and its put gets an object
through where its successor left things as they were, bit by bit: put the very same object, or none where a slab has no data at all.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from catalog.storage.bucket_path import BucketPath
from catalog.storage.holding import held, is_left
from catalog.storage.record_file import RecordFile
from catalog.storage.store import CellPath
from processors.cube.heartbeat import renewed
from processors.cube.lock import Lease
from processors.cube.process_life import process_has_ended, process_in

_PROCESSES = ".writers"
_REWRITTEN = "rewritten.lock"
_ASIDE = re.compile(r"\d+-[0-9a-f]+")
"""Names of the folders in which dates are written beside their cell."""


class Claim:
    """The right to write one date of one cell."""

    def __init__(self, path: CellPath, index: int) -> None:
        self.path, self.index = path, index
        record = _record(path, f"{index}.lock")
        if isinstance(path, Path):
            folder = path.parent / _PROCESSES
            self._lease = Lease(record, process_in(folder), lambda process: process_has_ended(folder, process))
        else:
            self._lease = Lease(record)
        self._making, self._aside = threading.Lock(), ExitStack()
        self._known: dict[str, str | None] = {}
        """Names (ETags) of the objects that this writer found or made; None where there is none."""

    @property
    def number(self) -> int:
        """Fencing number: rises with each holder."""
        return self._lease.number

    @property
    def contested(self) -> bool:
        """True where another writer had it that may come back."""
        return self._lease.contested

    def take(self, *, seize: bool = False) -> None:
        """Wait for the claim and take it; ``seize``: from whoever holds it. Raises `StoreError`."""
        self._lease.acquire(seize=seize)
        if isinstance(self.path, Path) and self.contested:  # the other one may have left something
            for left in _beside(self.path).glob(f"{self.index}-*"):
                shutil.rmtree(left, ignore_errors=True)

    def renew(self, at_once: bool = False) -> None:
        """Say that this writer lives, where that was not said lately or ``at_once``. Raises `LeaseLostError`."""
        self._lease.renew(at_once)

    def release(self) -> None:
        self._aside.close()
        self._lease.release()

    def aside(self) -> Path:
        """The folder for what is not in its place yet, on disk; there until the claim is released, and held by this process."""
        folder = _beside(Path(str(self.path))) / f"{self.index}-{self._lease.owner}"
        with self._making:
            if not folder.exists():
                self._aside.enter_context(made_aside(folder))
        return folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """On disk nobody takes over while the block runs; in a bucket, the claim is held when it begins. Raises `LeaseLostError`."""
        record = self._lease.record
        if not isinstance(record, RecordFile):
            self.renew(at_once=True)
            yield
            return
        with record.gate():
            there = record.read()
            if there is None or not self._lease.is_named_in(there[0]):
                raise self._lease.lost()
            yield

    def find(self, place: BucketPath) -> bool:
        """Look what is in a place, unless it is known; to be followed by `renew`. Whether anything is. Raises `StoreError`."""
        if place.key not in self._known:
            self._known[place.key] = place.etag()
        return self._known[place.key] is not None

    def find_all(self, places: Iterable[BucketPath], pool: ThreadPoolExecutor) -> None:
        """Look what is in places. Who took nothing over supposes that nothing is: if something is, its put will tell.

        Raises `LeaseLostError`, `StoreError`.
        """
        unknown = [place for place in places if place.key not in self._known]
        if not self.contested:
            self._known |= {place.key: None for place in unknown}
        elif unknown:
            list(pool.map(self.find, unknown))
            self.renew(at_once=True)

    def put(self, place: BucketPath, data: bytes) -> None:
        """Put an object in the place of the one that this writer found or made. Raises `LeaseLostError`, `StoreError`."""
        while True:
            known = self._known[place.key]
            etag = place.put(data, **({"IfNoneMatch": "*"} if known is None else {"IfMatch": known}))
            if etag is not None:
                self._known[place.key] = etag
                return
            # Another writer's, or what the one before put at last.
            del self._known[place.key]
            self.find(place)
            self.renew(at_once=True)


@contextmanager
def made_aside(folder: Path) -> Iterator[None]:
    """Make a folder that is held by this process until the block ends, and gone then."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def claimed(dates: Iterable[tuple[CellPath, int]]) -> Iterator[list[Claim]]:
    """Take the claims of dates of cells, all in one order for every process, and keep them. Waits as long as it takes.

    Raises `StoreError`.
    """
    claims = [Claim(path, index) for path, index in sorted(dates, key=lambda date: (str(date[0]), date[1]))]
    with ExitStack() as stack:
        for claim in claims:
            claim.take()
            stack.callback(claim.release)
            stack.enter_context(renewed(claim))
        yield claims


@contextmanager
def seized(path: CellPath, index: int) -> Iterator[Claim]:
    """Take a claim from whoever holds it, for a moment: what it is filled with is of no use any more."""
    claim = Claim(path, index)
    claim.take(seize=True)
    try:
        yield claim
    finally:
        claim.release()


def announce(path: CellPath, index: int) -> None:
    """Say that a date that was whole is about to be written anew, after its flags were cleared: see `undisturbed`."""
    record = _record(path, _REWRITTEN)
    while True:
        there = record.read()
        listed = _parse(there) | {str(index): uuid.uuid4().hex}
        condition = {"IfNoneMatch": "*"} if there is None else {"IfMatch": there[1]}
        if record.put(json.dumps(listed).encode(), **condition) is not None:
            return


def announced(path: CellPath) -> dict[str, str]:
    """What `announce` said last of each date of a cell, by its index; nothing of dates that were written once."""
    return _parse(_record(path, _REWRITTEN).read())


def forget_claims(path: CellPath) -> None:
    """Remove the records beside a cell that is removed. Raises `StoreError`."""
    if isinstance(path, BucketPath):
        BucketPath(path.bucket, f"{path.key}.claims", path.access).remove()
    else:
        shutil.rmtree(_beside(path), ignore_errors=True)


def left_beside(cell: Path) -> list[Path]:
    """What killed processes left beside a cell of what they wrote into it, sorted."""
    return [path for path in sorted(_beside(cell).glob("*-*")) if _ASIDE.fullmatch(path.name) and is_left(path)]


def forget_dead_writers(folder: Path) -> None:
    """Remove the lock files of processes that wrote into the cells of a folder, and have ended."""
    for file in (folder / _PROCESSES).glob("*.lock"):
        process_has_ended(folder / _PROCESSES, file.stem)


def _parse(there: tuple[bytes, str] | None) -> dict[str, str]:
    try:
        listed = json.loads(there[0]) if there is not None else {}
    except ValueError:  # damaged: another one is written in its place
        return {}
    return {str(name): str(value) for name, value in listed.items()} if isinstance(listed, dict) else {}


def _record(path: CellPath, name: str) -> BucketPath | RecordFile:
    if isinstance(path, BucketPath):
        return BucketPath(path.bucket, f"{path.key}.claims/{name}", path.access)
    return RecordFile(_beside(path) / name)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.claims")
