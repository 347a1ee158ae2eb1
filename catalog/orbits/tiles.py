"""The tiles that products are cut into, from the definition of the military grid (MGRS) alone.

A tile holds one 100 km square of a UTM zone: its upper left corner is the square's, moved outward to a multiple of 60 m, and it
measures 109,800 m each way, so that neighbours overlap (ESA, Sentinel-2 Products Specification Document, section 3.4). ESA's
list of tiles leaves out squares whose part of the zone the tiles of a zone before it cover already; the rule here reproduces that.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import MultiPoint, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from catalog.errors import RequestError
from catalog.grid import PIXEL, Window, to_lonlat, to_zone

EDGE = 109_800
"""Width and height of a tile, m."""

_SQUARE = 100_000
_STEP = 60
_SOUTH = 10_000_000
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_NAME = re.compile(r"(\d\d)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")

_NORTH_END = 84.0
_SOUTH_END = -83.7  # band C ends at 80 S; ESA's tiles go on to here

_SLIVER = 1e6
"""Smallest part of a zone, m², that makes a tile of its own: ESA's list has one of 2.7 km², and leaves out none above 0.2."""


@dataclass(frozen=True)
class Tile:
    """One tile of the military grid; ``row`` counts 100 km northward from the equator, negative in the south."""

    zone: int
    column: int
    """Hundreds of kilometres of easting, 1 to 8."""
    row: int

    @classmethod
    def from_name(cls, name: str) -> Tile:
        """The tile that a name such as 33TWM means. Raises `RequestError` where there is none."""
        match = _NAME.fullmatch(name)
        if match is not None:
            zone, (band, column, row) = int(match[1]), match.groups()[1:]
            columns = _COLUMNS[(zone - 1) % 3]
            if 1 <= zone <= 60 and column in columns:
                south, north = _band(band)
                middle = to_zone(Point(zone * 6 - 183, (south + north) / 2), 32600 + zone).bounds[1] / _SQUARE
                # The letters of rows repeat every 2,000 km; a band is less than half of that high.
                letter = _ROWS.index(row) - _row_shift(zone)
                tile = cls(zone, columns.index(column) + 1, letter + 20 * round((middle - 0.5 - letter) / 20))
                if tile.name == name:
                    return tile
        raise RequestError(f"{name!r} is no tile of Sentinel-2. Tiles are named like 33TWM.")

    @property
    def epsg(self) -> int:
        """UTM zone of the products, by the hemisphere of the square."""
        return (32600 if self.row >= 0 else 32700) + self.zone

    @cached_property
    def name(self) -> str:
        """Name such as 33TWM; a square across two latitude bands is named after the band that holds more of it."""
        # Of the plain six degrees first: the exceptions of Norway and Svalbard take no part in ESA's choice where they needn't.
        band = max(
            self._bands,
            key=lambda band: (
                self._square.intersection(_band_area(self.zone, band)).area,
                self._square.intersection(_band_area(self.zone, band, beside=15)).area,
            ),
        )
        row = _ROWS[(self.row + _row_shift(self.zone)) % 20]
        return f"{self.zone:02d}{band}{_COLUMNS[(self.zone - 1) % 3][self.column - 1]}{row}"

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """West, south, east, north in m of the tile's own UTM zone, `epsg`."""
        west, south, east, north = (int(value) for value in self._outline.bounds)
        shift = 0 if self.row >= 0 else _SOUTH
        return west, south + shift, east, north + shift

    @property
    def window(self) -> Window:
        """The same in pixels of 10 m."""
        west, _, _, north = self.bounds
        return Window(self.epsg, west // PIXEL, north // PIXEL, EDGE // PIXEL, EDGE // PIXEL)

    @property
    def footprint(self) -> Polygon:
        """The corners in longitude and latitude, degrees. Across the antimeridian its longitudes go on beyond 180."""
        corners = shapely.get_coordinates(to_lonlat(MultiPoint(list(self._outline.exterior.coords)), 32600 + self.zone))
        middle = self.zone * 6 - 183
        corners[:, 0] = (corners[:, 0] - middle + 180) % 360 - 180 + middle
        return Polygon(corners)

    def lattice(self, count: int) -> npt.NDArray[np.float64]:
        """(count², 2): longitude and latitude of the middles of ``count`` x ``count`` equal parts, degrees."""
        west, south, _, _ = self._outline.bounds
        steps = (np.arange(count) + 0.5) * EDGE / count
        x, y = np.meshgrid(west + steps, south + steps)
        points = to_lonlat(MultiPoint(np.stack([x.ravel(), y.ravel()], axis=1)), 32600 + self.zone)
        return shapely.get_coordinates(points)

    @property
    def exists(self) -> bool:
        """True where ESA's list has it."""
        return 1 <= self.column <= 8 and _exists(self)

    # Northings are counted from the equator in both hemispheres here, as the northern zones' coordinates have them.

    @property
    def _square(self) -> Polygon:
        west, south = self.column * _SQUARE, self.row * _SQUARE
        return box(west, south, west + _SQUARE, south + _SQUARE)

    @property
    def _outline(self) -> Polygon:
        west = math.floor(self.column * _SQUARE / _STEP) * _STEP
        north = math.ceil((self.row + 1) * _SQUARE / _STEP) * _STEP
        return box(west, north - EDGE, west + EDGE, north)

    @property
    def _bands(self) -> list[str]:
        latitudes = shapely.get_coordinates(to_lonlat(shapely.segmentize(self._square, 25_000), 32600 + self.zone))[
            :, 1
        ]
        first, last = (int(np.clip((value + 80) // 8, 0, 19)) for value in (latitudes.min(), latitudes.max()))
        return list(_BANDS[first : last + 1])


def tiles_meeting(area: BaseGeometry) -> list[Tile]:
    """The tiles that a longitude/latitude geometry meets, sorted by name: several of one place, since they overlap."""
    found = {tile for zone in range(1, 61) for tile in _tiles_of_zone(area, zone) if tile.exists}
    return sorted(found, key=lambda tile: tile.name)


def _tiles_of_zone(area: BaseGeometry, zone: int) -> list[Tile]:
    """Tiles of one zone, of which some may not exist."""
    west, _, east, _ = _zone_area_lonlat(zone).bounds
    found = []
    # A tile reaches as far beyond its zone as it is wide: a degree at the equator, more where meridians draw together.
    for low, high, reach in ((-84, 60, 2.5), (60, 76, 5.0), (76, 84, 12.0)):
        for turn in (-360, 0, 360):
            near = shapely.intersection(area, box(west - reach + turn, low, east + reach + turn, high))
            if near.is_empty:
                continue
            here = to_zone(near, 32600 + zone)
            left, bottom, right, top = (int(value // _SQUARE) for value in here.bounds)
            found += [
                tile
                for column in range(max(1, left - 1), min(8, right) + 1)
                for row in range(bottom, top + 2)
                if (tile := Tile(zone, column, row))._outline.intersects(here)
            ]
    return found


@cache
def _exists(tile: Tile) -> bool:
    zone_area = _zone_area(tile.zone)
    if not tile._square.intersects(zone_area) or _zone_band_is_missing(tile):
        return False
    part = tile._outline.intersection(zone_area)
    if tile._outline.area - part.area < _SLIVER:
        return True
    before = {1: [], 60: [59, 1]}.get(tile.zone, [tile.zone - 1])
    if tile.zone in (33, 35, 37):  # beside these, in the north, zones 32, 34 and 36 are missing
        before = [tile.zone - 1, tile.zone - 2]
    for zone in before:
        part = part.difference(_cover(tile, zone))
    return bool(part.area > _SLIVER)


def _zone_band_is_missing(tile: Tile) -> bool:
    return tile.name[2] == "X" and tile.zone in (32, 34, 36)


def _cover(tile: Tile, zone: int) -> BaseGeometry:
    """The tiles of another zone about a tile, in the tile's zone."""
    around = to_zone(to_lonlat(shapely.segmentize(tile._outline.buffer(1000), 10_000), 32600 + tile.zone), 32600 + zone)
    left, bottom, right, top = (int(value // _SQUARE) for value in around.bounds)
    there = [
        Tile(zone, column, row)
        for column in range(max(1, left - 1), min(8, right) + 1)
        for row in range(bottom - 1, top + 2)
    ]
    outlines = [shapely.segmentize(one._outline, 5_000) for one in there if one._square.intersects(_zone_area(zone))]
    return to_zone(to_lonlat(shapely.union_all(outlines), 32600 + zone), 32600 + tile.zone)


def _row_shift(zone: int) -> int:
    return 5 if zone % 2 == 0 else 0


def _band(band: str) -> tuple[float, float]:
    """South and north, degrees."""
    south = -80.0 + 8 * _BANDS.index(band)
    return (_SOUTH_END if band == "C" else south), (_NORTH_END if band == "X" else south + 8)


@cache
def _band_area(zone: int, band: str, beside: int = 0) -> BaseGeometry:
    """The zone's plain six degrees of one latitude band and some degrees on either side, in m."""
    south, north = _band(band)
    return _in_metres(box(zone * 6 - 186 - beside, south, zone * 6 - 180 + beside, north), zone)


def _zone_area_lonlat(zone: int) -> BaseGeometry:
    """Area that belongs to a zone, degrees, with the exceptions of Norway and Svalbard."""
    west, east = zone * 6 - 186, zone * 6 - 180
    norway = {31: (0, 3), 32: (3, 12)}.get(zone, (west, east))
    svalbard = {31: (0, 9), 32: None, 33: (9, 21), 34: None, 35: (21, 33), 36: None, 37: (33, 42)}.get(
        zone, (west, east)
    )
    parts = [box(west, _SOUTH_END, east, 56), box(norway[0], 56, norway[1], 64), box(west, 64, east, 72)]
    if svalbard is not None:
        parts.append(box(svalbard[0], 72, svalbard[1], _NORTH_END))
    return shapely.union_all(parts)


@cache
def _zone_area(zone: int) -> BaseGeometry:
    area = _in_metres(_zone_area_lonlat(zone), zone)
    shapely.prepare(area)
    return area


def _in_metres(area: BaseGeometry, zone: int) -> BaseGeometry:
    return to_zone(shapely.segmentize(area, 0.1), 32600 + zone)
