"""Vector files of users: areas, labels, crop masks, reference data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from catalog.guards.refusal import Refuse, refusing

_PARQUET = b"PAR1"

_BEGINNINGS = (
    b"SQLite format 3\0",  # GeoPackage
    b"{",  # GeoJSON
    b"\0\0\x27\x0a",  # Shapefile
    b"fgb",  # FlatGeobuf
    _PARQUET,
)


_WITHOUT_POLYGONS = (
    "Point",
    "MultiPoint",
    "Line",
    "MultiLine",
    "2.5D Point",
    "2.5D MultiPoint",
    "2.5D Line",
    "2.5D MultiLine",
)
"""Beginnings of the kinds of layers that are of no use; of those that may hold anything the rows are looked at."""

_WITH_GAPS: dict[type, Any] = {bool: "boolean", int: "Int64"}
"""Types of pandas for columns that don't say something in each row."""


@contextmanager
def vector_errors(refuse: Refuse) -> Iterator[None]:
    """Turn what GDAL, GEOS and PROJ raise of a file that is damaged or isn't what it says into the caller's error."""
    from pyogrio import errors  # brings geopandas, slowly
    from pyproj.exceptions import ProjError
    from shapely.errors import ShapelyError

    foreign = (
        *(errors.DataSourceError, errors.DataLayerError, errors.FeatureError, errors.FieldError, errors.GeometryError),
        errors.CRSError,
        ShapelyError,  # an open ring
        ProjError,
        *(UnicodeDecodeError, OverflowError, MemoryError),
        UnboundLocalError,  # pyogrio 0.11 to 0.12, of a coordinate system that can't be written as text
    )
    with refusing(foreign, refuse):
        yield


def check_form(path: Path, refuse: Refuse) -> None:
    """Raise what ``refuse`` makes of a file that is none of the forms that are read: GDAL's others lead to other files and addresses."""
    if path.is_dir():  # an ESRI geodatabase
        return
    try:
        with path.open("rb") as file:
            start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n") or b"-"
    except OSError as error:
        raise refuse(error.strerror or str(error)) from error
    if start.startswith(_BEGINNINGS) or (start.startswith(b"<") and b"http://www.opengis.net/gml" in start):
        return
    if start.startswith(b"PK\3\4"):
        raise refuse("it is a zip archive: unpack it")
    raise refuse("it is no GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet or GML")


def is_parquet(path: Path) -> bool:
    """Return whether a file is GeoParquet, which GDAL isn't built to read everywhere: `read_parquet` does. Raises `OSError`."""
    if path.is_dir():  # an ESRI geodatabase
        return False
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def geometry_layers(path: Path, refuse: Refuse) -> dict[str, str]:
    """Kinds of the layers that have a geometry, by name. Raises what ``refuse`` makes."""
    import pyogrio  # brings geopandas, slowly

    with vector_errors(refuse):
        # Tables without a geometry (styles, attributes) are of no kind.
        return {str(name): str(kind) for name, kind in pyogrio.list_layers(path) if kind not in (None, "None")}


def polygon_layers(path: Path, refuse: Refuse) -> tuple[list[str], str]:
    """Names of the layers that may hold polygons, and all layers with a geometry in words. Raises what ``refuse`` makes."""
    kinds = geometry_layers(path, refuse)
    layers = [name for name, kind in kinds.items() if not kind.startswith(_WITHOUT_POLYGONS)]
    return layers, ", ".join(f"{name} ({kind})" for name, kind in kinds.items())


def point_layers(path: Path, refuse: Refuse) -> list[str]:
    """Names of the layers of points. Raises what ``refuse`` makes."""
    return [
        name
        for name, kind in geometry_layers(path, refuse).items()
        if kind.removeprefix("2.5D ").startswith(("Point", "MultiPoint"))
    ]


def count_rows(path: Path, layer: str, refuse: Refuse) -> int:
    """Rows of a layer, told without reading them where the form allows. Raises what ``refuse`` makes."""
    import pyogrio

    with vector_errors(refuse):
        return int(pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"])


def column_names(path: Path, layer: str, refuse: Refuse) -> list[str]:
    """Names of a layer's columns beside its geometry. Raises what ``refuse`` makes."""
    import pyogrio

    with vector_errors(refuse):
        return [str(name) for name in pyogrio.read_info(path, layer=layer)["fields"]]


def layer_summary(path: Path, layer: str, refuse: Refuse) -> tuple[str | None, int, int]:
    """Coordinate system of a layer, where it says one, its rows, and those without a geometry. Raises what ``refuse`` makes."""
    import pyogrio

    with vector_errors(refuse):
        described = pyogrio.read_info(path, layer=layer)
        _, listed = pyogrio.read_bounds(path, layer=layer)
    bounds = np.asarray(listed, float)
    # Of an empty geometry all are 0.
    nowhere = np.isnan(bounds).any(axis=0) | (bounds == 0).all(axis=0)
    return described["crs"], nowhere.size, int(nowhere.sum())


def read_layer(
    path: Path,
    layer: str,
    refuse: Refuse,
    bounds: tuple[float, float, float, float] | None = None,
    columns: Sequence[str] | None = None,
) -> Any:
    """A layer as a `geopandas.GeoDataFrame`; a geometry that can't be decoded is a row without one. Raises what ``refuse`` makes.

    ``bounds``: only rows that meet them (west, south, east, north), in the layer's coordinate system; in the order of the layer, too.
    ``columns``: beside the geometry, by default all. Whole numbers with gaps are `Int64`, truth values `boolean`.
    """
    import geopandas
    import pandas as pd
    import pyogrio

    with vector_errors(refuse), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what GDAL says of a damaged file before it gives up
        frame = geopandas.read_file(
            path, engine="pyogrio", layer=layer, on_invalid="ignore", bbox=bounds, columns=columns, fid_as_index=True
        )
        described = pyogrio.read_info(path, layer=layer)
        gaps = {
            str(name): _WITH_GAPS[bool if kind == "bool" else int]
            for name, kind in zip(described["fields"], described["dtypes"], strict=True)
            if kind in ("bool", "int8", "int16", "int32", "int64")
            and name in frame.columns
            and frame[name].dtype.kind == "f"
        }
        if gaps:  # pyogrio makes fractions of them, which hold no more than 53 bits
            table = pyogrio.read_arrow(
                path, layer=layer, columns=[*gaps], read_geometry=False, bbox=bounds, return_fids=True
            )[1]
            # The column of the rows' own numbers comes first, and may be called as another one.
            places = {name: place for place, name in enumerate(table.column_names)}
            for name, kind in gaps.items():
                # By row, since the order of rows is the driver's.
                numbers = dict(zip(table.column(0).to_pylist(), table.column(places[name]).to_pylist(), strict=True))
                frame[name] = pd.Series([numbers.get(row) for row in frame.index], frame.index, dtype=kind)
    if bounds is not None:
        frame = frame.sort_index()  # an index of places has its own order
    return frame.reset_index(drop=True)


def read_parquet(path: Path, refuse: Refuse) -> Any:
    """A GeoParquet file as a `geopandas.GeoDataFrame`, in types as those of `read_layer`. Raises what ``refuse`` makes."""
    import geopandas
    from pyarrow import ArrowException

    # geopandas and pyarrow raise these of metadata that are missing or say otherwise than the columns.
    foreign = (ArrowException, ValueError, KeyError, TypeError, AttributeError, OSError)
    with refusing(foreign, refuse), vector_errors(refuse):
        # Else numbers with gaps would be fractions, which hold no more than 53 bits.
        frame = geopandas.read_parquet(path, to_pandas_kwargs={"integer_object_nulls": True})
        for name in [name for name in frame.columns if frame[name].dtype == object]:
            kinds = {type(value) for value in frame[name] if value is not None}
            if kinds == {bool} or (kinds == {int} and max(map(abs, frame[name].dropna())) < 2**63):
                frame[name] = frame[name].astype(_WITH_GAPS[kinds.pop()])
        return frame


def read_table(path: Path, name: str, refuse: Refuse) -> dict[str, list[Any]] | None:
    """The columns of a GeoPackage's table without geometry; None where it has no such table. Raises what ``refuse`` makes."""
    import pyogrio

    with vector_errors(refuse), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if name not in [str(layer) for layer, kind in pyogrio.list_layers(path) if kind in (None, "None")]:
            return None
        frame = pyogrio.read_dataframe(path, layer=name, read_geometry=False)
    return {str(column): frame[column].tolist() for column in frame.columns}
