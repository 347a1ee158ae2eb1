"""Areas named by the military grid, as Sentinel-2's tiles are: a whole tile, or a square of it of 10, 1 or 0.1 km.

`tile:31UES` is all 109.8 km of the tile. Digits behind the name are those of an MGRS reference (NGA.STND.0037, 2014): as many of easting
as of northing, counted from the south-west corner of the tile's square of 100 km. `tile:31UES42` is the square of 10 km four to the
east and two to the north, `tile:31UES4520` one of 1 km.
"""

from __future__ import annotations

import re
from typing import Any

import shapely
from shapely.geometry import Polygon, box

from catalog.area import as_geojson
from catalog.errors import RequestError
from catalog.grid import to_lonlat
from catalog.orbits.tiles import Tile
from catalog.quoting import shown

TILE = "tile:"
"""Beginning of an area that names a place on a tile."""

_SQUARE = 100_000
_SOUTH = 10_000_000
_STRAIGHT = 10_000
"""Metres of a tile's edge from vertex to vertex: between them it is a straight line in longitude and latitude."""

_NAME = re.compile(r"T?(?P<tile>\d{2}[A-Z]{3})(?P<digits>(?:\d{2}){0,3})", re.IGNORECASE)


def is_tile(area: Any) -> bool:
    """Return whether an area names a place on a tile."""
    return isinstance(area, str) and area.startswith(TILE)


def tile_area(name: str) -> dict[str, Any]:
    """GeoJSON of a tile or of a square on it, by a name such as ``tile:31UES`` or ``tile:31UES42``. Raises `RequestError`."""
    match = _NAME.fullmatch(name.removeprefix(TILE).strip())
    if match is None:
        raise RequestError(
            f"area: {shown(name)} names no place on a tile. Write tile:31UES for a tile, or with the digits of an MGRS reference: "
            "tile:31UES42 for a square of 10 km, tile:31UES4520 for one of 1 km."
        )
    try:
        tile = Tile.from_name(match["tile"].upper())
    except RequestError as error:
        raise RequestError(f"area: {error}") from None
    if not tile.exists:
        raise RequestError(
            f"area: Sentinel-2 has no tile {tile.name}: its neighbours cover the ground. Name one of them, or give a bbox."
        )
    return as_geojson(to_lonlat(shapely.segmentize(_square(tile, match["digits"]), _STRAIGHT), tile.epsg))


def part_of(name: str) -> str:
    """The square of 10 km in the middle of what a name means, to be named where the whole is too large."""
    return f"{TILE}{name.removeprefix(TILE).strip().upper().removeprefix('T')[:5]}55"


def _square(tile: Tile, digits: str) -> Polygon:
    """In the metres of the tile's zone."""
    if not digits:
        return box(*tile.bounds)
    half = len(digits) // 2
    edge = _SQUARE // 10**half
    west = tile.column * _SQUARE + int(digits[:half]) * edge
    south = tile.row * _SQUARE + (0 if tile.row >= 0 else _SOUTH) + int(digits[half:]) * edge
    return box(west, south, west + edge, south + edge)
