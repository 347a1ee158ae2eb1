"""Time as the orbit's arithmetic has it: seconds since 2000-01-01 12:00 UTC, no leap second inside the mission's life but one.

UTC stands in for UT1: they differ by less than 0.9 s, which moves a ground track by less than 0.5 km at the equator.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)

DAY = 86400.0


def seconds_of(time: datetime) -> float:
    """Seconds since J2000 of an aware time."""
    return (time - J2000).total_seconds()


def time_of(seconds: float) -> datetime:
    """The inverse of `seconds_of`, UTC, to the millisecond."""
    return J2000 + timedelta(milliseconds=round(seconds * 1000))
