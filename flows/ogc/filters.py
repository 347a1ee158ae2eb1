"""The query of a job list: which jobs are wanted, by the names that the standard gives its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog.errors import RequestError
from catalog.guards.numbers import utc_time
from catalog.quoting import shown

STATUSES = ("accepted", "running", "successful", "failed", "dismissed")
_LONGEST = 1e9  # s, thirty years

LAST_OFFSET = 1_000_000_000
"""Most jobs that a list may pass over."""

MOST_NAMES = 100
"""Most names that one parameter may list."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What is asked of jobs; None and nothing: anything."""

    statuses: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    shortest: float | None = None
    """Seconds."""
    longest: float | None = None

    @property
    def looks_at_times(self) -> bool:
        """Whether each run has to be looked at: Prefect can't be asked for it."""
        return any(value is not None for value in (self.since, self.until, self.shortest, self.longest))

    def takes(self, run: Mapping[str, Any], now: datetime) -> bool:
        """Return whether a run was created in the time that is asked for, and took, or takes, as long."""
        created = datetime.fromisoformat(run["created"])
        if (self.since and created < self.since) or (self.until and created > self.until):
            return False
        if self.shortest is None and self.longest is None:
            return True
        if not run["start_time"]:
            return False
        ended = datetime.fromisoformat(run["end_time"]) if run["end_time"] else now
        seconds = (ended - datetime.fromisoformat(run["start_time"])).total_seconds()
        return (self.shortest or 0) <= seconds <= (_LONGEST if self.longest is None else self.longest)


def read_filter(query: Mapping[str, str]) -> JobFilter:
    """Read the query of a job list. Raises `RequestError` on a value that can't be understood."""
    statuses = _names(query, "status")
    for status in statuses:
        if status not in STATUSES:
            raise RequestError(f"status: {shown(status)} is none of {', '.join(STATUSES)}.")
    for kind in _names(query, "type"):
        if kind != "process":
            raise RequestError(f"type: {shown(kind)} is not here; all jobs are of the type process.")
    shortest, longest = _seconds(query, "minDuration"), _seconds(query, "maxDuration")
    if not statuses and (shortest is not None or longest is not None):
        statuses = ("running", "successful", "failed", "dismissed")
    since, until = _interval(query.get("datetime"))
    return JobFilter(statuses, _names(query, "processID"), since, until, shortest, longest)


def _names(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The names that a parameter lists, each once."""
    names = [part for part in (part.strip() for part in query.get(name, "").split(",")) if part]
    if len(names) > MOST_NAMES:
        raise RequestError(f"{name}: {len(names):,} names, more than {MOST_NAMES}. List each that is wanted once.")
    return tuple(dict.fromkeys(names))


def _seconds(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST:
        raise RequestError(f"{name}: {shown(text)} is no number of seconds.")
    return seconds


def _interval(text: str | None) -> tuple[datetime | None, datetime | None]:
    """First and last moment of a time, a day, or an interval ``from/to`` of which one end may be open (``..``)."""
    if text is None:
        return None, None
    first, slash, last = text.partition("/")
    since, until = _moment(first, end=False), _moment(last if slash else first, end=True)
    if since is None and until is None:
        raise RequestError(f"datetime: {shown(text)} has no end. Give such as 2026-05-01, or 2026-05-01/..")
    return since, until


def _moment(text: str, *, end: bool) -> datetime | None:
    if text in ("", ".."):
        return None
    time = utc_time(text)
    if time is None:
        raise RequestError(f"datetime: {shown(text)} is no time such as 2026-05-01 or 2026-05-01T12:00:00Z.")
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    if end and "T" not in text.upper():
        return time + timedelta(days=1) - timedelta(microseconds=1)
    return time
