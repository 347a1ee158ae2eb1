"""The UTM zone of a request: its area on the grid, what it touches there, and whether that is too much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import centre
from catalog.area import Area
from catalog.errors import RequestError
from catalog.grid import (
    CELL,
    FARTHEST,
    PIXEL,
    SQUARE,
    Cell,
    Window,
    blocks_meeting,
    cells_meeting,
    to_zone,
    utm_zone,
    window_around,
)
from catalog.lattice import squares_meeting

MOST_PIXELS = 10_000_000_000
"""Pixels of the one raster over an area and all between its parts. What lies between is never written, yet every tile of a raster
has its place in the file: ten thousand million pixels cost a copy 10 s and 200 MB."""

SPREAD = 8
"""Surface of the cells that an area may touch, as a multiple of the largest area: a compact one touches half as much again, one of
many small fields, or of the squares around a few hundred points of a region, a cell for each."""

FEW_CELLS = 9
"""Cells that any area may touch."""

_LARGE = 2048 * 2048
"""Pixels of a window that is looked at whether it is mostly empty."""

_CELL_KM2 = (CELL * PIXEL / 1000) ** 2


@dataclass(frozen=True)
class Zone:
    """UTM zone of a request, and its area on the grid."""

    area: Area
    epsg: int

    @classmethod
    def of(cls, area: Area) -> Zone:
        """The UTM zone of the area's centroid. Raises `RequestError` beyond UTM."""
        return cls(area, utm_zone(*centre(area)))

    @cached_property
    def geometry(self) -> BaseGeometry:
        """The area in the zone's metres."""
        return to_zone(self.area, self.epsg)

    @cached_property
    def window(self) -> Window:
        """The window around the area, parts and all between them."""
        return window_around(self.geometry, self.epsg)

    @cached_property
    def cells(self) -> list[Cell]:
        return cells_meeting(self.geometry, self.epsg)

    @property
    def around_points(self) -> bool:
        """Whether the area is made of whole squares, as `catalog.area_points` makes it."""
        square = (SQUARE * PIXEL) ** 2
        return abs(self.geometry.area - len(self.squares) * square) < 1e-3 * square

    @cached_property
    def squares(self) -> list[Window]:
        """The squares of the grid that the area meets, row by row from the north."""
        around = self.window
        left, top = around.left // SQUARE * SQUARE, -(-around.top // SQUARE) * SQUARE
        width, height = -(-(around.right - left) // SQUARE) * SQUARE, -(-(top - around.bottom) // SQUARE) * SQUARE
        return blocks_meeting(self.geometry, Window(self.epsg, left, top, width, height), SQUARE)

    @cached_property
    def groups(self) -> list[Window]:
        """Windows around parts that lie close together; see `group_windows`."""
        return group_windows(self.geometry, self.epsg)

    def check_work(self, max_km2: float) -> None:
        """Raise `RequestError` where the area takes more work than one of ``max_km2`` may, or one raster can't hold it."""
        west, south, east, north = self.geometry.bounds
        if not all(map(math.isfinite, (west, south, east, north))) or max(500_000 - west, east - 500_000) > FARTHEST:
            raise RequestError(
                f"area: it reaches over {FARTHEST / 1000:,.0f} km from the middle of UTM zone {self.epsg % 100}, the one of its centre. "
                "Send one request for each of its parts."
            )
        width, height = (east - west) / PIXEL, (north - south) / PIXEL
        if width * height > MOST_PIXELS:
            raise RequestError(
                f"area: its parts lie so far apart that one raster over all would have {width:,.0f} x {height:,.0f} pixels, over the limit "
                f"of {MOST_PIXELS / 1e9:g} thousand million. Send one request for each group of parts."
            )
        allowed = max(FEW_CELLS, math.ceil(SPREAD * max_km2 / _CELL_KM2))
        if len(self.cells) > allowed:
            raise RequestError(
                f"area: its parts touch {len(self.cells)} cells of {CELL * PIXEL / 1000:g} km, all of which are read: "
                f"{len(self.cells) * _CELL_KM2:,.0f} km², where {allowed} cells are the limit for areas of up to {max_km2:,.0f} km². Send "
                "several requests, each for parts that lie together, or raise CROPLINE_MAX_AREA_KM2."
            )


def group_windows(zone_area: BaseGeometry, epsg: int) -> list[Window]:
    """Windows around the parts of a geometry that lie close together, from the north, then from the west.

    Parts in one cell or in cells that touch are one group, so two groups lie at least a cell apart; a compact area is one. A large group
    that is mostly empty, as squares around points are, is divided into those that touch, so that no window grows with what lies between.
    """
    parts = shapely.get_parts(zone_area)
    if len(parts) == 1:
        return [window_around(zone_area, epsg)]
    windows: list[Window] = []
    for group in _together(parts, epsg, CELL):
        own = parts[group]
        around = window_around(MultiPolygon(own.tolist()), epsg)
        windows += _divided(own, around) if around.width * around.height > _LARGE else [around]
    return sorted(windows, key=lambda window: (-window.top, window.left))


def _divided(parts: npt.NDArray[np.object_], around: Window) -> list[Window]:
    """Windows around parts in squares that touch, else around each part, where these are at most half of the window around all."""
    for groups in (_together(parts, around.epsg, SQUARE), [[number] for number in range(len(parts))]):
        windows = [window_around(MultiPolygon(parts[near].tolist()), around.epsg) for near in groups]
        if 2 * sum(window.width * window.height for window in windows) < around.width * around.height:
            return windows
    return [around]


def _together(parts: npt.NDArray[np.object_], epsg: int, edge: int) -> list[list[int]]:
    """Numbers of the parts that lie in squares of a lattice, ``edge`` pixels wide, that touch one another, group by group."""
    members: dict[tuple[int, int], list[int]] = {}
    for number, part in enumerate(parts.tolist()):
        window = window_around(part, epsg)
        columns = np.arange(window.left // edge, (window.right - 1) // edge + 1)
        rows = np.arange(window.bottom // edge, (window.top - 1) // edge + 1)
        met = squares_meeting(part, columns * edge * PIXEL, rows * edge * PIXEL, edge * PIXEL)
        for row, column in met:
            members.setdefault((int(columns[column]), int(rows[row])), []).append(number)
    groups: list[list[int]] = []
    left = dict(members)
    while left:
        reached, group = [next(iter(left))], set[int]()
        while reached:
            column, row = reached.pop()
            for beside in product((column - 1, column, column + 1), (row - 1, row, row + 1)):
                if beside in left:
                    group.update(left.pop(beside))
                    reached.append(beside)
        groups.append(sorted(group))
    return groups
