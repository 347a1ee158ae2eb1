"""Rows of labels and masks by their place: of a vector file, of GeoParquet, or of a table of longitudes and latitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely

from catalog.errors import RequestError
from catalog.guards.refusal import Refuse
from catalog.guards.vectors import (
    check_form,
    count_rows,
    is_parquet,
    layer_summary,
    point_layers,
    polygon_layers,
    read_layer,
    read_parquet,
    vector_errors,
)
from catalog.point_table import is_table, read_point_table
from catalog.quoting import shortened
from processors.patches.polygons import only_layer

_POINTS = ("Point", "MultiPoint")

Bounds = tuple[float, float, float, float]
"""West, south, east, north, in the coordinate system of the rows; across 180° west is greater than east."""


class Rows(Protocol):
    """Rows of a file. What a file is wrong in is a `RequestError` that says so."""

    @property
    def path(self) -> Path: ...

    @property
    def crs(self) -> str:
        """Coordinate system, as text that pyproj reads."""

    @property
    def types(self) -> dict[str, str]:
        """Types of the columns, without the geometry, by their names: ``int64`` and the like, ``object`` for text."""

    @property
    def pointed(self) -> bool:
        """Whether the rows are points."""

    def near(self, bounds: Bounds, columns: Sequence[str]) -> Any:
        """The rows that meet bounds, and perhaps others, as a `geopandas.GeoDataFrame` with these columns."""

    def column(self, name: str) -> Any:
        """A column of all rows as a `pandas.Series`."""

    def count(self) -> int:
        """Number of rows."""

    def without_geometry(self) -> int:
        """Number of rows that have none."""


def open_rows(path: Path, what: str, layer: str | None, *, points: bool) -> Rows:
    """Open the rows of a file. ``what``: the request's field; ``layer``: of a file with several; ``points``: whether they serve, too.

    Raises `RequestError` where it is no such file, has several layers and none is named, or doesn't say its coordinate system.
    """
    if is_table(path):
        if layer is not None:
            raise RequestError(f"{what}_layer: {path} is a table, which has no layers. Drop {what}_layer.")
        if not points:
            raise RequestError(f"{what} {path}: a table holds points. Give polygons or a raster.")
        table = FrameRows(path, what)
        _ = table.frame  # what is wrong with it is said here
        return table

    def refuse(why: str) -> RequestError:
        return RequestError(
            f"{what} {path}: neither a raster nor a vector file that can be read ({why}). It must be GeoTIFF, GeoPackage, GeoParquet, "
            f"GeoJSON, shapefile or FlatGeobuf{', or CSV with lon and lat' if points else ''}."
        )

    check_form(path, refuse)
    if is_parquet(path):
        if layer is not None:
            raise RequestError(f"{what}_layer: {path} is GeoParquet, which has no layers. Drop {what}_layer.")
        framed = FrameRows(path, what)
        _ = framed.frame  # what is wrong with it is said here
        rows: Rows = framed
    else:
        named, pointed = _the_layer(path, what, layer, refuse, points=points)
        # Points are asked for by many small windows.
        rows = FrameRows(path, what, named) if pointed else LayerRows(path, what, named)
    if not rows.crs:
        raise RequestError(f"{what} {path}: has no coordinate system. Set it, e.g. with ogr2ogr -a_srs EPSG:32631.")
    return rows


def _the_layer(path: Path, what: str, named: str | None, refuse: Refuse, *, points: bool) -> tuple[str, bool]:
    """The layer that is named, else the only one that may hold polygons, else, where these serve, of points; and whether it is of these."""
    pointed = point_layers(path, refuse)
    if points and pointed and (named in pointed or (named is None and not polygon_layers(path, refuse)[0])):
        if named is None and len(pointed) > 1:
            listed = shortened(", ".join(pointed), 300)
            raise RequestError(
                f"{what} {path}: has several layers of points ({listed}). Name the one meant: {what}_layer."
            )
        return named or pointed[0], True
    return only_layer(path, what, named, refuse, f"Give polygons{', points' if points else ''} or a raster."), False


def _unreadable(what: str, path: Path, why: str) -> RequestError:
    return RequestError(f"{what} {path}: can't be read, it may be damaged: {why}. Write the file again.")


@dataclass(frozen=True)
class LayerRows:
    """Polygons of a layer that GDAL reads."""

    path: Path
    what: str
    layer: str
    pointed: bool = False

    @cached_property
    def _described(self) -> dict[str, Any]:
        import pyogrio  # brings geopandas

        with vector_errors(partial(_unreadable, self.what, self.path)):
            described: dict[str, Any] = pyogrio.read_info(self.path, layer=self.layer)
        return described

    @property
    def crs(self) -> str:
        """See `Rows`."""
        return str(self._described["crs"] or "")

    @property
    def types(self) -> dict[str, str]:
        """See `Rows`."""
        names, types = self._described["fields"], self._described["dtypes"]
        return {str(name): str(kind) for name, kind in zip(names, types, strict=True)}

    def near(self, bounds: Bounds, columns: Sequence[str]) -> Any:
        """See `Rows`."""
        return self._read(bounds, columns)

    def column(self, name: str) -> Any:
        """See `Rows`."""
        return self._read(None, [name])[name]

    def count(self) -> int:
        """See `Rows`."""
        return count_rows(self.path, self.layer, partial(_unreadable, self.what, self.path))

    def without_geometry(self) -> int:
        """See `Rows`."""
        return layer_summary(self.path, self.layer, partial(_unreadable, self.what, self.path))[2]

    def _read(self, bounds: Bounds | None, columns: Sequence[str]) -> Any:
        refuse = partial(_unreadable, self.what, self.path)
        if bounds is not None and bounds[0] > bounds[2]:
            bounds = -180.0, bounds[1], 180.0, bounds[3]  # rows far from there may be among what is read
        return read_layer(self.path, self.layer, refuse, bounds, list(columns))


@dataclass(frozen=True)
class FrameRows:
    """Rows of GeoParquet, which GDAL isn't built to read everywhere, of a table or of a layer of points: read at once, and kept."""

    path: Path
    what: str
    layer: str | None = None

    @cached_property
    def frame(self) -> Any:
        if is_table(self.path):
            give = "Give a CSV with lon, lat and a class, or a vector file."
            return read_point_table(self.path, lambda why: RequestError(f"{self.what} {self.path}: {why}. {give}"))
        refuse = partial(_unreadable, self.what, self.path)
        if self.layer is not None:
            return read_layer(self.path, self.layer, refuse)
        return read_parquet(self.path, refuse).reset_index(drop=True)

    @cached_property
    def pointed(self) -> bool:
        """See `Rows`."""
        kinds = set(self.frame.geometry.geom_type.dropna())
        return self.layer is not None or (bool(kinds) and kinds <= set(_POINTS))

    @property
    def crs(self) -> str:
        """See `Rows`."""
        return "" if self.frame.crs is None else str(self.frame.crs.to_wkt())

    @property
    def types(self) -> dict[str, str]:
        """See `Rows`."""
        columns = self.frame.drop(columns=self.frame.geometry.name)
        return {str(name): _type(columns[name]) for name in columns.columns}

    @cached_property
    def _edges(self) -> Any:
        return self.frame.geometry.bounds.to_numpy()

    def near(self, bounds: Bounds, columns: Sequence[str]) -> Any:
        """See `Rows`."""
        west, south, east, north = bounds
        edges = self._edges
        with np.errstate(invalid="ignore"):
            met = (edges[:, 1] <= north) & (edges[:, 3] >= south)
            before, behind = edges[:, 0] <= east, edges[:, 2] >= west
            met &= before & behind if west <= east else before | behind
        return self.frame.loc[met, [*columns, self.frame.geometry.name]]

    def column(self, name: str) -> Any:
        """See `Rows`."""
        return self.frame[name]

    def count(self) -> int:
        """See `Rows`."""
        return len(self.frame)

    def without_geometry(self) -> int:
        """See `Rows`."""
        shapes = self.frame.geometry.to_numpy()
        return int((shapely.is_missing(shapes) | shapely.is_empty(shapes)).sum())


def _type(column: Any) -> str:
    """Type as GDAL would say it; text that holds integers alone is one of them: tables have nothing else."""
    if column.dtype != object:
        return str(column.dtype).lower()
    given = [str(value).strip() for value in column if value is not None]
    return "int64" if given and all(value.removeprefix("-").isdecimal() for value in given) else "object"
