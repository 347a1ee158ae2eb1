"""Footprints of data sets, from the geometries of what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from agrunet.errors import AgrunetError

_LONGITUDE_LATITUDE = "OGC:CRS84"


def read_crs(member: dict[str, Any] | None, path: Path) -> CRS:
    """Read the coordinate system of a GeoJSON: its ``crs`` member (PASTIS is in Lambert-93), or longitude and latitude (RFC 7946).

    Raises `AgrunetError` where the member can't be understood; ``path`` is for the message.
    """
    if member is None:
        return CRS(_LONGITUDE_LATITUDE)
    try:
        return CRS.from_user_input(member["properties"]["name"])
    except (CRSError, KeyError, TypeError) as error:
        raise AgrunetError(f"{path}: no known coordinate system in {member}. Download it again.") from error


def boxes_footprint(geometries: Sequence[tuple[str, dict[str, Any] | None]], crs: CRS) -> dict[str, Any] | None:
    """Draw a box of longitude and latitude around the geometries of each name, as a GeoJSON polygon or multipolygon.

    One box for each Sentinel-2 tile: a box around them all would claim the land between them. None where a geometry is missing, or
    its coordinates aren't of the coordinate system.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for name, geometry in geometries:
        if geometry is None:
            return None
        points.setdefault(name, []).extend(_points(geometry.get("coordinates")))
    transformer = Transformer.from_crs(crs, _LONGITUDE_LATITUDE, always_xy=True)
    boxes = []
    for name in sorted(points):
        if not points[name]:
            return None
        x, y = np.array(points[name]).T
        box = transformer.transform_bounds(x.min(), y.min(), x.max(), y.max())
        if not np.isfinite(box).all() or max(abs(box[0]), abs(box[2])) > 180 or max(abs(box[1]), abs(box[3])) > 90:
            return None
        boxes.append(_ring(*box))
    if len(boxes) == 1:
        return {"type": "Polygon", "coordinates": boxes[0]}
    return {"type": "MultiPolygon", "coordinates": boxes}


def _points(coordinates: object) -> Iterator[tuple[float, float]]:
    """Yield every position in GeoJSON coordinates, however deep the type nests them."""
    if not isinstance(coordinates, list) or not coordinates:
        return
    if isinstance(coordinates[0], int | float):
        yield float(coordinates[0]), float(coordinates[1])
        return
    for part in coordinates:
        yield from _points(part)


def _ring(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return [[[round(float(x), 6), round(float(y), 6)] for x, y in corners]]
