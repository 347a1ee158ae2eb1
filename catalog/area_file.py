"""Areas in files: read where a request names one, and kept in the store where they are too long to travel in a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from catalog.area import Area, as_geojson
from catalog.area_tile import is_tile, tile_area
from catalog.area_vectors import FORMS, area_in
from catalog.errors import RequestError
from catalog.guards.paths import user_path, what_lies_at
from catalog.quoting import shortened
from catalog.storage.store import Store, digest
from catalog.storage.whole import write_json

LONGEST_INLINE = 100_000
"""Bytes of GeoJSON that a request carries itself. Prefect takes 524,288 of parameters, and hands them out with every list of runs."""


def area_value(area: Any, reach: float = 0.0) -> Any:
    """What an area says, for `catalog.area.parse_area`: the content of the file or the place on a tile that a text names; else itself.

    ``reach``: see `catalog.area_vectors.area_in`. Raises `RequestError` where there is no such file or tile.
    """
    if not isinstance(area, str):
        return area
    if is_tile(area):
        return tile_area(area)
    path = Path(area) if "://" in area else user_path(area, lambda why: RequestError(f"area: {why}. {FORMS}"))
    if "://" in area or not path.is_file():
        what = "an address is not read" if "://" in area else what_lies_at(path)
        raise RequestError(f"area: {what}: {shortened(area, 200)}. {FORMS}")
    return area_in(path, reach)


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
