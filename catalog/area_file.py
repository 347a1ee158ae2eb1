"""Areas in files: read where a request names one, and kept in the store where they are too long to travel in a request."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely.geometry import mapping

from catalog.area import Area, as_geojson
from catalog.errors import RequestError
from catalog.guards.json_text import parse_object
from catalog.guards.paths import user_path
from catalog.guards.vectors import polygon_layers, vector_errors
from catalog.quoting import shortened
from catalog.storage.store import Store, digest
from catalog.storage.whole import write_json

LONGEST_INLINE = 100_000
"""Bytes of GeoJSON that a request carries itself. Prefect takes 524,288 of parameters, and hands them out with every list of runs."""

_FORMS = "Give GeoJSON, a bbox, or the path of a GeoJSON or GeoPackage file."
_GEOPACKAGE = b"SQLite format 3\x00"


def area_value(area: Any) -> Any:
    """What an area says: the content of the file where it is the path of one, GeoJSON for `catalog.area.parse_area`; else itself.

    Raises `RequestError` where no such file can be read.
    """
    if not isinstance(area, str):
        return area
    path = Path(area) if "://" in area else user_path(area, lambda why: RequestError(f"area: {why}. {_FORMS}"))
    if "://" in area or not path.is_file():
        what = "an address is not read" if "://" in area else "there is no file"
        raise RequestError(
            f"area: expected GeoJSON or a bbox [west, south, east, north], or the path of a file; {what}: {shortened(area, 200)}."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"area: {path} can't be read ({error.strerror}). {_FORMS}") from error
    if content.startswith(_GEOPACKAGE):
        return _from_geopackage(path)
    return parse_object(content, lambda why: RequestError(f"area: {path} is no GeoPackage, and {why}. {_FORMS}"))


def settled(store: Store, area: Area, given: Any) -> dict[str, Any] | str:
    """The area as a request carries it: its geometry, or the path of a file in the store that holds it and is named by its digest.

    ``given``: what the request said. Raises `RequestError` where that is such a file and holds something else by now.
    """
    geometry = as_geojson(area)
    name = digest(geometry)
    if isinstance(given, str) and Path(given).parent == store.areas and Path(given).stem != name:
        raise RequestError(
            f"area: {given} is damaged: it no longer holds the area that it is named by. Send the area itself."
        )
    if len(json.dumps(geometry, separators=(",", ":"))) <= LONGEST_INLINE:
        return geometry
    path = store.areas / f"{name}.geojson"
    if path.is_file():
        path.touch()  # requests that wait in a queue name it: pruning goes by when it was last asked for
    else:
        write_json(path, geometry)
    return str(path)


def _from_geopackage(path: Path) -> dict[str, Any]:
    """A FeatureCollection of the polygons in the only layer that has any."""
    import pyogrio  # GDAL, which most requests don't need here

    def refuse(why: str) -> RequestError:
        return RequestError(f"area: {path} can't be read ({why}). {_FORMS}")

    with vector_errors(refuse), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what GDAL says of a damaged file before it gives up
        layers, listed = polygon_layers(path, refuse)
        if len(layers) != 1:
            held = shortened(listed, 200) or "none"
            raise RequestError(f"area: {path} has {len(layers)} layers of polygons, one is needed. Its layers: {held}.")
        meta, _, wkb, _ = pyogrio.raw.read(path, layer=layers[0], columns=[], force_2d=True)
    with vector_errors(
        lambda why: RequestError(f"area: {path} doesn't say its coordinate system ({why}). Set it, or give GeoJSON.")
    ):
        system = CRS.from_user_input(meta["crs"])
        transform = Transformer.from_crs(system, CRS.from_epsg(4326), always_xy=True).transform
    geometries = shapely.from_wkb(wkb, on_invalid="ignore")
    there = np.asarray(geometries)[~shapely.is_missing(geometries)]
    moved = shapely.transform(there, transform, interleaved=False)  # type: ignore[arg-type]
    features = [{"type": "Feature", "properties": {}, "geometry": mapping(geometry)} for geometry in moved]
    return {"type": "FeatureCollection", "features": features}
