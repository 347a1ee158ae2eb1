"""Longitudes around the antimeridian (180°): the only place that knows how they are written.

The world writes what lies across it in several ways: one ring from 179 to -179, one from 179 to 181, two parts that end at 180
and -180 (RFC 7946, 3.1.9). Inside this project it is always the last, made by `cut`; `unbroken` undoes that for measuring.

The package `antimeridian` was tried: of 3,000 random rings 5 % came out invalid, those with a vertex on 180° itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.affinity import translate
from shapely.geometry import (
    GeometryCollection,
    LineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
    box,
    mapping,
    shape,
)
from shapely.geometry.base import BaseGeometry

FULL, HALF = 360.0, 180.0
"""The Earth around, and half of it, degrees."""

Coordinates = npt.NDArray[np.float64]


def cut(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry in longitudes from -180 to 180, in parts where it lies across 180°; itself where it is so already.

    An edge over more than half of the Earth is meant the other way round. Raises `ValueError` where a ring goes round a pole, or
    what there is to cut isn't valid.
    """
    laid = continuous(geometry)
    west, _, east, _ = laid.bounds
    if laid.is_empty or (west >= -HALF and east <= HALF):
        return laid
    turns = range(int((west + HALF) // FULL), int(-((HALF - east) // FULL)) + 1)
    try:
        pieces = [
            translate(shapely.intersection(laid, box(turn * FULL - HALF, -91, turn * FULL + HALF, 91)), -turn * FULL)
            for turn in turns
        ]
    except shapely.GEOSException as error:
        raise ValueError(f"it can't be cut at the antimeridian ({error})") from error
    kind = shapely.get_dimensions(laid)
    parts = [part for piece in pieces for part in _simple(piece) if shapely.get_dimensions(part) == kind]
    # What only touches 180° from one side has no part on the other.
    parts = [part for part in parts if kind < 2 or part.area > 0]
    return parts[0] if len(parts) == 1 else _collected(parts)


def continuous(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry with rings and lines that don't jump: longitudes may go on beyond 180. Itself where nothing jumps.

    Raises `ValueError` where a ring goes round a pole.
    """
    if geometry.is_empty:
        return geometry
    west, _, east, _ = geometry.bounds
    if east - west <= HALF and west >= -HALF and east <= HALF:
        return geometry
    parts = _simple(geometry)
    laid = [_laid(part) for part in parts]
    if all(new is old for new, old in zip(laid, parts, strict=True)):
        return geometry
    return laid[0] if len(laid) == 1 else _collected(laid)


def unbroken(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry with its parts on both sides of 180° side by side, in longitudes up to 360, where that brings them closer."""
    west, _, east, _ = geometry.bounds
    if geometry.is_empty or not east - west > HALF:
        return geometry
    parts = _simple(geometry)
    turned = [translate(part, FULL) if sum(part.bounds[::2]) < 0 else part for part in parts]
    around = _collected(turned)
    if not around.bounds[2] - around.bounds[0] < east - west:
        return geometry
    return shapely.union_all(turned)


def centre(geometry: BaseGeometry) -> tuple[float, float]:
    """Longitude (-180 to 180) and latitude of the centroid, degrees."""
    middle = unbroken(geometry).centroid
    return (middle.x + HALF) % FULL - HALF, middle.y


def bbox(geometry: BaseGeometry) -> tuple[float, float, float, float]:
    """West, south, east, north as GeoJSON has them: across the antimeridian west is greater than east (RFC 7946, 5.2)."""
    west, south, east, north = unbroken(geometry).bounds
    return west, south, (east - FULL if east > HALF else east), north


def rectangle(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """The rectangle of a bbox; where west is greater than east, the one across the antimeridian."""
    return cut(box(west, south, east + FULL if west > east else east, north))


def cut_geojson(value: Any) -> dict[str, Any]:
    """A footprint in GeoJSON as `cut` has it; unchanged where nothing lies across 180°.

    Raises `ValueError` where it is no geometry, or spans more than half of the Earth, which no product does.
    """
    if not isinstance(value, dict):
        raise ValueError("it is no GeoJSON geometry")
    try:
        geometry = shape(value)
        laid = continuous(geometry)
        whole = laid if laid.is_empty else shapely.make_valid(laid)  # some rings can't be made whole
    except (shapely.GEOSException, TypeError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(f"it is no GeoJSON geometry ({type(error).__name__}: {error})") from error
    if laid.is_empty:
        return value
    if not np.isfinite(laid.bounds).all():
        raise ValueError("its longitudes and latitudes are not finite")
    if HALF < laid.bounds[2] - laid.bounds[0] < FULL and isinstance(laid, Polygon):
        raise ValueError(
            "it spans more than half of the Earth: it seems to lie across 180° and to be drawn the other way round"
        )
    if laid is geometry and geometry.bounds[0] >= -HALF and geometry.bounds[2] <= HALF:
        return value
    return geojson(cut(whole))


def geojson(geometry: BaseGeometry) -> dict[str, Any]:
    """The GeoJSON of a geometry, plain lists and floats."""
    plain = mapping(geometry)
    return {"type": plain["type"], "coordinates": _lists(plain["coordinates"])}


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple | list) else value


def _laid(part: BaseGeometry) -> BaseGeometry:
    """A point, line or polygon that doesn't jump, around the longitudes that it starts in."""
    if isinstance(part, Polygon):
        return _polygon(part)
    if isinstance(part, LineString):
        line = _steady(shapely.get_coordinates(part))
        return part if line is None else LineString(line)
    x = part.bounds[0]
    return part if -HALF <= x <= HALF else translate(part, -FULL * ((x + HALF) // FULL))


def _polygon(polygon: Polygon) -> Polygon:
    rings = [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
    steady = [_steady(ring) for ring in rings]
    laid = [old if new is None else new for old, new in zip(rings, steady, strict=True)]
    outer, *holes = laid
    if any(abs(ring[-1, 0] - ring[0, 0]) > HALF for ring in laid):
        raise ValueError("it goes round a pole")
    # A hole may be written a turn away from the ring that it lies in.
    turns = [FULL * np.round((_middle(outer) - _middle(hole)) / FULL) for hole in holes]
    holes = [np.add(hole, (turn, 0.0)) for hole, turn in zip(holes, turns, strict=True)]
    turn = FULL * ((_middle(outer) + HALF) // FULL)
    if turn or any(turns) or any(new is not None for new in steady):
        return Polygon(np.subtract(outer, (turn, 0.0)), [np.subtract(hole, (turn, 0.0)) for hole in holes])
    return polygon


def _middle(ring: Coordinates) -> float:
    return float(ring[:, 0].min() + ring[:, 0].max()) / 2


def _steady(vertices: Coordinates) -> Coordinates | None:
    """The vertices (N, 2) without jumps; None where there is none. A ring all of whose vertices lie on 180° is the whole Earth's."""
    steps = np.diff(vertices[:, 0])
    if not (np.abs(steps) > HALF).any() or bool((np.abs(vertices[:, 0]) == HALF).all()):
        return None
    laid = vertices[:, :2].copy()
    laid[1:, 0] -= FULL * np.cumsum(np.round(steps / FULL))
    return laid


def _simple(geometry: BaseGeometry) -> list[BaseGeometry]:
    """Points, lines and polygons of a geometry."""
    if not hasattr(geometry, "geoms"):
        return [geometry]
    return [part for member in geometry.geoms for part in _simple(member)]


def _collected(parts: list[BaseGeometry]) -> BaseGeometry:
    polygons = [part for part in parts if isinstance(part, Polygon)]
    points = [part for part in parts if isinstance(part, Point)]
    if len(polygons) == len(parts):
        return MultiPolygon(polygons)
    return MultiPoint(points) if len(points) == len(parts) else GeometryCollection(parts)
