"""The reference ground track that all Sentinel-2 satellites keep, and where on it each has been stationed.

The orbit repeats its ground track after 143 revolutions in exactly 10 days, sun-synchronous, with the descending node at a
mean local solar time of 10:30 (ESA, Sentinel-2 User Handbook, 2015, section 1.4). The operators hold each satellite within some
kilometres of it. Since the earth turns under a sun-synchronous orbit once a day, satellites on the same track are whole days
apart, so that a satellite's place in the constellation is one integer of ten: the **day** of the cycle on which it starts
relative orbit 1. Nothing else distinguishes the three.

The figures below are derived: means over the nodes of eight published element sets of the three satellites from October 2022 to
October 2026. Those scatter by 2 km in longitude; in local time by 10 s, and by 24 s with the two sets of S2A after it left its
nominal station. So the reference predicts, for any year, what elements of that year predict to within about half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from catalog.orbits.clock import DAY

CYCLE_DAYS = 10
"""Length of the repeat cycle, days."""

CYCLE_ORBITS = 143
"""Revolutions in a cycle; relative orbits are numbered 1 to 143."""

CYCLE = CYCLE_DAYS * DAY
"""Length of the repeat cycle, s."""

FIRST_NODE = 0.993
"""Longitude of the ascending node of relative orbit 1, degrees."""

NODE_LOCAL_TIME = 22.501
"""Mean local solar time at the ascending node, h; the descending one is 12 h away."""

INCLINATION = 98.567
"""Mean inclination, degrees."""

ECCENTRICITY = 0.000114
"""Mean eccentricity of the frozen orbit; its perigee stands at 90 degrees."""

MEAN_MOTION = 14.308178
"""Revolutions a day as element sets count them (Kozai), such that the node repeats after ten days."""


@dataclass(frozen=True, slots=True)
class Station:
    """A stay of one satellite at one place of the constellation."""

    platform: str
    since: datetime
    until: datetime | None
    day: int
    """Relative orbit 1 starts on the days since 2000-01-01 UTC that leave this remainder when divided by ten."""
    note: str = ""
    """Note for its users."""

    def holds(self, time: datetime) -> bool:
        return self.since <= time and (self.until is None or time < self.until)


def _date(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


AS_OF = _date(2026, 11, 1)
"""Date of what is known of the stations; a satellite may be moved later."""

STATIONS: tuple[Station, ...] = (
    Station("S2A", _date(2015, 7, 4), _date(2025, 1, 21), 1),
    Station("S2B", _date(2017, 7, 1), None, 6),
    Station("S2C", _date(2025, 1, 21), None, 1),
    Station("S2A", _date(2025, 3, 13), None, 3, "since March 2025 S2A observes part of the land only, Europe first"),
)
"""Stations that satellites observed from. Dates as ESA announced them: the archives of 2A and 2B begin; 2C takes the place
of 2A, which then moves to 36 degrees from 2B (three days before it) for a campaign."""


def relative_orbit(node_longitude: float) -> int:
    """Number, 1 to 143, of the relative orbit whose ascending node is nearest to a longitude in degrees.

    Each revolution moves the node westward by 10/143 of a turn, so the 143 nodes are 360/143 degrees apart and the k-th
    of them west of the first belongs to revolution k / 10 modulo 143; the inverse of 10 is 43.
    """
    return 43 * (round((FIRST_NODE - node_longitude) * CYCLE_ORBITS / 360) % CYCLE_ORBITS) % CYCLE_ORBITS + 1


def node_longitude(number: int) -> float:
    """Longitude of the ascending node of a relative orbit, degrees from -180 to 180."""
    return (FIRST_NODE - (number - 1) * 360 * CYCLE_DAYS / CYCLE_ORBITS + 180) % 360 - 180


def first_node_time(day: int, local_time: float = NODE_LOCAL_TIME) -> float:
    """A time, s since J2000, at which a satellite stationed on ``day`` crosses the ascending node of relative orbit 1.

    ``local_time`` is the mean local solar time at the node, h.
    """
    hours = (local_time - FIRST_NODE / 15) % 24
    return day * DAY + (hours - 12) * 3600


def station_day(node_time: float, number: int, local_time: float) -> int:
    """The day of a satellite that crosses the node of relative orbit ``number`` at ``node_time``, s since J2000."""
    start = node_time - (number - 1) * CYCLE / CYCLE_ORBITS
    return round((start - first_node_time(0, local_time)) / DAY) % CYCLE_DAYS
