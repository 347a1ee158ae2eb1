"""Limits of what may be read: seconds of one call into a library that can't be interrupted, and memory of the process that makes it.

A damaged file can keep GDAL busy for hours, or make it take all memory, and nothing in the same process can stop that. So reading is
done in a process apart (`processors.engine.apart`), which marks the calls that may hang, and is ended by the process that waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from catalog.errors import ProductError, Reason

CALLS = 256
"""Calls that are watched at once; more than there are threads that read."""

_NAME = 248
"""Bytes of a name that a mark holds."""

MARKS = CALLS * (8 + _NAME)
"""Bytes of all marks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a process that reads."""

    seconds: float
    """The longest that one call may take: to read a product's description, to open a file, to read the blocks of it that a cell needs."""
    memory: int
    """Bytes of the process."""

    def __str__(self) -> str:
        return f"{self.seconds:g} s and {self.memory / 1e9:.1f} GB"


class OverLimitError(ProductError):
    """Reading took more than is allowed (`Reason.OVER_LIMIT`), or ended the process that did it (`Reason.ENDED_PROCESS`)."""

    def __init__(self, text: str, kind: Reason = Reason.OVER_LIMIT, read: tuple[str, ...] = ()) -> None:
        """``read``: products that were being read, as marks hold their names."""
        super().__init__(text, kind)
        self.read = read

    def concerns(self, product: str) -> bool:
        """Return whether that product was being read."""
        return _clipped(product).decode(errors="replace") in self.read


def _clipped(name: str) -> bytes:
    return name.encode(errors="replace")[:_NAME]


_product: ContextVar[str] = ContextVar("product", default="")


@contextmanager
def reading(product: str) -> Iterator[None]:
    """Around all that is read of a product, in the thread that reads it: calls that are watched bear its name."""
    token = _product.set(product)
    try:
        yield
    finally:
        _product.reset(token)


class Marks:
    """Marks of the calls under way, shared with the process that watches: when each began, 0 where there is none, and of which product."""

    def __init__(self, shared: memoryview) -> None:
        """``shared``: `MARKS` bytes."""
        self._began = shared[: 8 * CALLS].cast("d")
        self._names = shared[8 * CALLS : MARKS]
        self._free = list(range(CALLS))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Mark a call for the length of a block."""
        try:
            place = self._free.pop()
        except IndexError:  # so many others are marked that one that hangs with it is
            yield
            return
        self._names[place * _NAME : (place + 1) * _NAME] = _clipped(_product.get()).ljust(_NAME, b"\0")
        self._began[place] = time.monotonic()
        try:
            yield
        finally:
            self._began[place] = 0.0
            self._free.append(place)

    def longest(self) -> float:
        """Seconds of the call that has been under way for the longest; 0 where there is none."""
        began = [start for start in self._began.tolist() if start > 0]
        return time.monotonic() - min(began) if began else 0.0

    def products(self, seconds: float = 0) -> tuple[str, ...]:
        """Products of the calls that have been under way for longer than that, in the order of their names."""
        latest = time.monotonic() - seconds
        names = {self._name(place) for place, start in enumerate(self._began.tolist()) if 0 < start < latest}
        return tuple(sorted(names - {""}))

    def _name(self, place: int) -> str:
        return bytes(self._names[place * _NAME : (place + 1) * _NAME]).rstrip(b"\0").decode(errors="replace")


class StoppedError(BaseException):
    """The process is told to end: what it does is of no use any more, and no error of what it does."""


_stopping = threading.Event()


def stop_calls() -> None:
    """From now on let no call of this process begin: what is under way comes to its end, and clears up after itself."""
    _stopping.set()


def check_stopped() -> None:
    """Raise `StoppedError` where this process is told to end. To be called by whoever waits for others."""
    if _stopping.is_set():
        raise StoppedError


_marks = Marks(memoryview(bytearray(MARKS)))
"""Those of this process; nobody looks at them where it is not one that is watched."""


def watch_calls(shared: memoryview) -> None:
    """From now on mark this process's calls where another process sees them."""
    global _marks
    _marks = Marks(shared)


@contextmanager
def uninterruptible() -> Iterator[None]:
    """Around a call that can't be interrupted and may not come back, into a library or to a disk. Raises `StoppedError` before it."""
    check_stopped()
    with _marks.call():
        yield
