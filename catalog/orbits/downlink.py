"""Downlink from the satellite to the ground: contacts with stations, and what waits in the memory until then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.orbits.clock import DAY
from catalog.orbits.orbit import Orbit
from catalog.orbits.reference_track import CYCLE
from catalog.orbits.sun import sun_elevation
from catalog.orbits.swath import MIN_SUN, Track, earth_fixed, track_of

Floats = npt.NDArray[np.float64]

MEMORY = 2.4e12
"""On-board memory at the end of life, bit (ESA SP-1322/2, 2012, "Sentinel-2: ESA's Optical High-Resolution Mission")."""

DOWNLINK_RATE = 520e6
"""Useful rate of the X-band link, bit/s (Drusch et al., 2012, "Sentinel-2: ESA's optical high-resolution mission for GMES
operational services", Remote Sensing of Environment 120)."""

DAILY_VOLUME = 0.8e12 * 8
"""Volume that one satellite records a day, compressed, bit: half of the 1.6 TB that ESA gives for two."""


@dataclass(frozen=True, slots=True)
class GroundStation:
    """An antenna that receives the payload's data in X band."""

    name: str
    longitude: float
    """Degrees."""
    latitude: float
    """Degrees."""
    height: float
    """Height above the ellipsoid, m."""
    min_elevation: float = 5.0
    """Least elevation of the satellite above the horizon for the link to hold, degrees."""


STATIONS = (
    GroundStation("Matera", 16.704, 40.649, 500),
    GroundStation("Svalbard", 15.408, 78.229, 450),
    GroundStation("Maspalomas", -15.634, 27.763, 200),
    GroundStation("Inuvik", -133.545, 68.318, 100),
)
"""Core stations that ESA names for the mission, at their sites to a kilometre. The laser link through relay satellites, which takes a
part of the data sooner, is left out."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A time in which one station receives."""

    station: str
    start: float
    """Time in s since J2000."""
    end: float
    """Time in s since J2000."""


Interval = tuple[float, float]
"""Start and end, s since J2000."""

_NOTHING = 1e4
"""Limit in bits below which there are none: the clock's floats resolve 0.1 µs, in which the link sends some tens."""


def elevation(positions: Floats, station: GroundStation) -> Floats:
    """(N,) elevation above a station's horizon, degrees, of earth-fixed positions (N, 3), km."""
    longitude, latitude = np.radians(station.longitude), np.radians(station.latitude)
    up = np.array([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    antenna = earth_fixed(np.array([station.longitude]), np.array([station.latitude]), station.height)
    sight = positions - antenna
    sine: Floats = sight @ up / np.linalg.norm(sight, axis=1)
    return np.degrees(np.arcsin(sine))


def contacts(seconds: Floats, positions: Floats, stations: Sequence[GroundStation] = STATIONS) -> list[Contact]:
    """The contacts along a path sampled every some ten seconds: times (N,), earth-fixed positions (N, 3), km.

    The satellite has one link: of two stations in sight the one that came first holds it, the other takes over.
    """
    seen = [
        Contact(station.name, start, end)
        for station in stations
        for start, end in above(seconds, elevation(positions, station) - station.min_elevation)
    ]
    held: list[Contact] = []
    free = -np.inf
    for contact in sorted(seen, key=lambda contact: (contact.start, contact.end)):
        start = max(contact.start, free)
        if start < contact.end:
            held.append(Contact(contact.station, start, contact.end))
            free = contact.end
    return held


def above(seconds: Floats, values: Floats) -> list[Interval]:
    """Intervals in which values (N,) at times (N,) are positive, their changes of sign interpolated."""
    high = values > 0
    change = np.flatnonzero(high[:-1] != high[1:])
    share = values[change] / (values[change] - values[change + 1])
    edges = (seconds[change] + share * (seconds[change + 1] - seconds[change])).tolist()
    if high[0]:
        edges.insert(0, float(seconds[0]))
    if high[-1]:
        edges.append(float(seconds[-1]))
    return list(zip(edges[::2], edges[1::2], strict=True))


def contacts_between(orbit: Orbit, first: float, last: float) -> list[Contact]:
    """The contacts of a satellite that begin between two times, s since J2000."""
    return [
        Contact(one.station, one.start + later, one.end + later)
        for later in _cycles(track_of(orbit), first, last)
        for one in _contacts_of_cycle(orbit)
        if first <= one.start + later < last
    ]


def recordings_between(orbit: Orbit, first: float, last: float) -> list[Interval]:
    """Intervals in which the instrument may record between two times, s since J2000: on descending arcs by day.

    Where on them the plan has it record isn't known here: the daily volume is spread over them evenly.
    """
    track = track_of(orbit)
    recordings: list[Interval] = []
    for later in _cycles(track, first, last):
        seconds = _closed(track.seconds, CYCLE) + later
        sun = sun_elevation(seconds, _closed(track.longitudes), _closed(track.latitudes)) - MIN_SUN
        recordings += above(seconds, np.where(_closed(track.descending), sun, -1.0))
    return [(start, end) for start, end in recordings if first <= start < last]


@cache
def _contacts_of_cycle(orbit: Orbit) -> list[Contact]:
    track = track_of(orbit)
    return contacts(_closed(track.seconds, CYCLE), _closed(track.positions))


def _closed(values: npt.NDArray[Any], more: float = 0) -> npt.NDArray[Any]:
    """A ring of samples with its first one again at the end, ``more`` added there."""
    return np.concatenate([values, values[:1] + more if more else values[:1]])


def _cycles(track: Track, first: float, last: float) -> list[float]:
    start = float(track.seconds[0])
    return [cycle * CYCLE for cycle in range(int((first - start) // CYCLE), int((last - start) // CYCLE) + 1)]


@dataclass(frozen=True)
class Memory:
    """History of the on-board memory, first in, first out."""

    seconds: Floats
    """(N,) s since J2000; between them all goes evenly."""
    stored: Floats
    """(N,) bit recorded until then."""
    sent: Floats
    """(N,) bit sent to the ground until then."""
    full: npt.NDArray[np.bool_]
    """(N,) whether the memory was full from then to the next time: what is sensed then is lost in part."""

    def sent_at(self, sensed: Floats) -> Floats:
        """Times when what was sensed at times (K,) has reached the ground; NaN where it was lost, or is still on board at the end."""
        mark = np.interp(sensed, self.seconds, self.stored)
        after = np.searchsorted(self.sent, mark, side="left")
        on_board = after >= self.sent.size
        after = np.clip(after, 1, self.sent.size - 1)
        low, high = self.sent[after - 1], self.sent[after]
        share = np.where(high > low, (mark - low) / np.where(high > low, high - low, 1.0), 0.0)
        reached = self.seconds[after - 1] + share * (self.seconds[after] - self.seconds[after - 1])
        inside = np.clip(np.searchsorted(self.seconds, sensed, side="right") - 1, 0, self.full.size - 1)
        times: Floats = np.where(on_board | self.full[inside], np.nan, np.maximum(reached, sensed))
        return times


def fill_and_send(
    recordings: Sequence[Interval],
    links: Sequence[Contact],
    recording_rate: float,
    downlink_rate: float = DOWNLINK_RATE,
    capacity: float = MEMORY,
) -> Memory:
    """Fill and empty a memory that starts empty; rates in bit/s, capacity in bit.

    What is recorded during a contact goes down at once where nothing older waits. A full memory takes no more than is sent meanwhile.
    """
    edges = sorted(
        {edge for start, end in recordings for edge in (start, end)} | {e for c in links for e in (c.start, c.end)}
    )
    times, stored, sent, full = [edges[0]], [0.0], [0.0], []
    recording = _covered(edges, recordings)
    linked = _covered(edges, [(contact.start, contact.end) for contact in links])
    for (start, end), writes, sends in zip(pairwise(edges), recording, linked, strict=True):
        time = start
        for _ in range(2):  # within a piece the state changes once at most: the memory runs empty, or full
            inflow = recording_rate if writes else 0.0
            waiting = stored[-1] - sent[-1]
            outflow = 0.0
            if sends:
                outflow = downlink_rate if waiting > _NOTHING else min(inflow, downlink_rate)
            is_full = waiting >= capacity - _NOTHING and inflow > outflow
            if is_full:
                inflow = outflow
            net = inflow - outflow
            lasts = end - time
            if net < 0:
                lasts = min(lasts, waiting / -net)
            elif net > 0:
                lasts = min(lasts, (capacity - waiting) / net)
            time += lasts
            times.append(time)
            stored.append(stored[-1] + inflow * lasts)
            sent.append(sent[-1] + outflow * lasts)
            full.append(is_full)
    return Memory(np.array(times), np.array(stored), np.array(sent), np.array([*full, False]))


def _covered(edges: Sequence[float], intervals: Sequence[Interval]) -> list[bool]:
    """True for each piece between two edges that lies in one of the intervals, whose ends are among the edges."""
    middles = np.array([(a + b) / 2 for a, b in pairwise(edges)])
    starts, ends = np.array(sorted(intervals)).reshape(-1, 2).T
    index = np.searchsorted(starts, middles, side="right") - 1
    inside = (index >= 0) & (middles < ends[np.maximum(index, 0)]) if starts.size else np.zeros(middles.shape, bool)
    return [bool(value) for value in inside]


def mean_recording_rate(recordings: Sequence[Interval]) -> float:
    """Mean rate, bit/s, that makes the daily volume when recorded evenly."""
    total = sum(end - start for start, end in recordings)
    span = recordings[-1][1] - recordings[0][0]
    return DAILY_VOLUME * span / DAY / total
