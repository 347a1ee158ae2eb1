"""The grid that pixels lie on: UTM zones cut into cells of 1024 x 1024 pixels of 10 m, and windows of pixels in a zone.

Pixel coordinates of a zone are integers: ``left`` counts pixels eastward from easting 0, ``top`` counts pixels northward
from northing 0 to the upper edge. Arrays run from north to south, so row ``i`` of a window has its upper edge at
``top - i``.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import Transformer
from shapely.geometry import MultiPolygon, box
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import cut, unbroken
from catalog.errors import RequestError
from catalog.lattice import squares_meeting

PIXEL = 10
"""Pixel size, m."""

CELL = 1024
"""Edge of a cell, pixels."""

SQUARE = 128
"""Edge of the squares that an area of points is made of, pixels: what is read of a cube at once, and the usual patch of a network. Cells
are whole numbers of them, so the square that holds a point touches one cell."""

FARTHEST = 1_000_000
"""Distance from the middle of its zone that an area may reach, m: there a pixel of 10 m is 1.2 % off on the ground."""

MEMORY_RASTERS = threading.Lock()
"""Lock held where rasterio makes rasters in memory: it does so under `warnings.catch_warnings`, whose state all threads share."""

_STRAIGHT = 1000.0
"""Metres over which a line of one zone is straight to within a centimetre in another one."""

_FEW_VERTICES = 1000

_CELL_NAME = re.compile(r"(\d{5})_((?!-0000)-?\d{4})_((?!-0000)-?\d{4})")


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of pixels of one UTM zone; ``left`` and ``top`` as the module says, sizes in pixels."""

    epsg: int
    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top - self.height

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) as arrays have it."""
        return self.height, self.width

    @property
    def transform(self) -> Affine:
        return Affine(PIXEL, 0, self.left * PIXEL, 0, -PIXEL, self.top * PIXEL)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in m."""
        return self.left * PIXEL, self.bottom * PIXEL, self.right * PIXEL, self.top * PIXEL

    def intersection(self, other: Window) -> Window | None:
        """Part that both cover, or None."""
        if self.epsg != other.epsg:
            raise ValueError(f"windows of different zones: EPSG:{self.epsg} and EPSG:{other.epsg}")
        left, right = max(self.left, other.left), min(self.right, other.right)
        top, bottom = min(self.top, other.top), max(self.bottom, other.bottom)
        if left >= right or bottom >= top:
            return None
        return Window(self.epsg, left, top, right - left, top - bottom)

    def widened(self, margin: int) -> Window:
        """The window with ``margin`` pixels more on every side."""
        return Window(
            self.epsg, self.left - margin, self.top + margin, self.width + 2 * margin, self.height + 2 * margin
        )

    def slices(self, part: Window) -> tuple[slice, slice]:
        """Row and column slices of ``part`` (which lies inside) in an array of this window."""
        row, column = self.top - part.top, part.left - self.left
        return slice(row, row + part.height), slice(column, column + part.width)

    def blocks(self, size: int) -> Iterator[Window]:
        """Cut into blocks of at most ``size`` x ``size`` pixels, from the north-west, row by row."""
        for row in range(0, self.height, size):
            for column in range(0, self.width, size):
                yield Window(
                    self.epsg,
                    self.left + column,
                    self.top - row,
                    min(size, self.width - column),
                    min(size, self.height - row),
                )


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """Cell of a zone, counted from its lower-left corner in units of 10,240 m.

    An area has one zone, of its centroid's hemisphere, and goes on beyond the equator in that zone's northings, which are then negative
    or over 10,000,000 m: so a row may be negative, and a column too, west of the zone's easting 0.
    """

    epsg: int
    column: int
    row: int

    @property
    def name(self) -> str:
        return f"{self.epsg:05d}_{_counted(self.column)}_{_counted(self.row)}"

    @classmethod
    def from_name(cls, name: str) -> Cell:
        match = _CELL_NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"not a cell's name: {name!r}; it looks like 32631_0056_0549, or 32631_0056_-0001")
        return cls(*(int(part) for part in match.groups()))

    @property
    def window(self) -> Window:
        return Window(self.epsg, self.column * CELL, (self.row + 1) * CELL, CELL, CELL)


def _counted(number: int) -> str:
    """Four digits and a sign where there is one."""
    return f"{number:05d}" if number < 0 else f"{number:04d}"


def cells_of_window(window: Window) -> list[Cell]:
    """The cells that a window touches, sorted."""
    columns = range(window.left // CELL, (window.right - 1) // CELL + 1)
    rows = range(window.bottom // CELL, (window.top - 1) // CELL + 1)
    return [Cell(window.epsg, column, row) for column in columns for row in rows]


def cells_meeting(zone_area: BaseGeometry, epsg: int) -> list[Cell]:
    """The cells that share some area with a geometry given in the zone's metres, sorted."""
    window = window_around(zone_area, epsg)
    columns = np.arange(window.left // CELL, (window.right - 1) // CELL + 1)
    rows = np.arange(window.bottom // CELL, (window.top - 1) // CELL + 1)
    edge = CELL * PIXEL
    met = squares_meeting(zone_area, columns * edge, rows * edge, edge)
    return sorted(Cell(epsg, int(columns[column]), int(rows[row])) for row, column in met)


def blocks_meeting(zone_area: BaseGeometry, window: Window, size: int) -> list[Window]:
    """The blocks that `Window.blocks` cuts a window into, row by row: those that share surface with a geometry in the zone's metres."""
    columns = np.arange(0, window.width, size)
    rows = np.arange(0, window.height, size)[::-1]  # from the south
    met = squares_meeting(zone_area, (window.left + columns) * PIXEL, (window.top - rows - size) * PIXEL, size * PIXEL)
    places = sorted((int(rows[row]), int(columns[column])) for row, column in met)
    return [
        Window(
            window.epsg,
            window.left + column,
            window.top - row,
            min(size, window.width - column),
            min(size, window.height - row),
        )
        for row, column in places
    ]


def window_around(zone_area: BaseGeometry, epsg: int) -> Window:
    """The smallest window of whole pixels around a geometry given in the zone's metres."""
    west, south, east, north = zone_area.bounds
    # A hair inside: a vertex that came back from longitude and latitude a micrometre off its pixel's edge adds no pixel.
    hair = 1e-4
    left, right = math.floor(west / PIXEL + hair), math.ceil(east / PIXEL - hair)
    bottom, top = math.floor(south / PIXEL + hair), math.ceil(north / PIXEL - hair)
    return Window(epsg, left, top, max(1, right - left), max(1, top - bottom))


def utm_zone(longitude: float, latitude: float) -> int:
    """EPSG code of the UTM zone of a point, with the exceptions of Norway and Svalbard as the MGRS has them.

    Raises `RequestError` beyond 80 S and 84 N, where UTM ends.
    """
    if not -180 <= longitude <= 180:
        longitude = (longitude + 180) % 360 - 180
    zone = int((longitude + 180) // 6) % 60 + 1
    if 56 <= latitude < 64 and 3 <= longitude < 12:
        zone = 32
    elif latitude >= 72 and 0 <= longitude < 42:
        zone = 31 if longitude < 9 else 33 if longitude < 21 else 35 if longitude < 33 else 37
    if not -80 <= latitude <= 84:
        raise RequestError(
            f"the area's centre lies at latitude {latitude:.2f}, outside UTM (80 S to 84 N). Ask for an area inside."
        )
    return (32600 if latitude >= 0 else 32700) + zone


@lru_cache(maxsize=64)
def _transformer(source: int, target: int) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def moved_points(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], source: int, target: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points of one EPSG code in another one; 4326 is longitude and latitude, in that order."""
    moved: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] = _transformer(source, target).transform(x, y)
    return moved


def to_zone(geometry: BaseGeometry, epsg: int) -> BaseGeometry:
    """A longitude/latitude geometry in the metres of a zone (vertices are moved, edges stay straight).

    Parts on both sides of the antimeridian become one again.
    """
    geometry = unbroken(geometry)
    moved: BaseGeometry = shapely.transform(geometry, _transformer(4326, epsg).transform, interleaved=False)  # type: ignore[arg-type]
    return moved


def to_lonlat(geometry: BaseGeometry, epsg: int) -> BaseGeometry:
    """The inverse of `to_zone`: in longitudes from -180 to 180, cut at the antimeridian."""
    moved: BaseGeometry = shapely.transform(geometry, _transformer(epsg, 4326).transform, interleaved=False)  # type: ignore[arg-type]
    return cut(moved)


def in_zone(window: Window, epsg: int, margin: int = 0) -> Window:
    """The smallest window of another zone around a window, with ``margin`` pixels more on every side; the window itself in its own."""
    if window.epsg == epsg:
        return window
    outline = shapely.segmentize(box(*window.bounds), _STRAIGHT)
    return window_around(to_zone(to_lonlat(outline, window.epsg), epsg), epsg).widened(margin)


def positions(window: Window, other: Window) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and column (H, W) in another window, of any zone, of the pixels that hold the centres of this one's; beyond it, too."""
    rows, columns = np.meshgrid(np.arange(window.height) + 0.5, np.arange(window.width) + 0.5, indexing="ij")
    x, y = (window.left + columns) * PIXEL, (window.top - rows) * PIXEL
    if window.epsg != other.epsg:
        x, y = _transformer(window.epsg, other.epsg).transform(x, y)
    return (
        np.floor(other.top - y / PIXEL).astype(np.int64),
        np.floor(x / PIXEL - other.left).astype(np.int64),
    )


def inside(zone_area: BaseGeometry | dict[str, Any], window: Window) -> npt.NDArray[np.bool_]:
    """True (height, width) where a pixel's centre lies in the geometry, given in the zone's metres."""
    if isinstance(zone_area, BaseGeometry):
        zone_area = clipped(zone_area, window)
        if zone_area.is_empty:
            return np.zeros(window.shape, np.bool_)
    mask: npt.NDArray[np.bool_] = burnt([(zone_area, 1)], window) == 1
    return mask


def clipped(zone_area: BaseGeometry, window: Window) -> BaseGeometry:
    """The part of a geometry, in the zone's metres, that tells which pixels of a window lie in it; may be empty.

    A geometry of few vertices is left as it is: pixels are burnt row by row, with work for each vertex.
    """
    if shapely.get_num_coordinates(zone_area) <= _FEW_VERTICES:
        return zone_area
    west, south, east, north = around = window.widened(1).bounds
    parts = shapely.get_parts(zone_area)
    bounds = shapely.bounds(parts)
    parts = parts[(bounds[:, 0] < east) & (bounds[:, 2] > west) & (bounds[:, 1] < north) & (bounds[:, 3] > south)]
    long = shapely.get_num_coordinates(parts) > _FEW_VERTICES
    parts[long] = shapely.intersection(parts[long], box(*around))
    parts = shapely.get_parts(shapely.get_parts(parts))
    return MultiPolygon(parts[shapely.get_dimensions(parts) == 2].tolist())


def holds_pixel(area: BaseGeometry, epsg: int) -> bool:
    """True where a pixel's centre lies in the area (longitude and latitude), laid out in that zone."""
    zone_area = to_zone(area, epsg)
    for part in getattr(zone_area, "geoms", [zone_area]):
        for cell in cells_meeting(part, epsg):
            window = window_around(part, epsg).intersection(cell.window)
            if window is not None and inside(part, window).any():
                return True
    return False


def burnt(shapes: Iterable[tuple[BaseGeometry | dict[str, Any], int]], window: Window) -> npt.NDArray[np.int32]:
    """(height, width): the number of the last geometry, in the zone's metres, that holds a pixel's centre; 0 where none does."""
    from rasterio.features import rasterize  # GDAL, which most commands don't need

    numbers = np.zeros(window.shape, np.int32)
    with MEMORY_RASTERS:
        rasterize(shapes, out=numbers, transform=window.transform)
    return numbers
