"""Protocol of an engine: what it can do, wherever its workers are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from catalog.errors import WorkerError

Result = TypeVar("Result")
Item = TypeVar("Item")

DEATHS = 3
"""Workers that a task may kill before it is given up."""


class Engine(Protocol):
    """Engine that runs module-level functions with picklable arguments."""

    @property
    def workers(self) -> int:
        """Tasks that run at once, now: workers of a scheduler come and go."""

    @property
    def is_scheduler(self) -> bool:
        """Return whether somebody else started the workers and gave them their cores and GPUs."""

    @property
    def shares_files(self) -> bool:
        """Return whether workers see the files of this machine; else they share the cubes' bucket and nothing else."""

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call once, on a worker; raises what the function raises."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call for each item, several at once; results in the order of the items. Raises at the first item that failed."""

    def as_completed(
        self, function: Callable[[Item], Result], items: Iterable[Item], heard: Callable[[Any], None] | None = None
    ) -> Iterator[tuple[Item, Result]]:
        """Call for each item, as many at once as there are workers; items with their results, as they end.

        ``heard`` is called in the caller's thread with what the tasks `report`. Raises at the first item that failed; what still
        runs then learns it from `is_wanted`. Raises `TaskKilledError` where `DEATHS` workers died of an item.
        """


class TaskKilledError(WorkerError):
    """A task whose workers died, one after the other; ``item`` is what it was to do, where it was one of several."""

    def __init__(self, item: Any = None) -> None:
        super().__init__(
            "a process was killed (out of memory, or by hand). Run again to do the rest, with fewer processes if memory ran out."
        )
        self.item = item
