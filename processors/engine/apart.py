"""Calls in a process apart, which is ended where it is over its limits; the process itself is `processors.engine.reading_process`.

This process has one for all its threads, so that they share its memory and what its libraries keep. Where it ends, all calls in it are
made again, each alone in a process of its own: so the one that ends every process is found, and the others lose nothing.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar
from weakref import WeakSet

import psutil

from catalog.errors import Reason, WorkerError
from processors.engine.limits import MARKS, Limits, Marks, OverLimitError, check_stopped, stop_calls

Result = TypeVar("Result")

_LOOK = 0.25
"""Seconds between looks at the process."""

_one_alone = threading.Lock()
_choosing = threading.Lock()
_common: _Apart | None = None
_under_way: WeakSet[_Apart] = WeakSet()
"""Processes apart that may be working."""


class _EndedError(Exception):
    """The process ended before it answered. ``alone``: no other call was in it."""

    def __init__(self, why: OverLimitError, *, alone: bool) -> None:
        super().__init__(str(why))
        self.why, self.alone = why, alone


def call_apart(limits: Limits, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a module-level function in the process apart. Raises what it raises, `OverLimitError` where it ends the process, and
    `StoppedError` after `stop_reading`."""
    check_stopped()
    try:
        return _common_process(limits).call(function, arguments)
    except _EndedError as ended:
        check_stopped()
        if ended.alone:
            raise ended.why from None
    with _one_alone:
        process = _Apart(limits)
        try:
            return process.call(function, arguments)
        except _EndedError as ended:
            check_stopped()
            raise ended.why from None
        finally:
            process.end()


def stop_reading() -> None:
    """Stop all calls of this process, which is about to end: they clear up after themselves, and no other is begun."""
    stop_calls()
    for process in list(_under_way):
        process.tell_to_end()


def _common_process(limits: Limits) -> _Apart:
    """This process's own; a new one where it has ended, or is of other limits or another environment."""
    global _common
    with _choosing:
        if _common is None or not _common.serves(limits):
            if _common is not None:
                _common.retire()
            _common = _Apart(limits)
        return _common


class _Apart:
    """A process that makes the calls it is sent, several at once. It ends with this one."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._environment = limits, dict(os.environ)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._sent = 0
        self._retired = False
        self._ended: OverLimitError | None = None
        here, there = socket.socketpair()
        shared = os.memfd_create("cropline-calls")
        try:
            os.ftruncate(shared, MARKS)
            self._marks = Marks(memoryview(mmap.mmap(shared, MARKS)))
            ends = there.fileno(), shared
            command = [sys.executable, "-P", "-m", "processors.engine.reading_process", *map(str, ends)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=ends, process_group=0)  # noqa: S603 - this interpreter
        except OSError as error:
            here.close()
            raise WorkerError(f"no process to read in can be started ({error}). Free some memory.") from error
        finally:
            there.close()
            os.close(shared)
        self._connection = Connection(here.detach())
        with suppress(OSError):
            self._connection.send_bytes(pickle.dumps([folder for folder in sys.path if folder]))
        threading.Thread(target=self._receive, name="cropline-apart", daemon=True).start()
        threading.Thread(target=self._watch, name="cropline-watch", daemon=True).start()
        _under_way.add(self)

    def serves(self, limits: Limits) -> bool:
        """Return whether a call within these limits and in today's environment may be sent to it."""
        return not self._ended and self._limits == limits and self._environment == dict(os.environ)

    def call(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        """Make a call. Raises what it raises, and `_EndedError`."""
        data = pickle.dumps((function, arguments))
        answer: Future[Result] = Future()
        with self._lock:
            if self._ended:
                raise _EndedError(self._ended, alone=False)
            self._sent += 1
            number = self._sent
            self._waiting[number] = answer
            with suppress(OSError):  # it has ended, and the thread that receives says so in a moment
                self._connection.send_bytes(pickle.dumps((number, data)))
        return answer.result()

    def retire(self) -> None:
        """End it as soon as nobody waits for it."""
        with self._lock:
            self._retired = True
            idle = not self._waiting
        if idle:
            self.end()

    def end(self) -> None:
        """End it now."""
        self._process.kill()

    def tell_to_end(self) -> None:
        """Have it end when what is under way has come to its next step."""
        self._process.terminate()

    def _receive(self) -> None:
        while True:
            try:
                number, failed, value = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - from its own process
            except (EOFError, OSError):
                break
            with self._lock:
                answer = self._waiting.pop(number)
                done = self._retired and not self._waiting
            if failed:
                answer.set_exception(value)
            else:
                answer.set_result(value)
            if done:
                self.end()
        code = self._process.wait()
        self._connection.close()
        with self._lock:
            if self._ended is None:
                why = f"it ended the process that read it (exit code {code})"
                self._ended = OverLimitError(why, Reason.ENDED_PROCESS, self._marks.products())
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for answer in waiting:
            answer.set_exception(_EndedError(self._ended, alone=len(waiting) == 1))

    def _watch(self) -> None:
        process = psutil.Process(self._process.pid)
        while self._process.poll() is None:
            try:
                memory = process.memory_info().rss
            except psutil.Error:
                return
            seconds = self._limits.seconds
            if self._marks.longest() > seconds:
                self._end_because(f"one reading of it took over {seconds:g} s", self._marks.products(seconds))
            elif memory > self._limits.memory:
                why = f"reading it took over {self._limits.memory / 1e9:.1f} GB of memory"
                self._end_because(why, self._marks.products())
            time.sleep(_LOOK)

    def _end_because(self, why: str, read: tuple[str, ...]) -> None:
        with self._lock:
            self._ended = OverLimitError(why, read=read)
        self.end()
