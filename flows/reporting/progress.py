"""Progress of a run in the terminal: the stage, how much of it is done, and what it waits for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

LINE_PAUSE = 5.0
"""Least seconds between two plain lines of one stage."""


class Reporter(Protocol):
    """Receiver of what stages report. Called from the flow's thread only."""

    def stage(self, name: str, total: int, waits_for: str) -> None:
        """Begin a stage of ``total`` steps, waiting for ``waits_for``."""

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        """Report ``done`` steps of the stage as over; ``total`` and ``waits_for`` where these are known better now."""

    def finish(self, seconds: float, outcome: str) -> None:
        """End the stage; ``outcome`` says what came of it."""


class Advance(Protocol):
    """Callback that gets how many steps of a stage are done, of how many, and what it waits for now."""

    def __call__(self, done: int, total: int | None = None, waits_for: str | None = None, /) -> None: ...


@dataclass
class Step:
    """A stage under way."""

    advance: Advance
    outcome: str = "done"
    seconds: float = 0.0


@contextmanager
def step(reporter: Reporter, name: str, waits_for: str, total: int = 1) -> Iterator[Step]:
    """Report one stage of ``total`` steps: its begin, and its end with the outcome that is set and the seconds it took."""
    start = time.monotonic()
    reporter.stage(name, total, waits_for)
    under_way = Step(reporter.advance)
    yield under_way
    under_way.seconds = time.monotonic() - start
    reporter.finish(under_way.seconds, under_way.outcome)


class Several:
    """Reporter that hands everything to each of several reporters."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def stage(self, name: str, total: int, waits_for: str) -> None:
        for reporter in self._reporters:
            reporter.stage(name, total, waits_for)

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        for reporter in self._reporters:
            reporter.advance(done, total, waits_for)

    def finish(self, seconds: float, outcome: str) -> None:
        for reporter in self._reporters:
            reporter.finish(seconds, outcome)


def pace(per_second: float, left: float) -> str:
    """Pace in words, such as ``12 a minute, 8 min left``."""
    seconds = left / per_second
    rest = (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.0f} h"
    )
    return f"{60 * per_second:.3g} a minute, {rest} left"


class Lines:
    """Plain lines, where nobody watches a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._name, self._waits_for, self._total, self._reported = "", "", 0, 0.0
        self._first: tuple[float, int] | None = None

    def stage(self, name: str, total: int, waits_for: str) -> None:
        self._name, self._waits_for, self._total, self._reported = name, waits_for, total, time.monotonic()
        self._first = None
        self._line(f"{name}: waiting for {waits_for}" if total <= 1 else f"{name}: 0/{total}, waiting for {waits_for}")

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        self._waits_for = waits_for or self._waits_for
        self._total, now = total or self._total, time.monotonic()
        # What was there before counts for the first step, not for the pace.
        self._first = began, before = self._first or (now, done)
        if self._total <= 1 or now - self._reported < LINE_PAUSE:
            return
        self._reported = now
        rate = f", {pace((done - before) / (now - began), self._total - done)}" if before < done < self._total else ""
        self._line(f"{self._name}: {done}/{self._total}, waiting for {self._waits_for}{rate}")

    def finish(self, seconds: float, outcome: str) -> None:
        self._line(f"{self._name}: {outcome} ({seconds:.1f} s)")

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class _Pace(ProgressColumn):
    """Pace of a stage of several steps, and the time that it still takes."""

    def render(self, task: Task) -> Text:
        if task.finished or not task.speed or not task.total:
            return Text("")
        return Text(f"· {pace(task.speed, task.total - task.completed)}")


class Bars:
    """One bar per stage in a terminal, redrawn in place."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.fields[stage]:<9}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            _Pace(),
            console=console,
            speed_estimate_period=600,
            get_time=clock,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def stage(self, name: str, total: int, waits_for: str) -> None:
        if self._task is not None and not self.progress.tasks[self._task].finished:
            self.finish(0, "done")
        self._task = self.progress.add_task(f"waiting for {waits_for}", total=max(1, total), stage=name)

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        if self._task is None:
            return
        description = None if waits_for is None else f"waiting for {waits_for}"
        self.progress.update(self._task, completed=done, total=total, description=description)

    def finish(self, seconds: float, outcome: str) -> None:  # noqa: ARG002 - the bar shows its own clock
        if self._task is None:
            return
        total = self.progress.tasks[self._task].total
        self.progress.update(self._task, completed=total, description=outcome)


@contextmanager
def terminal() -> Iterator[Reporter]:
    """Bars on standard error where that is a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Bars(console) as bars:
        yield bars


@contextmanager
def terminal_step(name: str, waits_for: str, total: int = 1) -> Iterator[Step]:
    """Report one stage in the terminal: the work of a command that is no flow."""
    with terminal() as reporter, step(reporter, name, waits_for, total) as under_way:
        yield under_way
