"""The area of points: squares of the grid around them, not their hull.

A square is 128 x 128 pixels (1,280 m), on the grid's own multiples of that. So the square of a point lies in one cell of the cube, is one
chunk of it and one patch to train on: nothing smaller is read, and nothing smaller would be cheaper.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import FULL, HALF, centre, geojson
from catalog.errors import RequestError
from catalog.grid import FARTHEST, PIXEL, SQUARE, moved_points, to_lonlat, utm_zone

_EDGE = SQUARE * PIXEL

Degrees = npt.NDArray[np.float64]


def squares_around(longitudes: Degrees, latitudes: Degrees, radii: npt.NDArray[np.float64]) -> dict[str, Any]:
    """GeoJSON of the squares that hold points (N,), degrees, and what lies within their radii, m; those that touch are one.

    They lie on the grid of the UTM zone of the points' centre. Raises `RequestError` where a point lies beyond UTM, or too far from that.
    """
    beyond = ~(np.abs(latitudes) <= 90) | ~(np.abs(longitudes) <= FULL)
    if beyond.any():
        point = int(np.flatnonzero(beyond)[0])
        raise RequestError(
            f"area: its point {point + 1} lies at [{longitudes[point]:g}, {latitudes[point]:g}], which is no longitude and latitude in "
            "degrees. Correct it, or say the file's coordinate system."
        )
    # As `catalog.antimeridian.unbroken`, which doesn't keep the order of points.
    turned = (longitudes + HALF) % FULL - HALF
    if np.ptp(turned) > HALF and np.ptp(turned % FULL) < np.ptp(turned):
        turned = turned % FULL
    epsg = utm_zone(float(turned.mean()), float(latitudes.mean()))
    squares = to_lonlat(_squares(turned, latitudes, radii, epsg), epsg)
    if (other := utm_zone(*centre(squares))) != epsg:  # the request's zone is that of the squares
        squares = to_lonlat(_squares(turned, latitudes, radii, other), other)
    return geojson(squares)


def _squares(longitudes: Degrees, latitudes: Degrees, radii: npt.NDArray[np.float64], epsg: int) -> BaseGeometry:
    x, y = moved_points(longitudes, latitudes, 4326, epsg)
    far = ~(np.isfinite(x) & np.isfinite(y)) | (np.abs(x - 500_000) > FARTHEST)
    if far.any():
        raise RequestError(
            f"area: {int(far.sum())} of its {len(x)} points lie over {FARTHEST / 1000:,.0f} km from the middle of UTM zone {epsg % 100}, "
            "the one of their centre. Send one request for each region."
        )
    # A point on the edge of two pixels is of the eastern or southern one, and of its square.
    wests, norths = np.floor((x - radii) / _EDGE), np.ceil((y + radii) / _EDGE)
    easts, souths = np.maximum(np.ceil((x + radii) / _EDGE), wests + 1), np.ceil((y - radii) / _EDGE) - 1
    met: set[tuple[int, int]] = set()
    for west, south, east, north in np.column_stack([wests, souths, easts, norths]).astype(np.int64).tolist():
        met.update((column, row) for column in range(west, east) for row in range(south, north))
    columns, rows = np.array(sorted(met), np.int64).T * _EDGE
    united: BaseGeometry = shapely.union_all(shapely.box(columns, rows, columns + _EDGE, rows + _EDGE))
    return united


def pointed(value: dict[str, Any]) -> tuple[Degrees, list[Any]] | None:
    """Longitudes and latitudes (N, 2) in GeoJSON that holds points and nothing else, and the properties of each; None of any other."""
    features = value.get("features") if value.get("type") == "FeatureCollection" else [value]
    if not isinstance(features, list):
        return None
    places: list[list[float]] = []
    properties: list[Any] = []
    for feature in features:
        geometry = feature.get("geometry") if isinstance(feature, dict) and "geometry" in feature else feature
        if geometry is None:
            continue
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind not in ("Point", "MultiPoint"):
            return None
        listed = [geometry.get("coordinates")] if kind == "Point" else geometry.get("coordinates")
        if not isinstance(listed, list) or not all(_is_place(place) for place in listed):
            return None  # whoever reads polygons says what is wrong with it
        places += [place[:2] for place in listed]
        properties += [feature.get("properties")] * len(listed)
    return (np.array(places, np.float64), properties) if places else None


def _is_place(place: Any) -> bool:
    return (
        isinstance(place, list)
        and len(place) in (2, 3)
        and all(
            isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
            for number in place
        )
    )
