"""One tile in one pass of one satellite: when, from where, and how far the swath reaches. It follows from orbit and tile alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import MultiPoint, Point, box
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import centre, unbroken
from catalog.errors import ProductError
from catalog.grid import PIXEL, Window, to_lonlat, utm_zone
from catalog.orbits.angles import Angles
from catalog.orbits.clock import seconds_of, time_of
from catalog.orbits.orbit import Flight, flights
from catalog.orbits.reference_track import CYCLE, CYCLE_ORBITS
from catalog.orbits.sun import sun_angles
from catalog.orbits.swath import HALF_SWATH, Pass, SeenTile, Track, approaches, earth_fixed, passes_over, track_of
from catalog.orbits.tiles import Tile, tiles_meeting
from catalog.orbits.timeline import Timeline, timelines
from catalog.products import Level
from processors.simulation.mission.granule import Granule

BASELINE = "05.11"
"""Processing baseline of all simulated products, whatever their date, as of an archive that was processed again."""

_MARGIN = timedelta(days=1)
_NODES = 64
"""Pixels between two points at which the distance from the track is computed; between them it is as good as linear."""

_SAME_PASS = 60.0
"""A tile is passed within so many seconds."""

_OUTLINE = 24
"""Parts each way in which a tile's footprint is cut."""

# Absolute orbit numbers with their times, from the names of real granules: S2A_..._R030_T56JMM, S2B_..._R122_T34UCF. No product of
# 2C is at hand: its revolutions are counted on from 2A's, whose place it took.
_COUNTED = {
    "S2A": (15_757, datetime.fromisoformat("2018-06-29T00:02:41Z"), 3),
    "S2B": (33_753, datetime.fromisoformat("2023-08-23T09:55:59Z"), 117),
}
"""An absolute orbit, when it was flown, and what added to it gives the relative orbit, modulo 143."""


@dataclass(frozen=True, slots=True)
class Overpass:
    """A tile that is imaged, whole or in part."""

    platform: str
    relative_orbit: int
    """1 to 143."""
    tile: Tile
    sensed: datetime
    """Time when its middle, or the part of it nearest to that in the swath, is imaged, UTC."""
    datatake_start: datetime
    """Time when the satellite turns southward: every descending pass counts as one datatake."""
    absolute_orbit: int
    angles: Angles
    """Angles at the middle of what is seen of the tile."""
    flight: Flight

    @classmethod
    def at(cls, platform: str, relative_orbit: int, tile: Tile, sensed: datetime) -> Overpass:
        """The overpass that a pass found (`passes_over`). Raises `ProductError` where there is none."""
        flight = _flight(platform, sensed)
        ground = _seen_point(flight, relative_orbit, tile, sensed)
        return cls(
            platform=platform,
            relative_orbit=relative_orbit,
            tile=tile,
            sensed=sensed,
            datatake_start=_turning(flight, relative_orbit, sensed),
            absolute_orbit=absolute_orbit(platform, relative_orbit, sensed),
            angles=_angles(flight, ground, sensed),
            flight=flight,
        )

    @property
    def timeline(self) -> Timeline | None:
        """Timeline until the L2A product is ready; None where a full memory lost the acquisition. The same whatever was searched for."""
        seen = Pass(
            platform=self.platform,
            relative_orbit=f"R{self.relative_orbit:03d}",
            time=self.sensed,
            tiles=(SeenTile(name=self.tile.name, time=self.sensed, imaged=1.0),),
            covered=1.0,
            sun_elevation=90 - self.angles.sun_zenith,
        )
        return timelines([self.flight], [seen])[0]

    def granule(self, level: Level, timeline: Timeline) -> Granule:
        """The product that becomes of it."""
        west, _, _, north = self.tile.bounds
        return Granule(
            level=level,
            platform=self.platform,
            tile=self.tile.name,
            epsg=self.tile.epsg,
            upper_left=(west, north),
            datatake_start=self.datatake_start,
            datastrip_start=self.datatake_start,
            sensed=self.sensed,
            generated=timeline.l1c_ready if level == "L1C" else timeline.l2a_ready,
            absolute_orbit=self.absolute_orbit,
            relative_orbit=self.relative_orbit,
            baseline=BASELINE,
            angles=self.angles,
        )

    def seen(self, window: Window) -> npt.NDArray[np.bool_] | None:
        """(H, W): what of a window lies in the swath; None where all of it does."""
        rows = np.append(np.arange(0, window.height, _NODES), window.height)
        columns = np.append(np.arange(0, window.width, _NODES), window.width)
        west, _, _, north = window.bounds
        x, y = np.meshgrid(west + columns * PIXEL, north - rows * PIXEL)
        found = self._distances(np.stack([x.ravel(), y.ravel()], axis=1), window.epsg)
        if found is None:
            return np.zeros(window.shape, bool)
        nodes = found.reshape(len(rows), len(columns))
        if nodes.max() < HALF_SWATH:
            return None
        middles = np.arange(window.height) + 0.5, np.arange(window.width) + 0.5
        across = np.stack([np.interp(middles[1], columns, row) for row in nodes])
        between = np.clip(np.searchsorted(rows, middles[0], side="right") - 1, 0, len(rows) - 2)
        way = ((middles[0] - rows[between]) / (rows[between + 1] - rows[between]))[:, None]
        return np.asarray(across[between] * (1 - way) + across[between + 1] * way <= HALF_SWATH)

    @property
    def footprint(self) -> BaseGeometry:
        """Longitude and latitude around what is imaged, from a lattice of about 4.6 km; degrees."""
        west, south, east, north = self.tile.bounds
        steps = np.linspace(0, 1, _OUTLINE + 1)
        x, y = np.meshgrid(west + steps * (east - west), south + steps * (north - south))
        found = self._distances(np.stack([x.ravel(), y.ravel()], axis=1), self.tile.epsg)
        if found is None or found.max() <= HALF_SWATH:
            return self.tile.footprint
        near = found.reshape(x.shape) <= HALF_SWATH
        touched = near[:-1, :-1] | near[1:, :-1] | near[:-1, 1:] | near[1:, 1:]
        parts = [
            box(x[row, column], y[row, column], x[row + 1, column + 1], y[row + 1, column + 1])
            for row, column in zip(*np.nonzero(touched), strict=True)
        ]
        return to_lonlat(shapely.union_all(parts), self.tile.epsg)

    def _distances(self, points: npt.NDArray[np.float64], epsg: int) -> npt.NDArray[np.float64] | None:
        """(N,) km of points in a zone's metres from the track; None where none of them is in the swath."""
        degrees = shapely.get_coordinates(to_lonlat(MultiPoint(points), epsg))
        for approach in approaches(track_of(self.flight.orbit), earth_fixed(*degrees.T)):
            if approach.relative_orbit == self.relative_orbit:
                return approach.distances
        return None


def overpasses(area: BaseGeometry, epsg: int, start: datetime, end: datetime) -> Iterator[Overpass]:
    """Overpasses between two times over the tiles of one zone that meet a longitude/latitude area, by time.

    Raises `RequestError` where nobody flew then.
    """
    for one in passes_over(flights(start - _MARGIN, end + _MARGIN), area):
        for seen in one.tiles:
            tile = Tile.from_name(seen.name)
            # Less than a part of the lattice that tiles are judged by is a sliver that no product is made of.
            if tile.epsg == epsg and seen.imaged > 0 and start <= seen.time < end:
                yield Overpass.at(one.platform, int(one.relative_orbit[1:]), tile, seen.time)


def home_zone(area: BaseGeometry) -> int:
    """EPSG code of the zone whose tiles an area (degrees) is simulated in: that of its centroid, unless ESA cuts no tiles there.

    Close to the edge of a zone only the neighbour's tiles exist. Raises `RequestError` outside UTM.
    """
    longitude, latitude = centre(area)
    own, there = utm_zone(longitude, latitude), {tile.epsg for tile in tiles_meeting(Point(longitude, latitude))}
    return own if own in there else min(there)


def absolute_orbit(platform: str, relative_orbit: int, time: datetime) -> int:
    """Number of the revolution since launch."""
    number, flown, shift = _COUNTED["S2B" if platform == "S2B" else "S2A"]
    estimate = number + (time - flown).total_seconds() / CYCLE * CYCLE_ORBITS
    # The nearest number that belongs to the relative orbit.
    return round((estimate + shift - relative_orbit) / CYCLE_ORBITS) * CYCLE_ORBITS + relative_orbit - shift


@lru_cache(maxsize=256)
def _flight(platform: str, time: datetime) -> Flight:
    for flight in flights(time - _MARGIN, time + _MARGIN):
        if flight.platform == platform and flight.start <= time < flight.end:
            return flight
    raise ProductError(f"{platform} didn't observe on {time:%Y-%m-%d}. Order again.")


def _seen_point(flight: Flight, relative_orbit: int, tile: Tile, sensed: datetime) -> Point:
    """The middle of what is seen of the tile, degrees, from a lattice of 81 points."""
    lattice = tile.lattice(9)
    for approach in approaches(track_of(flight.orbit), earth_fixed(*lattice.T)):
        late = (approach.seconds - seconds_of(sensed) + CYCLE / 2) % CYCLE - CYCLE / 2
        if approach.relative_orbit == relative_orbit and np.abs(late).min() < _SAME_PASS:
            return unbroken(MultiPoint(lattice[approach.distances <= HALF_SWATH])).centroid
    raise ProductError(f"{flight.platform} didn't see {tile.name} on {sensed:%Y-%m-%d %H:%M} UTC. Order again.")


def _turning(flight: Flight, relative_orbit: int, sensed: datetime) -> datetime:
    """Time when the satellite is northernmost on the revolution in which it sensed something."""
    track: Track = track_of(flight.orbit)
    # Half a revolution before, the number may still be the one before: only what is near the pole is looked at.
    own = np.flatnonzero((track.relative_orbits == relative_orbit) & (track.latitudes > 60))
    top = float(track.seconds[own[np.argmax(track.latitudes[own])]])
    later = round((seconds_of(sensed) - top) / CYCLE) * CYCLE
    return time_of(round(top + later))


def _angles(flight: Flight, point: Point, time: datetime) -> Angles:
    zenith, azimuth = sun_angles(time, point.x, point.y)
    (ground,) = earth_fixed(np.array([point.x]), np.array([point.y]))
    (satellite,) = flight.orbit.positions(np.array([seconds_of(time)]))
    longitude, latitude = np.radians(point.x), np.radians(point.y)
    east = np.array([-np.sin(longitude), np.cos(longitude), 0])
    up = np.array([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    north = np.cross(up, east)
    sight = satellite - ground
    high = float(sight @ up / np.linalg.norm(sight))
    return Angles(
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        view_zenith=float(np.degrees(np.arccos(np.clip(high, -1, 1)))),
        view_azimuth=float(np.degrees(np.arctan2(sight @ east, sight @ north)) % 360),
    )
