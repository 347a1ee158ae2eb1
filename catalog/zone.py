"""The UTM zone of a request: its area on the grid, what it touches there, and whether that is too much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import centre
from catalog.area import Area
from catalog.errors import RequestError
from catalog.grid import CELL, PIXEL, Cell, Window, cells_meeting, to_zone, utm_zone, window_around

MOST_PIXELS = 10_000_000_000
"""Pixels of the one raster over an area and all between its parts. What lies between is never written, yet every tile of a raster
has its place in the file: ten thousand million pixels cost a copy 10 s and 200 MB."""

FARTHEST = 1_000_000
"""Distance from the middle of its zone that an area may reach, m: there a pixel of 10 m is 1.2 % off on the ground."""

SPREAD = 4
"""Surface of the cells that an area may touch, as a multiple of the largest area: a compact one touches half as much again, one of
many small fields a cell for each."""

FEW_CELLS = 9
"""Cells that any area may touch."""

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

    Parts in one cell or in cells that touch are one group, so two groups lie at least a cell apart; a compact area is one.
    """
    parts = shapely.get_parts(zone_area)
    if len(parts) == 1:
        return [window_around(zone_area, epsg)]
    members: dict[Cell, list[int]] = {}
    cells_of = [cells_meeting(part, epsg) for part in parts]
    for number, cells in enumerate(cells_of):
        for cell in cells:
            members.setdefault(cell, []).append(number)
    groups: list[list[int]] = []
    left = dict(members)
    while left:
        reached, group = [next(iter(left))], set[int]()
        while reached:
            cell = reached.pop()
            for row in (cell.row - 1, cell.row, cell.row + 1):
                for column in (cell.column - 1, cell.column, cell.column + 1):
                    beside = Cell(epsg, column, row)
                    if beside in left:
                        group.update(left.pop(beside))
                        reached.append(beside)
        groups.append(sorted(group))
    windows = [window_around(MultiPolygon(parts[group].tolist()), epsg) for group in groups]
    return sorted(windows, key=lambda window: (-window.top, window.left))
