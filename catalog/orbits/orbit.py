"""Positions of a satellite: SGP4 from its elements, turned into the earth's frame, with dates folded by whole repeat cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
from sgp4.api import SGP4_ERRORS, WGS72, Satrec

from catalog.errors import RequestError
from catalog.orbits.clock import DAY, seconds_of
from catalog.orbits.elements import JULIAN_2000, Elements
from catalog.orbits.reference_track import (
    CYCLE,
    ECCENTRICITY,
    FIRST_NODE,
    INCLINATION,
    MEAN_MOTION,
    NODE_LOCAL_TIME,
    STATIONS,
    Station,
    first_node_time,
    node_longitude,
    relative_orbit,
    station_day,
)

Floats = npt.NDArray[np.float64]

_DAYS_1950 = 18263.5  # from the epoch that sgp4init counts from, 1949-12-31 00:00, to J2000

_TRACK_TOLERANCE = 0.15
"""Greatest distance of a node from the reference's, degrees; 16 km at the equator, an eighth of the way to the next track."""

_LOCAL_TIME_TOLERANCE = 0.05
"""Greatest difference of the node's local time from the reference's, h."""

_MOTION_TOLERANCE = 5e-4
"""Greatest difference of the mean motion from the reference's, revolutions a day; more is a satellite on its way elsewhere."""


@dataclass(frozen=True, slots=True)
class Node:
    """The crossing of the equator northward that starts a revolution."""

    time: float
    """Time in s since J2000."""
    longitude: float
    """Degrees, -180 to 180."""

    @property
    def relative_orbit(self) -> int:
        return relative_orbit(self.longitude)

    @property
    def local_time(self) -> float:
        """Mean local solar time, h."""
        return ((self.time / 3600 + 12) + self.longitude / 15) % 24

    @property
    def offset(self) -> float:
        """Offset in degrees east of the reference's node."""
        return (self.longitude - node_longitude(self.relative_orbit) + 180) % 360 - 180


@dataclass(frozen=True)
class Orbit:
    """The path of one satellite in the earth's frame, for any time, as far as its elements carry.

    The satellites keep their ground track, so a time far from the elements' epoch is folded to within five days of it by whole
    repeat cycles. Plain propagation over months would miss by days.
    """

    elements: Elements

    def positions(self, seconds: Floats) -> Floats:
        """Earth-fixed positions (N, 3), km, at times (N,) in s since J2000.

        The true equator frame of SGP4 is turned by Greenwich mean sidereal time only (IAU 1982; Vallado et al., 2006, "Revisiting
        Spacetrack Report #3"): polar motion (15 m) and UT1 - UTC (0.4 km) are left out, which is below the some kilometres within
        which elements and reference track agree anyway.
        """
        epoch = self.elements.epoch_seconds
        folded = epoch + (seconds - epoch + CYCLE / 2) % CYCLE - CYCLE / 2
        days = folded / DAY
        errors, position, _ = self.elements.satrec.sgp4_array(np.full(days.shape, JULIAN_2000), days)
        if errors.any():
            reason = SGP4_ERRORS[int(errors.max())]
            raise RequestError(
                f"{self.elements.origin}: these elements can't be propagated: {reason}. Use another set."
            )
        angle = sidereal_angle(folded)
        cos, sin = np.cos(angle), np.sin(angle)
        x, y, z = position.T
        return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=1)

    @cached_property
    def node(self) -> Node:
        """The first ascending node after the epoch (or up to ten minutes before it)."""
        times = self.elements.epoch_seconds + np.arange(-600.0, 6400.0, 10.0)
        positions = self.positions(times)
        return nodes(times, positions)[0]

    @property
    def day(self) -> int:
        """The day of its station in the constellation, 0 to 9."""
        return station_day(self.node.time, self.node.relative_orbit, self.node.local_time)

    @property
    def on_reference(self) -> bool:
        """True where it flies the reference ground track, so that it repeats and dates may be folded."""
        late = (self.node.local_time - NODE_LOCAL_TIME + 12) % 24 - 12
        motion = self.elements.satrec.no_kozai * 1440 / (2 * np.pi)
        return bool(
            abs(self.node.offset) <= _TRACK_TOLERANCE
            and abs(late) <= _LOCAL_TIME_TOLERANCE
            and abs(motion - MEAN_MOTION) <= _MOTION_TOLERANCE
        )


@dataclass(frozen=True)
class Flight:
    """A satellite's orbit and the time for which it may be used."""

    orbit: Orbit
    start: datetime
    end: datetime
    """End, exclusive."""
    station: Station
    """Station in the constellation meanwhile."""

    @property
    def platform(self) -> str:
        return self.orbit.elements.platform


def sidereal_angle(seconds: Floats) -> Floats:
    """Greenwich mean sidereal time, radians, at s since J2000 (IAU 1982, UTC for UT1)."""
    centuries = seconds / (36525 * DAY)
    turned = (
        67310.54841 + (876600 * 3600 + 8640184.812866) * centuries + 0.093104 * centuries**2 - 6.2e-6 * centuries**3
    )
    angle: Floats = np.radians(turned / 240 % 360)
    return angle


def nodes(seconds: Floats, positions: Floats) -> list[Node]:
    """The ascending nodes along a path sampled every few seconds: times (N,), earth-fixed positions (N, 3)."""
    z = positions[:, 2]
    before = np.flatnonzero((z[:-1] < 0) & (z[1:] >= 0))
    share = z[before] / (z[before] - z[before + 1])
    at = positions[before] + share[:, None] * (positions[before + 1] - positions[before])
    times = seconds[before] + share * (seconds[before + 1] - seconds[before])
    longitudes = np.degrees(np.arctan2(at[:, 1], at[:, 0]))
    return [Node(float(time), float(longitude)) for time, longitude in zip(times, longitudes, strict=True)]


@cache
def reference_orbit(platform: str, day: int) -> Orbit:
    """The orbit of a satellite that flies the reference track exactly, stationed on ``day`` of the cycle."""
    # Any cycle will do, for dates are folded.
    time = first_node_time(day + 9000)
    late, east = 0.0, 0.0
    for _ in range(2):
        # SGP4 adds the periodic terms of the oblate earth to mean elements: take their effect on the node back out.
        orbit = _at_node(platform, time - late, FIRST_NODE - east)
        late += orbit.node.time - time
        east += orbit.node.longitude - FIRST_NODE
    return _at_node(platform, time - late, FIRST_NODE - east)


def _at_node(platform: str, time: float, longitude: float) -> Orbit:
    """An orbit whose mean elements are at the ascending node at a time, s since J2000, and a longitude, degrees."""
    ascension = float(sidereal_angle(np.array(time))) + np.radians(longitude)
    # The frozen orbit's perigee lies at 90 degrees, so the node at -90; the mean anomaly differs by 2 e (Kepler).
    anomaly = -np.pi / 2 + 2 * ECCENTRICITY
    satrec = Satrec()
    satrec.sgp4init(
        WGS72, "i", 0, time / DAY + _DAYS_1950, 0.0, 0.0, 0.0, ECCENTRICITY, np.pi / 2, np.radians(INCLINATION),
        anomaly % (2 * np.pi), MEAN_MOTION * 2 * np.pi / 1440, ascension % (2 * np.pi),
    )  # fmt: skip
    return Orbit(Elements(platform, satrec, "reference orbit"))


def flights(start: datetime, end: datetime, elements: Sequence[Elements] = ()) -> list[Flight]:
    """Flights between two times, by station: satellite and orbit.

    A platform that ``elements`` has sets of flies by the nearest of those that apply, the others by the reference orbit. Raises
    `RequestError` where nobody flew, and where a platform has sets but none that applies.
    """
    found = []
    for station in STATIONS:
        first = max(start, station.since)
        last = end if station.until is None else min(end, station.until)
        if first < last:
            sets = [Orbit(one) for one in elements if one.platform == station.platform]
            orbit = _nearest(sets, station, first, last) if sets else reference_orbit(station.platform, station.day)
            found.append(Flight(orbit, first, last, station))
    if not found:
        raise RequestError(
            f"no Sentinel-2 satellite observed between {start:%Y-%m-%d} and {end:%Y-%m-%d}: the first began on "
            f"{min(station.since for station in STATIONS):%Y-%m-%d}. Give a later start."
        )
    return found


def _nearest(sets: list[Orbit], station: Station, first: datetime, last: datetime) -> Orbit:
    middle = seconds_of(first + (last - first) / 2)
    reasons = []
    for orbit in sorted(sets, key=lambda orbit: abs(orbit.elements.epoch_seconds - middle)):
        reason = _why_not(orbit, station, first, last)
        if reason is None:
            return orbit
        reasons.append(f"{orbit.elements.origin}: {reason}")
    raise RequestError(
        f"no elements given for {station.platform} apply from {first:%Y-%m-%d} to {last:%Y-%m-%d}. Give a set from "
        f"{_span(station)}, or leave {station.platform} out of the file to take the reference orbit.\n"
        + "\n".join(reasons)
    )


def _why_not(orbit: Orbit, station: Station, first: datetime, last: datetime) -> str | None:
    """Reason why elements can't stand for a satellite at its station between two times; None where they can."""
    epoch = orbit.elements.epoch
    half = timedelta(seconds=CYCLE / 2)
    if epoch - half <= first and last <= epoch + half:
        return None  # near enough to need no folding, wherever the satellite is
    if not station.holds(epoch):
        return f"of {epoch:%Y-%m-%d}, when {station.platform} was not at the place it has from {_span(station)}"
    if not orbit.on_reference:
        return f"of {epoch:%Y-%m-%d}, off the reference ground track ({orbit.node.offset:+.2f} degrees): good for five days only"
    if orbit.day != station.day:
        return (
            f"of {epoch:%Y-%m-%d}, on day {orbit.day} of the cycle, not {station.day}: the satellite was moved, "
            "and these are good for five days only"
        )
    return None


def _span(station: Station) -> str:
    return f"{station.since:%Y-%m-%d} " + ("on" if station.until is None else f"to {station.until:%Y-%m-%d}")
