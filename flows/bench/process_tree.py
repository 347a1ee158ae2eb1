"""A command and all that it starts, looked at from outside: memory, and bytes read and written, by what it is at."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

_PAUSE = 0.25
"""Seconds between two looks."""


@dataclass(slots=True)
class Usage:
    """Of all processes together."""

    peak_bytes: int = 0
    """Memory, where a page that several share counts once."""
    read_bytes: int = 0
    written_bytes: int = 0
    """Asked of files, sockets and pipes, whether from a disk or the system's cache."""


class ProcessTree:
    """Watches a process and its children while its context is open. `usage` is by what ``at`` says they are at."""

    def __init__(self, process: int, at: Callable[[], str]) -> None:
        self._root = psutil.Process(process)
        self._at = at
        self._counted = 0, 0
        self._over = threading.Event()
        self._looks = 0
        self._looked = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="cropline-tree", daemon=True)
        self.usage: dict[str, Usage] = defaultdict(Usage)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def wait_for_looks(self, count: int) -> None:
        """Return when it has looked so many times more."""
        with self._looked:
            until = self._looks + count
            self._looked.wait_for(lambda: self._looks >= until)

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE):
            self._look()
            with self._looked:
                self._looks += 1
                self._looked.notify_all()

    def _look(self) -> None:
        now, memory, read, written = self.usage[self._at()], 0, 0, 0
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return  # it has ended
        for process in processes:
            try:
                memory += _memory(process)
                counters = process.io_counters()
            except psutil.Error:
                continue  # this one has: its parent's bytes hold its own by now
            read, written = read + counters.read_chars, written + counters.write_chars
        now.peak_bytes = max(now.peak_bytes, memory)
        counted = max(read, self._counted[0]), max(written, self._counted[1])
        now.read_bytes += counted[0] - self._counted[0]
        now.written_bytes += counted[1] - self._counted[1]
        self._counted = counted


def _memory(process: psutil.Process) -> int:
    found: int = process.memory_full_info().pss
    return found
