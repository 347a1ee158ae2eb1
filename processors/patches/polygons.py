"""Polygons out of the geometries of a vector file, whatever holds them, and why a row has none that can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from shapely import GeometryType, GEOSException

from catalog.errors import RequestError
from catalog.guards.refusal import Refuse
from catalog.guards.vectors import polygon_layers
from catalog.quoting import shortened, shown


class RowFault(StrEnum):
    """The kinds of reasons for not using a row."""

    NO_GEOMETRY = "no_geometry"
    """Geometry that is missing, empty, or can't be decoded."""
    NO_POLYGON = "no_polygon"
    """Points or lines only."""
    NO_POINT = "no_point"
    """Several points in one row."""
    DAMAGED = "damaged"
    """Polygons that enclose nothing, or with coordinates that are no finite numbers."""
    NO_CODE = "no_code"
    NO_RADIUS = "no_radius"
    """Something in the column of radii that is none."""

    @property
    def words(self) -> str:
        """Kind as a text shows it."""
        return _WORDS[self]


_WORDS = {
    RowFault.NO_GEOMETRY: "without a geometry",
    RowFault.NO_POLYGON: "points or lines only",
    RowFault.NO_POINT: "several points",
    RowFault.DAMAGED: "polygons that enclose nothing",
    RowFault.NO_CODE: "without a code",
    RowFault.NO_RADIUS: "with a radius that is no number from 0 to 250 m",
}

_POLYGONS = (GeometryType.POLYGON, GeometryType.MULTIPOLYGON)


@dataclass(frozen=True, slots=True, eq=False)
class Polygons:
    """Polygons (N,) of rows, flat, and the row (N,) that each is of."""

    shapes: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    faults: Counter[RowFault]
    """Rows without any, by kind."""


def only_layer(path: Path, what: str, named: str | None, refuse: Refuse, give: str) -> str:
    """The layer of a vector file that is named, else the only one that may hold polygons.

    ``what``: the request's field; ``give``: what a file without polygons is told to be. Raises `RequestError`, and what ``refuse`` makes.
    """
    layers, listed = polygon_layers(path, refuse)
    if named is not None:
        if named not in layers:
            raise RequestError(
                f"{what}_layer: {path} has no layer {shown(named)} that may hold polygons. It has {shortened(listed, 300) or 'none'}."
            )
        return named
    if not layers:
        raise RequestError(f"{what} {path}: holds no polygons{f', but {listed}' if listed else ''}. {give}")
    if len(layers) > 1:
        raise RequestError(
            f"{what} {path}: has several layers of polygons ({shortened(', '.join(layers), 300)}). Name the one meant: {what}_layer."
        )
    return layers[0]


def onto_zone(shapes: npt.NDArray[Any], crs: CRS, epsg: int) -> npt.NDArray[Any]:
    """Shapes (N,) in the metres of a zone, without heights; what lies beyond the coordinate system gets coordinates that are not finite."""
    zone = CRS.from_epsg(epsg)
    flat: npt.NDArray[Any] = shapely.force_2d(shapes)
    if crs.equals(zone):
        return flat
    transform = Transformer.from_crs(crs, zone, always_xy=True).transform
    moved: npt.NDArray[Any] = shapely.transform(flat, transform, interleaved=False)  # type: ignore[arg-type]
    return moved


def polygons_of(geometries: npt.NDArray[Any]) -> Polygons:
    """The polygons in geometries (rows,): of collections those inside, of damaged ones what can be repaired."""
    shapes = shapely.force_2d(geometries)
    rows = np.arange(len(shapes))
    faults: Counter[RowFault] = Counter()
    nothing = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    faults[RowFault.NO_GEOMETRY] = int(nothing.sum())
    shapes, rows = shapes[~nothing], rows[~nothing]
    finite = _finite(shapes)
    sound = shapely.is_valid(shapes)
    for number in np.flatnonzero(~sound & finite):
        shapes[number] = _repaired(shapes[number])
    areal = np.isin(shapely.get_type_id(shapes), _POLYGONS)
    for number in np.flatnonzero(~areal):
        shapes[number] = _inside(shapes[number])
    enclosing = finite & (shapely.area(shapes) > 0)
    faults[RowFault.DAMAGED] = int((~enclosing & (areal | ~sound)).sum())
    faults[RowFault.NO_POLYGON] = int((~enclosing & ~areal & sound).sum())
    return Polygons(shapes[enclosing], rows[enclosing], +faults)


def points_of(geometries: npt.NDArray[Any]) -> Polygons:
    """The same of points: a row is one."""
    shapes = shapely.force_2d(geometries)
    rows = np.arange(len(shapes))
    nothing = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    shapes, rows = shapes[~nothing], rows[~nothing]
    single = holds_one_point(shapes)
    shapes[single] = shapely.get_geometry(shapes[single], 0)
    finite = _finite(shapes)
    faults = {
        RowFault.NO_GEOMETRY: int(nothing.sum()),
        RowFault.NO_POINT: int((~single).sum()),
        RowFault.DAMAGED: int((single & ~finite).sum()),
    }
    return Polygons(shapes[single & finite], rows[single & finite], +Counter(faults))


def holds_one_point(shapes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each of shapes (N,) is a point, or holds one and nothing else: its first part is that point."""
    kinds = shapely.get_type_id(shapes)
    held: npt.NDArray[np.bool_] = (kinds == GeometryType.POINT) | (
        (kinds == GeometryType.MULTIPOINT) & (shapely.get_num_geometries(shapes) == 1)
    )
    return held


def faults_text(faults: Counter[RowFault]) -> str:
    """Faults in words: ``3 rows can't be used: 2 without a geometry, 1 points or lines only``; empty where there is none."""
    total = faults.total()
    if not total:
        return ""
    listed = ", ".join(f"{count} {kind.words}" for kind, count in sorted(faults.items()) if count)
    return f"{total} row{'s' if total > 1 else ''} can't be used: {listed}"


def _finite(shapes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    coordinates, of_shape = shapely.get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), bool)
    finite[of_shape[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _repaired(shape: Any) -> Any:
    try:
        return shapely.make_valid(shape)
    except GEOSException:
        return shapely.Polygon()


def _inside(shape: Any) -> Any:
    """The polygons in a collection, as one shape; an empty one where there are none."""
    return shapely.MultiPolygon(list(_parts([shape])))


def _parts(shapes: Iterable[Any]) -> Iterable[Any]:
    for shape in shapes:
        kind = shapely.get_type_id(shape)
        if kind == GeometryType.POLYGON:
            if not shape.is_empty:
                yield shape
        elif kind in (GeometryType.MULTIPOLYGON, GeometryType.GEOMETRYCOLLECTION):
            yield from _parts(shape.geoms)
