"""GeoJSON geometries of others: footprints of items, tiles and models."""

from __future__ import annotations

from typing import Any

import numpy as np
from shapely import get_coordinates
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.guards.refusal import Refuse, refusing
from catalog.quoting import shown

KINDS = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection")

_FOREIGN = (ShapelyError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, RecursionError)
"""What shapely makes of lists that are nested otherwise than the type asks for."""


def parse_shape(value: Any, refuse: Refuse, *, degrees: bool = True) -> BaseGeometry:
    """The geometry, with finite coordinates; in ``degrees`` they are longitudes (up to a turn away) and latitudes.

    Raises what ``refuse`` makes.
    """
    if not isinstance(value, dict) or value.get("type") not in KINDS:
        kind = value.get("type") if isinstance(value, dict) else value
        raise refuse(f"{shown(kind)} is no geometry of GeoJSON")
    with (
        refusing(_FOREIGN, lambda why: refuse(f"its coordinates are no {value['type']} ({why})")),
        np.errstate(all="ignore"),
    ):
        geometry = shape(value)
        coordinates = get_coordinates(geometry)
    if geometry.is_empty:
        raise refuse("it is empty")
    if not np.isfinite(coordinates).all():
        raise refuse("it has coordinates that are not finite")
    if degrees and (np.abs(coordinates) > (360, 90)).any():
        raise refuse("it has coordinates that are no longitudes and latitudes")
    return geometry
