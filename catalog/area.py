"""The area of a request: GeoJSON in any of its usual forms, checked before anything else happens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from pyproj import Geod
from shapely import get_num_coordinates, get_parts, transform
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon, box, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient
from shapely.ops import unary_union
from shapely.validation import explain_validity

from catalog.antimeridian import continuous, cut, geojson, rectangle, unbroken
from catalog.errors import RequestError
from catalog.lattice import squares_meeting
from catalog.quoting import shown

Area = Polygon | MultiPolygon

_GEOD = Geod(ellps="WGS84")


def parse_area(value: Any) -> Area:
    """Make one polygon or multipolygon (longitude, latitude, degrees) of what a user calls an area.

    Takes a GeoJSON geometry, Feature or FeatureCollection (its polygons are united) or a bbox
    ``[west, south, east, north]``. Across the antimeridian a bbox has west greater than east, a ring may jump from 180 to -180 or
    go on beyond 180, and what comes out is cut there. Raises `RequestError` naming what is wrong: no polygon, a third dimension,
    coordinates that aren't longitude and latitude, edges that cross, no surface, a pole inside.
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


def around(bounds: Iterable[Sequence[float]]) -> tuple[float, float, float, float] | None:
    """West, south, east, north of all of several such bounds; None of none."""
    listed = list(bounds)
    if not listed:
        return None
    west, south, east, north = zip(*listed, strict=True)
    return min(west), min(south), max(east), max(north)


def parse_geometry(value: Any) -> BaseGeometry:
    """Make one geometry (longitude, latitude, degrees) of any GeoJSON, points and lines too, or of a bbox.

    Heights are passed over: they say nothing about where it lies. Across the antimeridian its longitudes go on beyond 180.
    Raises `RequestError` as `parse_area` does.
    """
    if not isinstance(value, dict):
        return unbroken(parse_area(value))
    parts = [part for geometry in _geometries(value) for part in _parts(geometry)]
    if not parts:
        raise RequestError("area: the FeatureCollection holds no feature. Give at least one point, line or polygon.")
    united = parts[0] if len(parts) == 1 else unary_union(parts)
    united = unbroken(cut(united))
    west, _, east, _ = united.bounds
    if east - west > 180:
        raise RequestError("area: it spans more than half of the Earth. Give a smaller one.")
    return united


def area_km2(area: BaseGeometry) -> float:
    """Geodesic area on WGS84, km², however the rings are wound."""
    parts = [part for part in get_parts(area) if isinstance(part, Polygon)]
    # Rings count by the way they are wound: holes against their polygon, polygons against one another.
    square_metres = (_GEOD.geometry_area_perimeter(orient(part))[0] for part in parts)
    return float(sum(square_metres)) / 1e6


def check_size(area: Area, max_km2: float, part: str | None = None) -> None:
    """Raise `RequestError` when the area is larger than the installation allows. ``part``: of it, that a user may ask for."""
    size = area_km2(area)
    if size > max_km2:
        remedy = "Split it into several requests" if part is None else f"Ask for a part, such as {part}"
        raise RequestError(
            f"area: {size:,.0f} km² is over the limit of {max_km2:,.0f} km². {remedy}, or raise CROPLINE_MAX_AREA_KM2."
        )


def as_geojson(area: BaseGeometry) -> dict[str, Any]:
    """The GeoJSON geometry of an area, plain lists and floats."""
    return geojson(area)


def covering(area: BaseGeometry, most: int = 200) -> BaseGeometry:
    """A geometry of at most about ``most`` vertices that covers an area: itself, or squares of degrees around it.

    For searches, whose bodies services limit; what they find has to be compared with the area itself.
    """
    if get_num_coordinates(area) <= most:
        return area
    edge = _FINEST
    while True:
        squares = _squares_around(area, edge)
        if get_num_coordinates(squares) <= most or edge > 8:
            return squares
        edge *= 2


_FINEST = 1 / 64
"""Edge of the squares that cover an area of many vertices, degrees; a power of two, so that they fit together exactly."""


def _squares_around(area: BaseGeometry, edge: float) -> BaseGeometry:
    west, south, east, north = (bound / edge for bound in area.bounds)
    columns = np.arange(math.floor(west), math.ceil(east) + 1)
    rows = np.arange(math.floor(south), math.ceil(north) + 1)
    scaled = transform(area, lambda vertices: vertices / edge)
    met = squares_meeting(scaled, columns, rows, 1, hair=-1e-6)
    found = unary_union(
        [box(columns[c] * edge, rows[r] * edge, (columns[c] + 1) * edge, (rows[r] + 1) * edge) for r, c in met]
    )
    clipped: BaseGeometry = found.intersection(box(-180, -90, 180, 90))
    return clipped


def _from_bbox(value: Sequence[Any]) -> Area:
    if len(value) != 4 or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        raise RequestError(f"area: a bbox has four numbers [west, south, east, north], got {shown(list(value))}.")
    west, south, east, north = (float(number) for number in value)
    _check_coordinates([(west, south), (east, north)])
    if west == east or south >= north:
        raise RequestError(f"area: the bbox {shown(list(value))} has no surface; it goes [west, south, east, north].")
    if west > east and east + 360 - west > 180:
        raise RequestError(
            f"area: west {west:g} lies east of {east:g}, and across the antimeridian (180°) it would go {east + 360 - west:g} degrees "
            "around the Earth. Write [west, south, east, north]."
        )
    made = rectangle(west, south, east, north)
    if not isinstance(made, Polygon | MultiPolygon):
        raise RequestError(f"area: the bbox {shown(list(value))} has no surface; it goes [west, south, east, north].")
    return made


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
    try:
        polygon = continuous(polygon)
    except ValueError as error:
        raise RequestError(
            f"area: {error}, and UTM ends at 80 S and 84 N. Ask for an area inside; longitudes go from -180 to 180."
        ) from error
    # Of crossing edges the surfaces can cancel out: only a hull without surface tells that there is none.
    if polygon.is_empty or polygon.convex_hull.area == 0:
        raise RequestError("area: the polygon has no surface. Give another, or leave it out.")
    if not polygon.is_valid:
        raise RequestError(
            f"area: the polygon is not valid: {explain_validity(polygon)}. Its edges may not cross or touch: repair it, "
            "with Fix geometries of QGIS for instance."
        )
    polygon = cut(polygon)
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
        if not (-360 <= longitude <= 360 and -90 <= latitude <= 90):
            raise RequestError(
                f"area: [{longitude}, {latitude}] is not [longitude, latitude] in degrees (EPSG:4326). "
                "Reproject the area to WGS84, and check the order."
            )
