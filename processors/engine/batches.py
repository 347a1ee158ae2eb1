"""Work on many items, a few at a time: memory doesn't grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from processors.engine.protocol import Engine

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 8
"""Items that exist at once."""


def in_batches(engine: Engine, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items, computed `IN_FLIGHT` at a time and only as they are asked for."""
    remaining = iter(items)
    while batch := list(islice(remaining, IN_FLIGHT)):
        yield from engine.map(function, batch)
