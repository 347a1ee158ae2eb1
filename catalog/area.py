"""The area of a request: GeoJSON in any of its usual forms, checked before anything else happens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pyproj import Geod
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union
from shapely.validation import explain_validity

from catalog.errors import RequestError
from catalog.quoting import shown

Area = Polygon | MultiPolygon

_GEOD = Geod(ellps="WGS84")


def parse_area(value: Any) -> Area:
    """Make one polygon or multipolygon (longitude, latitude, degrees) of what a user calls an area.

    Takes a GeoJSON geometry, Feature or FeatureCollection (its polygons are united) or a bbox
    ``[west, south, east, north]``. Raises `RequestError` naming what is wrong: no polygon, a third dimension, coordinates
    that aren't longitude and latitude, edges that cross, no surface, the antimeridian crossed.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _from_bbox(value)
    if not isinstance(value, dict):
        raise RequestError(f"area: expected GeoJSON or a bbox [west, south, east, north], got {type(value).__name__}.")
    polygons = [_from_geometry(geometry) for geometry in _geometries(value)]
    if not polygons:
        raise RequestError("area: the FeatureCollection holds no feature. Give at least one polygon.")
    united = polygons[0] if len(polygons) == 1 else unary_union(polygons)
    if not isinstance(united, Polygon | MultiPolygon):
        raise RequestError("area: its polygons don't make up a surface.")
    return united


def parse_geometry(value: Any) -> BaseGeometry:
    """Make one geometry (longitude, latitude, degrees) of any GeoJSON, points and lines too, or of a bbox.

    Heights are passed over: they say nothing about where it lies. Raises `RequestError` as `parse_area` does.
    """
    if not isinstance(value, dict):
        return parse_area(value)
    parts = [part for geometry in _geometries(value) for part in _parts(geometry)]
    if not parts:
        raise RequestError("area: the FeatureCollection holds no feature. Give at least one point, line or polygon.")
    united = parts[0] if len(parts) == 1 else unary_union(parts)
    if united.bounds[2] - united.bounds[0] > 180:
        raise RequestError(
            "area: it spans more than half of the earth, or crosses the antimeridian (180°): split it there."
        )
    return united


def area_km2(area: BaseGeometry) -> float:
    """Geodesic area on WGS84, km²."""
    square_metres, _ = _GEOD.geometry_area_perimeter(area)
    return abs(float(square_metres)) / 1e6


def check_size(area: Area, max_km2: float) -> None:
    """Raise `RequestError` when the area is larger than the installation allows."""
    size = area_km2(area)
    if size > max_km2:
        raise RequestError(
            f"area: {size:,.0f} km² is over the limit of {max_km2:,.0f} km². "
            "Split it into several requests, or raise CROPLINE_MAX_AREA_KM2."
        )


def as_geojson(area: BaseGeometry) -> dict[str, Any]:
    """The GeoJSON geometry of an area, plain lists and floats."""
    plain = mapping(area)
    return {"type": plain["type"], "coordinates": _lists(plain["coordinates"])}


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple | list) else value


def _from_bbox(value: Sequence[Any]) -> Polygon:
    if len(value) != 4 or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        raise RequestError(f"area: a bbox has four numbers [west, south, east, north], got {shown(list(value))}.")
    west, south, east, north = (float(number) for number in value)
    _check_coordinates([(west, south), (east, north)])
    if west > east:
        raise RequestError(
            f"area: west {west} lies east of {east}. An area across the antimeridian (180°) is not supported: "
            "send one request for each side."
        )
    if west == east or south >= north:
        raise RequestError(f"area: the bbox {shown(list(value))} has no surface; it goes [west, south, east, north].")
    return box(west, south, east, north)


def _geometries(value: dict[str, Any]) -> list[dict[str, Any]]:
    kind = value.get("type")
    if kind == "Feature":
        geometry = value.get("geometry")
        if not isinstance(geometry, dict):
            raise RequestError("area: the Feature has no geometry.")
        return [geometry]
    if kind == "FeatureCollection":
        features = value.get("features")
        if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
            raise RequestError("area: the FeatureCollection has no list of features.")
        return [geometry for feature in features for geometry in _geometries({**feature, "type": "Feature"})]
    return [value]


def _from_geometry(geometry: dict[str, Any]) -> Area:
    kind = geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        raise RequestError(f"area: a Polygon or MultiPolygon is needed, got {shown(kind)}.")
    coordinates = geometry.get("coordinates")
    rings = coordinates if kind == "Polygon" else [ring for part in _listed(coordinates) for ring in _listed(part)]
    _check_vertices([vertex for ring in _listed(rings) for vertex in _listed(ring)])
    try:
        polygon = shape({"type": kind, "coordinates": coordinates})
    except (ValueError, TypeError, GEOSException) as error:
        raise RequestError(
            f"area: not a {kind}: {error}. A ring needs at least four vertices, the last equal to the first."
        ) from error
    # Of crossing edges the surfaces can cancel out: only a hull without surface tells that there is none.
    if polygon.is_empty or polygon.convex_hull.area == 0:
        raise RequestError("area: the polygon has no surface.")
    if not polygon.is_valid:
        raise RequestError(
            f"area: the polygon is not valid: {explain_validity(polygon)}. Its edges may not cross or touch."
        )
    if polygon.bounds[2] - polygon.bounds[0] > 180:
        raise RequestError(
            "area: it seems to cross the antimeridian (180°), which is not supported: send one request for each side."
        )
    if not isinstance(polygon, Polygon | MultiPolygon):
        raise RequestError(f"area: a Polygon or MultiPolygon is needed, got {polygon.geom_type}.")
    return polygon


_DEPTHS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}


def _parts(geometry: dict[str, Any]) -> Iterator[BaseGeometry]:
    """The geometry, or those of a collection, without heights."""
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        for part in _listed(geometry.get("geometries")):
            yield from _parts(part if isinstance(part, dict) else {"type": part})
        return
    if not isinstance(kind, str) or kind not in _DEPTHS:
        raise RequestError(f"area: a GeoJSON geometry is needed, such as a Point or a Polygon, got {shown(kind)}.")
    coordinates = _without_heights(geometry.get("coordinates"), _DEPTHS[kind])
    if "Polygon" in kind:
        yield _from_geometry({"type": kind, "coordinates": coordinates})
        return
    vertices = [coordinates]
    for _ in range(_DEPTHS[kind]):
        vertices = [vertex for part in vertices for vertex in _listed(part)]
    _check_vertices(vertices)
    try:
        made = shape({"type": kind, "coordinates": coordinates})
    except (ValueError, TypeError, GEOSException) as error:
        raise RequestError(f"area: not a {kind}. A line needs at least two vertices.") from error
    if made.is_empty:
        raise RequestError(f"area: the {kind} is empty. Give coordinates.")
    yield made


def _without_heights(coordinates: Any, depth: int) -> Any:
    if depth:
        return [_without_heights(part, depth - 1) for part in _listed(coordinates)]
    return coordinates[:2] if isinstance(coordinates, list) and len(coordinates) == 3 else coordinates


def _check_vertices(vertices: Sequence[Any]) -> None:
    for vertex in vertices:
        if not isinstance(vertex, list | tuple) or not all(
            isinstance(number, int | float) and not isinstance(number, bool) for number in vertex
        ):
            raise RequestError(f"area: {shown(vertex)} is not a [longitude, latitude] pair.")
        if len(vertex) == 3:
            raise RequestError("area: its coordinates are three-dimensional. Drop the heights: [longitude, latitude].")
        if len(vertex) != 2:
            raise RequestError(f"area: {shown(vertex)} is not a [longitude, latitude] pair.")
    _check_coordinates(vertices)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise RequestError("area: its coordinates are not the nested lists that GeoJSON asks for.")
    return list(value)


def _check_coordinates(vertices: Iterable[Sequence[float]]) -> None:
    for longitude, latitude in vertices:
        if not (math.isfinite(longitude) and math.isfinite(latitude)):
            raise RequestError(f"area: [{longitude}, {latitude}] is not finite.")
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise RequestError(
                f"area: [{longitude}, {latitude}] is not [longitude, latitude] in degrees (EPSG:4326). "
                "Reproject the area to WGS84, and check the order."
            )
