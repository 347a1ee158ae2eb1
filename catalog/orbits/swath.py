"""The instrument's view over time: passes of the satellites over an area, and the tiles they image.

The instrument looks straight down and 145 km to either side. The satellites steer in yaw so that its lines stand across the ground
track as the earth turns beneath, so a place is imaged when the point below the satellite comes nearest to it. Imaging is on
descending passes by day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
import numpy.typing as npt
import shapely
import shapely.affinity
from pydantic import AwareDatetime, Field
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from catalog.errors import RequestError
from catalog.orbits.clock import seconds_of, time_of
from catalog.orbits.orbit import Flight, Orbit, nodes
from catalog.orbits.reference_track import CYCLE
from catalog.orbits.sun import sun_elevation
from catalog.orbits.tiles import Tile, tiles_meeting
from catalog.products import Frozen

Floats = npt.NDArray[np.float64]

HALF_SWATH = 145.0
"""Half the width of what the instrument sees, km (ESA, Sentinel-2 User Handbook, 2015)."""

MIN_SUN = 5.0
"""Lowest sun, degrees, at which the mission observes: up to a zenith of 85 (ESA, observation scenario of 2019-10-23)."""

MOST_TILES = 400
"""Largest area in tiles; more is a continent."""

_STEP = 20.0
"""Spacing of the track's samples, s; 135 km on the ground. The nearest approach is interpolated to well under 0.1 s."""

_LATTICE = 9
"""A tile is judged by the middles of this many parts each way, 12 km wide."""

_SAMPLES = 24
"""An area is judged by up to this many samples each way."""

_THIN = 0.01
"""Vertices nearer to the line between their neighbours than this, degrees, are passed over."""

_EARTH_FIXED = ("EPSG:4979", "EPSG:4978")


class SeenTile(Frozen):
    """A tile in one pass."""

    name: str
    time: Annotated[
        AwareDatetime, Field(description="when its centre, or the nearest part in the swath, is imaged, UTC")
    ]
    imaged: Annotated[float, Field(description="share of the whole tile in the swath, 0 to 1")]


class Pass(Frozen):
    """One satellite's passage over an area: what becomes one acquisition."""

    platform: Annotated[str, Field(description="S2A, S2B, S2C")]
    relative_orbit: Annotated[str, Field(description="1 to 143 as R079")]
    time: Annotated[AwareDatetime, Field(description="earliest sensing time of its tiles, UTC")]
    tiles: Annotated[tuple[SeenTile, ...], Field(description="those in which part of the area is imaged, by name")]
    covered: Annotated[float, Field(description="share of the area in the swath, 0 to 1")]
    sun_elevation: Annotated[float, Field(description="at the middle of the imaged part of the area, degrees")]


@dataclass(frozen=True)
class Track:
    """One repeat cycle of an orbit, sampled; it repeats, so its end joins its beginning."""

    seconds: Floats
    """(N,) s since J2000."""
    positions: Floats
    """(N, 3) earth-fixed, km."""
    longitudes: Floats
    """(N,) of the points below the satellite, degrees."""
    latitudes: Floats
    """(N,) geodetic, degrees."""
    below: Floats
    """(N, 3) the points below the satellite, earth-fixed, km."""
    relative_orbits: npt.NDArray[np.int64]
    """(N,) 1 to 143; the number changes at the ascending node."""

    @property
    def descending(self) -> npt.NDArray[np.bool_]:
        """(N,) where the satellite moves southward."""
        return np.asarray(np.roll(self.latitudes, -1) < self.latitudes)


@cache
def track_of(orbit: Orbit) -> Track:
    """The cycle around the epoch of an orbit's elements."""
    seconds = orbit.elements.epoch_seconds - CYCLE / 2 + np.arange(0.0, CYCLE, _STEP)
    positions = orbit.positions(seconds)
    x, y, z = positions.T * 1000
    longitudes, latitudes, _ = _transformer(inverse=True).transform(x, y, z)
    crossings = nodes(seconds, positions)
    # What lies before the first node belongs to the last one: the track is a ring.
    number = np.searchsorted([node.time for node in crossings], seconds, side="right") - 1
    orbits = np.array([node.relative_orbit for node in crossings])[number]
    return Track(seconds, positions, longitudes, latitudes, earth_fixed(longitudes, latitudes), orbits)


@cache
def _transformer(inverse: bool = False) -> Transformer:
    return Transformer.from_crs(*(_EARTH_FIXED[::-1] if inverse else _EARTH_FIXED), always_xy=True)


def earth_fixed(longitudes: Floats, latitudes: Floats, heights: Floats | float = 0.0) -> Floats:
    """(N, 3) km of points in degrees, heights in m."""
    heights = np.broadcast_to(heights, np.shape(longitudes))
    return np.stack(_transformer().transform(longitudes, latitudes, heights), axis=1) / 1000


@dataclass(frozen=True, slots=True)
class Approach:
    """Approach of one descending half of a revolution to some points."""

    relative_orbit: int
    seconds: Floats
    """(M,) when each is nearest, within the track's cycle, s since J2000."""
    distances: Floats
    """(M,) how far from the track then, km."""


def approaches(track: Track, points: Floats) -> list[Approach]:
    """The descending halves of revolutions, by day or night, that see any of the points (M, 3), earth-fixed km; one cycle of them."""
    middle = points.mean(axis=0)
    reach = np.linalg.norm(points - middle, axis=1).max() + HALF_SWATH + 1.5 * _STEP * 6.8
    near = np.flatnonzero(track.descending & (np.linalg.norm(track.below - middle, axis=1) <= reach))
    found = []
    for orbit in np.unique(track.relative_orbits[near]):
        # Samples of one half follow each other, except where the ring closes.
        indices = near[track.relative_orbits[near] == orbit]
        gap = np.flatnonzero(np.diff(indices) > 1)
        if gap.size:
            indices = np.roll(indices, -(gap[0] + 1))
        count = indices.size + 2
        indices = (indices[0] - 1 + np.arange(count)) % track.seconds.size
        # Squared distances (steps, M) by the binomial formula, from the middle to keep figures small: no (steps, M, 3) in memory.
        ground, around = track.below[indices] - middle, points - middle
        squares = (ground**2).sum(axis=1)[:, None] - 2 * ground @ around.T + (around**2).sum(axis=1)[None, :]
        lowest = np.clip(squares.argmin(axis=0), 1, count - 2)
        columns = np.arange(points.shape[0])
        before, at, after = (squares[lowest + shift, columns] for shift in (-1, 0, 1))
        # The square of the distance to a track is a parabola in time, to a good approximation.
        bend = before - 2 * at + after
        shift = np.clip((before - after) / (2 * bend), -1, 1)
        least = at - (before - after) * shift / 4
        distances = np.sqrt(np.maximum(least, 0))
        if (distances <= HALF_SWATH).any():
            seconds = track.seconds[indices[0]] + (lowest + shift) * _STEP
            found.append(Approach(int(orbit), seconds, distances))
    return found


@dataclass(frozen=True, slots=True)
class _AreaPoints:
    """Points of an area and of its tiles in one array, so that a pass is computed for all at once."""

    points: Floats
    """(M, 2) longitude and latitude, degrees."""
    area: slice
    """Samples of the area, even in degrees, that measure how much of it is seen."""
    tiles: dict[str, tuple[slice, slice]]
    """Tiles by name: the tile's lattice, and samples of the area in the tile with its vertices there."""


def passes_over(flights: Sequence[Flight], area: BaseGeometry, min_sun: float = MIN_SUN) -> list[Pass]:
    """The passes of satellites that image part of a longitude/latitude geometry, by time.

    A polygon is judged by samples of its surface and by its vertices, a line by its vertices and points between. A pass belongs to
    the flight in whose time it begins. Raises `RequestError` where no tile holds the area, or too many do.
    """
    sample = _area_points(area)
    positions = earth_fixed(*sample.points.T)
    found = []
    for flight in flights:
        first, last = seconds_of(flight.start), seconds_of(flight.end)
        for approach in approaches(track_of(flight.orbit), positions):
            middle = float(np.median(approach.seconds))
            for cycle in range(int((first - middle) // CYCLE), int((last - middle) // CYCLE) + 2):
                made = _pass(flight.platform, approach, cycle * CYCLE, sample, min_sun)
                if made is not None and flight.start <= made.time < flight.end:
                    found.append(made)
    return sorted(found, key=lambda made: (made.time, made.platform))


def _pass(platform: str, approach: Approach, later: float, sample: _AreaPoints, min_sun: float) -> Pass | None:
    """The pass that an approach makes some seconds later; None where the sun is too low for all that is near enough."""
    seconds = approach.seconds + later
    elevations = sun_elevation(seconds, *sample.points.T)
    seen = (approach.distances <= HALF_SWATH) & (elevations >= min_sun)
    tiles = [
        _seen_tile(name, seconds, seen, lattice, inside)
        for name, (lattice, inside) in sample.tiles.items()
        if seen[inside].any()
    ]
    if not tiles:
        return None
    imaged = np.concatenate([elevations[inside][seen[inside]] for _, inside in sample.tiles.values()])
    return Pass(
        platform=platform,
        relative_orbit=f"R{approach.relative_orbit:03d}",
        time=min(tile.time for tile in tiles),
        tiles=tuple(tiles),
        covered=round(float(seen[sample.area].mean()), 3),
        sun_elevation=round(float(imaged.mean()), 1),
    )


def _seen_tile(name: str, seconds: Floats, seen: npt.NDArray[np.bool_], lattice: slice, inside: slice) -> SeenTile:
    parts = np.flatnonzero(seen[lattice])
    if parts.size:
        row, column = np.divmod(parts, _LATTICE)
        centre = (_LATTICE - 1) / 2
        nearest = parts[np.argmin((row - centre) ** 2 + (column - centre) ** 2)]
        time = float(seconds[lattice][nearest])
    else:
        time = float(seconds[inside][seen[inside]].mean())
    return SeenTile(name=name, time=time_of(time), imaged=round(float(seen[lattice].mean()), 3))


def _area_points(area: BaseGeometry) -> _AreaPoints:
    tiles = tiles_meeting(area)
    if not tiles:
        raise RequestError("area: no tile of Sentinel-2 holds it; they end at 84 N and 83.7 S. Ask for an area inside.")
    if len(tiles) > MOST_TILES:
        raise RequestError(f"area: it takes {len(tiles)} tiles, over the limit of {MOST_TILES}. Ask for parts of it.")
    west, south, east, north = area.bounds
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    x, y = np.meshgrid(west + steps * (east - west), south + steps * (north - south))
    arrays = [_samples(area, np.stack([x.ravel(), y.ravel()], axis=1))]
    used = {}
    for tile in tiles:
        part = _part(area, tile)
        if part.is_empty:  # the straight edges of degrees and of metres part by some metres
            continue
        start = sum(len(array) for array in arrays)
        lattice = tile.lattice(_LATTICE)
        inside = np.concatenate([_samples(part, lattice), shapely.get_coordinates(part.simplify(_THIN))])
        arrays += [lattice, inside]
        middle = start + len(lattice)
        used[tile.name] = (slice(start, middle), slice(middle, middle + len(inside)))
    return _AreaPoints(np.concatenate(arrays), slice(0, len(arrays[0])), used)


def _part(area: BaseGeometry, tile: Tile) -> BaseGeometry:
    """Part of an area that lies in a tile; either may go on beyond 180 degrees."""
    footprint = tile.footprint
    turned = [shapely.affinity.translate(footprint, turn) for turn in (-360, 0, 360)]
    return shapely.union_all([area.intersection(one) for one in turned])


def _samples(area: BaseGeometry, lattice: Floats) -> Floats:
    """(K, 2) points that stand for a geometry: a surface by the points of a lattice in it, else lines by points 0.1 degrees apart."""
    surface = _surface(area)
    if surface.is_empty:
        return shapely.get_coordinates(shapely.segmentize(area, 0.1))
    chosen = lattice[shapely.contains_xy(surface, *lattice.T)]
    return chosen if len(chosen) else shapely.get_coordinates(surface.representative_point())


def _surface(area: BaseGeometry) -> BaseGeometry:
    parts = shapely.get_parts(shapely.get_parts(area))
    return shapely.union_all([part for part in parts if shapely.get_dimensions(part) == 2])
