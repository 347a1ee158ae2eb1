"""Messages from a running task to whoever waits for it, and its way to learn that nobody waits any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_LISTENER: ContextVar[Callable[[Any], None]] = ContextVar("listener", default=lambda word: None)  # noqa: ARG005
_WANTED: ContextVar[Callable[[], bool]] = ContextVar("wanted", default=lambda: True)


def report(word: Any) -> None:
    """Send a word (a number, a text) to the caller of `Engine.as_completed`. Elsewhere nobody hears it."""
    _LISTENER.get()(word)


def is_wanted() -> bool:
    """Return whether anybody still waits for this task's result: if not, it may end at the next good moment."""
    return _WANTED.get()()


@contextmanager
def listening(listener: Callable[[Any], None], wanted: Callable[[], bool]) -> Iterator[None]:
    """Set, around a task, where its words go and who knows whether it is wanted."""
    tokens = _LISTENER.set(listener), _WANTED.set(wanted)
    try:
        yield
    finally:
        _LISTENER.reset(tokens[0])
        _WANTED.reset(tokens[1])
