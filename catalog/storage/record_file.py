"""Small files that are written on a condition, as objects of a bucket are: whoever finds another content than it knows writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from catalog.errors import StoreError
from catalog.storage.system_errors import refusal

_POLL = 0.002
"""Seconds between two looks at a gate: it is held for the writing of a few small files."""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file with `read` and `put` of `BucketPath`. All records of a folder share a gate, which the system opens when its holder dies."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> tuple[bytes, str] | None:
        """The content and what names it; None where there is no file. Raises `StoreError`."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path} can't be read: {refusal(error)}.") from error
        return data, _name(data)

    def put(self, data: bytes, **condition: str) -> str | None:
        """Write the file whole and return what names its content; None where the condition does not hold.

        ``condition``: ``IfNoneMatch="*"`` (there is none yet) or ``IfMatch=NAME`` (it is that one still). Raises `StoreError`.
        """
        with self.gate():
            there = self.read() if condition else None
            if "IfNoneMatch" in condition and there is not None:
                return None
            if "IfMatch" in condition and (there is None or there[1] != condition["IfMatch"]):
                return None
            temporary = self.path.with_suffix(".new")  # of whoever holds the gate
            temporary.write_bytes(data)
            temporary.replace(self.path)
        return _name(data)

    @contextmanager
    def gate(self) -> Iterator[None]:
        """Keep all others from putting for as long as the block runs. Raises `StoreError` for each `OSError`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.parent / "gate.lock", poll_interval=_POLL):
                yield
        except OSError as error:
            raise StoreError(f"can't write {self.path.parent}: {refusal(error, self.path)}, and run again.") from error


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
