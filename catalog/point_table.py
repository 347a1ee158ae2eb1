"""Points of a table: a CSV with longitude and latitude in degrees, as field surveys and reference data come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shapely

from catalog.guards.csv_text import read_rows
from catalog.guards.numbers import finite
from catalog.guards.refusal import Refuse
from catalog.quoting import shortened

LONGITUDES = ("lon", "longitude", "long", "lng", "x", "th_long", "gps_long")
LATITUDES = ("lat", "latitude", "y", "th_lat", "gps_lat")
"""Names of the columns, whatever their case; the last ones are those of LUCAS, whose points are observed where the grid has them."""

_SUFFIXES = (".csv", ".txt", ".tsv")


def is_table(path: Path) -> bool:
    """Return whether a file is read as a table, by its name."""
    return path.suffix.lower() in _SUFFIXES


def read_point_table(path: Path, refuse: Refuse) -> Any:
    """The rows as a `geopandas.GeoDataFrame` of points in EPSG:4326, their columns as text; None where one has no place on the earth.

    Raises what ``refuse`` makes: the file can't be read, holds no row, or has no columns of longitudes and latitudes.
    """
    import geopandas  # brings pandas, slowly

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(f"can't be read ({error}); save it as CSV in UTF-8") from error
    rows = [row for _, row in read_rows(text, (), refuse)]
    if not rows:
        raise refuse("it holds no row")
    names = list(rows[0])
    longitude, latitude = (_named(names, known) for known in (LONGITUDES, LATITUDES))
    if longitude is None or latitude is None:
        listed = shortened(", ".join(names), 200)
        raise refuse(f"it has no columns lon and lat, in degrees, between commas (it has {listed})")
    columns = {name: [row.get(name) or None for row in rows] for name in names if name not in (longitude, latitude)}
    points = [_point(row.get(longitude), row.get(latitude)) for row in rows]
    return geopandas.GeoDataFrame(columns, geometry=points, crs="EPSG:4326")


def _named(names: list[str], known: tuple[str, ...]) -> str | None:
    return next((name for wanted in known for name in names if name.strip().casefold() == wanted), None)


def _point(longitude: Any, latitude: Any) -> shapely.Point | None:
    x, y = finite(longitude), finite(latitude)
    return None if x is None or y is None or abs(x) > 360 or abs(y) > 90 else shapely.Point(x, y)
