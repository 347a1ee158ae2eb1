"""The ground that no model learns from: blocks of 1 km, chosen by a hash of their place on the grid.

A block is held out or not whoever asks, in whatever area, year or generation of models: its place alone decides. A place is counted in
the UTM zone that it belongs to, so areas that are laid out in the zone beside it agree, but for pixels that an edge cuts. One block in five
is held out: four fifths stay to learn from, the usual share, and 25 km² hold five blocks to score on.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from catalog.grid import PIXEL, Window, moved_points, to_zone, utm_zone

BLOCK = 100
"""Edge of a block, pixels: 1 km."""

SHARE = 5
"""One block in so many is held out."""

_BANDS = (0.0, 56.0, 64.0, 72.0)
"""Latitudes at which the borders of UTM zones may change."""

_INSIDE_BANDS = (-40.0, 28.0, 60.0, 68.0, 78.0)

_ROWS = 512
"""Rows whose pixels are looked up at once, near the border of a zone."""

_FIELD_NAME = re.compile(r"(\d{5})_(-?\d{1,7})_(-?\d{1,7})")

Mask = npt.NDArray[np.bool_]


def is_held_out(epsg: int, column: int, row: int) -> bool:
    """True for a block that is held out; ``column`` and ``row`` count km from easting and northing 0 of its UTM zone."""
    digest = hashlib.sha256(f"{epsg}:{column}:{row}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % SHARE == 0


def held_out(window: Window) -> Mask:
    """True (height, width) where the ground of a pixel is held out."""
    if _all_in_zone(window):
        columns = np.arange(window.left, window.right) // BLOCK
        rows = (window.top - 1 - np.arange(window.height)) // BLOCK
        return _looked_up(window.epsg, columns[None, :], rows[:, None])
    parts = [
        _near_border(Window(window.epsg, window.left, window.top - row, window.width, min(_ROWS, window.height - row)))
        for row in range(0, window.height, _ROWS)
    ]
    return np.concatenate(parts)


def field_name(epsg: int, left: int, top: int) -> str:
    """Name of a field by the place of its first pixel, from the north and then from the west: the same in every area and year."""
    return f"{epsg:05d}_{left}_{top}"


def reaching(names: Sequence[str], ground: BaseGeometry) -> set[str]:
    """Names of the fields that may reach into some ground (longitude and latitude).

    A name tells the first pixel of a field, which reaches no further from there than a block does. Raises `ValueError`: no field's name.
    """
    places: dict[int, list[tuple[str, float, float]]] = {}
    for name in names:
        match = _FIELD_NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"not a field's name: {name!r}; it looks like 32631_57468_562244")
        epsg, left, top = (int(part) for part in match.groups())
        places.setdefault(epsg, []).append((name, (left + 0.5) * PIXEL, (top - 0.5) * PIXEL))
    found: set[str] = set()
    for epsg, here in places.items():
        points = shapely.points([(x, y) for _, x, y in here])
        near = shapely.dwithin(points, to_zone(ground, epsg), math.hypot(BLOCK, BLOCK) * PIXEL)
        found.update(name for (name, _, _), reaches in zip(here, near.tolist(), strict=True) if reaches)
    return found


def _looked_up(epsg: int, columns: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Mask:
    """True where the block is held out, for columns and rows that broadcast to the shape wanted."""
    left, bottom = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) - left + 1, int(rows.max()) - bottom + 1
    table = np.array([[is_held_out(epsg, left + x, bottom + y) for x in range(width)] for y in range(height)])
    looked_up: Mask = table[rows - bottom, columns - left]
    return looked_up


def _all_in_zone(window: Window) -> bool:
    """True where all of a window surely lies in the zone that it is laid out in."""
    west, south, east, north = window.widened(BLOCK).bounds
    x, y = np.meshgrid(np.linspace(west, east, 5), np.linspace(south, north, 5))
    longitudes, latitudes = moved_points(x, y, window.epsg, 4326)
    return bool((_zones(longitudes, latitudes) == window.epsg).all())


def _near_border(window: Window) -> Mask:
    """Look each pixel's centre up in the zone that it belongs to."""
    x, y = np.meshgrid(
        (window.left + np.arange(window.width) + 0.5) * PIXEL, (window.top - np.arange(window.height) - 0.5) * PIXEL
    )
    longitudes, latitudes = moved_points(x, y, window.epsg, 4326)
    zones = _zones(longitudes, latitudes)
    mask = np.zeros(window.shape, np.bool_)
    for zone in np.unique(zones).tolist():
        here = zones == zone
        places = (
            (x[here], y[here]) if zone == window.epsg else moved_points(longitudes[here], latitudes[here], 4326, zone)
        )
        columns, rows = (np.floor(part / (BLOCK * PIXEL)).astype(np.int64) for part in places)
        mask[here] = _looked_up(zone, columns, rows)
    return mask


def _zones(longitudes: npt.NDArray[np.float64], latitudes: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """EPSG code of the UTM zone of points: constant in 3° of longitude between the latitudes where borders may change."""
    strips = np.floor(longitudes / 3).astype(np.int64)
    bands = np.digitize(latitudes, _BANDS)
    zones = np.zeros(longitudes.shape, np.int64)
    for strip, band in np.unique(np.stack([strips.ravel(), bands.ravel()]), axis=1).T.tolist():
        zones[(strips == strip) & (bands == band)] = utm_zone(3 * strip + 1.5, _INSIDE_BANDS[band])
    return zones
