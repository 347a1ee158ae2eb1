"""An interrupt that is never lost: what a library drops is raised again when the run next says something."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """A reporter (see `Reporter`) that shows nothing, and ends the run where it was interrupted before.

    `KeyboardInterrupt` is raised wherever the flow's thread is at that moment. Where that is a callback or the end of an object, Python
    can but print it, and Prefect drops one that comes when a flow's last state is known.
    """

    def __init__(self) -> None:
        self._came = False

    def stage(self, name: str, total: int, waits_for: str) -> None:  # noqa: ARG002
        self._raise()

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:  # noqa: ARG002
        self._raise()

    def finish(self, seconds: float, outcome: str) -> None:  # noqa: ARG002
        self._raise()

    def _raise(self) -> None:
        if self._came:
            raise KeyboardInterrupt

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        self._came = True
        signal.default_int_handler(number, frame)


@contextmanager
def remembered() -> Iterator[Interruption]:
    """In this block an interrupt is remembered, where it would have raised `KeyboardInterrupt` before."""
    interruption = Interruption()
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption.handle)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def held() -> Iterator[None]:
    """In this block interrupts wait for its end. For imports: numpy's C code prints one that comes while it is loaded, and goes on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """In this block SIGTERM and SIGHUP end the command as Ctrl-C does: queues are freed, and what is half made is removed.

    Once is enough: a second one would break off that. A signal that is ignored, as with nohup, still is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: handler
        for number in (signal.SIGTERM, signal.SIGHUP)
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
