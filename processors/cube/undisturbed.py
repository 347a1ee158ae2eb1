"""Reading of cells while others write: what is read in the middle of a rewriting is read again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from catalog.errors import RewrittenError
from catalog.storage.store import CellPath
from processors.cube.claim import announced
from processors.cube.codecs import DAMAGE

Read = TypeVar("Read")

ATTEMPTS = 20
"""Times that something is read whose dates are written anew each time."""

_PAUSE = 0.2
"""Seconds between attempts."""


def undisturbed(dates: Mapping[CellPath, Collection[int]], read: Callable[[], Read]) -> Read:
    """Return what ``read`` returns when none of the dates that was whole has been taken back meanwhile; by cell, their indices.

    Whoever writes a date anew clears its flags, then says so, then writes: where the same is said before the flags were looked at
    and after the pixels were read, these were left alone. Raises `RewrittenError` where that goes on, and what ``read`` raises
    undisturbed.
    """
    before = state_of(dates)
    for _ in range(ATTEMPTS):
        error: Exception | None = None
        try:
            result = read()
        except DAMAGE as raised:  # half a shard looks damaged; what stays so is raised below
            error = raised
        after = state_of(dates)
        if after == before:
            if error is not None:
                raise error
            return result
        before = after
        time.sleep(_PAUSE)
    raise RewrittenError(f"{', '.join(map(str, dates))}: dates are written anew again and again. Run again later.")


def state_of(dates: Mapping[CellPath, Collection[int]]) -> list[str | None]:
    """What was said last of these dates: the same as long as nobody writes them anew."""
    state = []
    for path, indices in dates.items():
        said = announced(path)
        state += [said.get(str(index)) for index in indices]
    return state
