"""Progress of a run in the terminal: the stage, how much of it is done, and what it waits for."""

from __future__ import annotations

import sys
import time
from collections import deque
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

LOG_PAUSE = 30.0
"""The same in a log."""


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


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """A number of things in words; ``nouns``: the plural where an s alone doesn't make it."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


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


class Rate:
    """How many steps are done a second, measured over the last of them.

    What an earlier run left is passed in no time: it must not count for long.
    """

    WINDOW = 30.0
    """Seconds that are looked back."""

    LEAST = 4
    """Samples that are kept however old they are: of steps that take minutes."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """Take note that so many steps are done now."""
        self._samples.append((now, done))
        while len(self._samples) > self.LEAST and self._samples[1][0] <= now - self.WINDOW:
            self._samples.popleft()

    def per_second(self) -> float | None:
        """None where too little is known."""
        if not self._samples:
            return None
        (began, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - began) if done > before and now > began else None


class Lines:
    """Plain lines, where nobody watches a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._name, self._waits_for, self._total, self._reported = "", "", 0, 0.0
        self._rate = Rate()

    def stage(self, name: str, total: int, waits_for: str) -> None:
        self._name, self._waits_for, self._total, self._reported = name, waits_for, total, time.monotonic()
        self._rate = Rate()
        self._begin()

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        self._waits_for = waits_for or self._waits_for
        self._total, now = total or self._total, time.monotonic()
        self._rate.add(now, done)
        if self._total <= 1 or now - self._reported < self._pause():
            return
        self._reported = now
        speed = self._rate.per_second()
        rate = f", {pace(speed, self._total - done)}" if speed and done < self._total else ""
        self._line(f"{self._name}: {done}/{self._total}, waiting for {self._waits_for}{rate}")

    def finish(self, seconds: float, outcome: str) -> None:
        self._line(f"{self._name}: {outcome} ({seconds:.1f} s)")

    def _pause(self) -> float:
        return LINE_PAUSE

    def _begin(self) -> None:
        count = f"0/{self._total}, " if self._total > 1 else ""
        self._line(f"{self._name}: {count}waiting for {self._waits_for}")

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class LogLines(Lines):
    """Lines of a log: one a stage when it ends, and one every half minute while it lasts."""

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__()
        self._log = log

    def _pause(self) -> float:
        return LOG_PAUSE

    def _begin(self) -> None:
        pass

    def _line(self, text: str) -> None:
        self._log(text)


class _Pace(ProgressColumn):
    """Pace of a stage of several steps, and the time that it still takes."""

    def render(self, task: Task) -> Text:
        speed = task.fields.get("speed")
        if task.finished or not speed or not task.total:
            return Text("")
        return Text(f"· {pace(speed, task.total - task.completed)}")


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
            get_time=clock,
        )
        self._clock = clock
        self._rate = Rate()
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
        self._rate = Rate()
        self._task = self.progress.add_task(f"waiting for {waits_for}", total=max(1, total), stage=name)

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        if self._task is None:
            return
        description = None if waits_for is None else f"waiting for {waits_for}"
        self._rate.add(self._clock(), done)
        speed = self._rate.per_second()
        self.progress.update(self._task, completed=done, total=total, description=description, speed=speed)

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
