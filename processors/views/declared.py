"""Parcels that a request names, read from any vector file onto the zone, and laid over its pixels."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from catalog.errors import RequestError
from catalog.grid import Window, burnt, clipped
from catalog.guards.vectors import check_form, is_parquet, layer_summary, read_layer, read_parquet, vector_errors
from processors.patches.polygons import RowFault, faults_text, only_layer, onto_zone, polygons_of

FORMS = "Give polygons as GeoPackage, GeoParquet, GeoJSON, shapefile or FlatGeobuf."

COLUMNS = (
    "id", "value", "crop", "share", "confidence", "hectares", "pixels", "ndvi_peak", "ndvi_peak_date", "geometry",
)  # fmt: skip
"""Own columns of a table of parcels."""

ADDED = (
    "note", "metrics:area", "determination:datetime", "determination:method", "determination:details", "bbox",
)  # fmt: skip
"""Columns that files of a delivery have beside these."""

PREFIX = "declared_"
"""Before the name of a column of the file that is also the name of one of ours."""

MOST_COLUMNS = 1900
"""Columns of a file of parcels, at most: a table of a GeoPackage has no more than 2,000, ours among them."""

MOST_LAYERS = 50
"""Parcels that may lie over one another: each takes all pixels of a block that it touches, in memory."""

_AT_ONCE = 200
"""Polygons whose neighbours are looked for at once: where many lie on one place, pairs are many."""

_TAKEN = {*COLUMNS, *ADDED, "fid", "geom"}
"""Names, in lower case, that columns of the file don't keep: GeoPackages take the last two for themselves, and tell no cases apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """Parcels of a file that lie in an area, in the order of the file: polygons (N,) in the zone's metres, other columns as a frame."""

    name: str
    polygons: npt.NDArray[Any]
    columns: Any
    outside: int
    """Rows of the file that lie elsewhere."""
    unused: str
    """Rows that can't be used, in words; empty where all can."""
    called: Mapping[str, str] = field(default_factory=dict)
    """Names of the columns in the frame, by their names in the file."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about rows that no parcel of the delivery is of."""
        notes = []
        if self.outside:
            rows = "parcel lies" if self.outside == 1 else "parcels lie"
            notes.append(f"parcels {self.name}: {self.outside} {rows} outside of the area.")
        if self.unused:
            notes.append(f"parcels {self.name}: {self.unused}.")
        return tuple(notes)


def open_declared(path: Path, zone_area: BaseGeometry, epsg: int, layer: str | None = None) -> Declared:
    """Read the parcels of a vector file that lie in an area, given in the metres of a zone. ``layer``: of a file with several.

    Raises `RequestError` where the file is missing, holds no polygons, doesn't say where they are, or none of them lies in the area.
    """
    if not path.exists():
        raise RequestError(f"parcels: no file {path}. Check the path; it resolves from where the command runs.")
    frame, count, nowhere = _read(path, zone_area, epsg, layer)

    def refuse(why: str) -> RequestError:
        return RequestError(f"parcels {path}: can't be brought to EPSG:{epsg}: {why}. Reproject it first.")

    with vector_errors(refuse), np.errstate(all="ignore"):
        moved = onto_zone(frame.geometry.to_numpy(), CRS.from_user_input(frame.crs), epsg)
        held = polygons_of(moved)
        polygons, rows = _by_row(held.shapes, held.rows)
    shapely.prepare(zone_area)
    meets = shapely.intersects(zone_area, polygons)
    faults = held.faults | Counter(
        {RowFault.NO_GEOMETRY: nowhere}
    )  # which may or may not be among the rows that were read
    unused = faults_text(faults)
    if not meets.any():
        raise RequestError(
            f"parcels {path}: none of its {count} rows lies in the area{f' ({unused})' if unused else ''}. Give parcels of the area, or an "
            "area around them."
        )
    if layers_of(polygons[meets], MOST_LAYERS).max() >= MOST_LAYERS:
        raise RequestError(
            f"parcels {path}: more than {MOST_LAYERS} of them lie over one another. Remove those that stand there several times, or give "
            "the parcels of one year."
        )
    columns = frame.drop(columns=frame.geometry.name).iloc[rows[meets]].reset_index(drop=True)
    outside = count - int(meets.sum()) - faults.total()
    given = list(map(str, columns.columns))
    if len(given) > MOST_COLUMNS:
        raise RequestError(
            f"parcels {path}: has {len(given):,} columns, over the limit of {MOST_COLUMNS:,}: GeoPackages hold no more. Drop those "
            "that the delivery needn't keep."
        )
    columns = _own_names(columns)
    called = dict(zip(given, map(str, columns.columns), strict=True))
    return Declared(path.name, polygons[meets], columns, outside, unused, called)


def _read(path: Path, zone_area: BaseGeometry, epsg: int, named: str | None) -> tuple[Any, int, int]:
    """Rows near the area, how many there are in all, and how many of these have no geometry."""

    def refuse(why: str) -> RequestError:
        return RequestError(f"parcels {path}: can't be read ({why}). {FORMS}")

    check_form(path, refuse)
    if is_parquet(path):
        if named is not None:
            raise RequestError(f"parcels_layer: {path} is a GeoParquet file, which has no layers. Drop parcels_layer.")
        frame = read_parquet(path, refuse)
        if frame.crs is None:
            raise _without_crs(path)
        covering = [name for name in frame.columns if isinstance(next(iter(frame[name]), None), dict)]
        return frame.drop(columns=[name for name in covering if name == "bbox"]), len(frame), 0  # made anew
    layer = only_layer(path, "parcels", named, refuse, FORMS)
    crs, count, nowhere = layer_summary(path, layer, refuse)
    if crs is None:
        raise _without_crs(path)
    with vector_errors(refuse):
        around = Transformer.from_crs(epsg, crs, always_xy=True).transform_bounds(*zone_area.bounds)
    # Where the area lies beyond what the file's coordinate system can say, all rows are read.
    beyond = not np.isfinite(around).all() or around[0] > around[2]
    return read_layer(path, layer, refuse, None if beyond else around), count, nowhere


def _without_crs(path: Path) -> RequestError:
    return RequestError(
        f"parcels {path}: has no coordinate system. Set it, e.g. with ogr2ogr -a_srs EPSG:32631, or give GeoJSON."
    )


def _by_row(polygons: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """One geometry a row, and the rows that have one, rising."""
    order = np.argsort(rows, kind="stable")
    polygons, rows = polygons[order], rows[order]
    own, starts = np.unique(rows, return_index=True)
    ends = np.append(starts, len(rows))[1:]
    whole = np.empty(len(own), object)
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        whole[number] = polygons[start] if end - start == 1 else shapely.union_all(polygons[start:end])
    return whole, own


def _own_names(columns: Any) -> Any:
    """Columns under names that collide with none of ours, and with none of each other, whatever the case, in types that every form of a
    table can hold."""
    taken, names = set(_TAKEN), {}
    for name in map(str, columns.columns):
        wanted = f"{PREFIX}{name}" if name.casefold() in _TAKEN else name
        unique, number = wanted, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{wanted}_{number}"
        taken.add(unique.casefold())
        names[name] = unique
    return columns.rename(columns=names).apply(_plain)


def _plain(column: Any) -> Any:
    """A column as numbers of 64 bits, truth values, times, or else text."""
    import pandas as pd
    from pandas.api import types

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype if not column.hasnans else object).convert_dtypes()
    kind = column.dtype
    if types.is_bool_dtype(kind) or types.is_datetime64_any_dtype(kind):
        return column
    if types.is_integer_dtype(kind) and not column.max() >= 2**63:
        return column.astype("Int64" if column.hasnans else "int64")
    if types.is_float_dtype(kind):
        return column.astype("float64")
    return pd.Series(pd.array([_text(value) for value in column], dtype="string"), index=column.index)


def _text(value: Any) -> str | None:
    import pandas as pd

    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).replace("\0", "")  # which ends a text in a GeoPackage


@dataclass(frozen=True)
class DeclaredLayers:
    """Declared parcels as numbers from 1 on, on the pixels of windows: a pixel belongs to a parcel that holds its centre."""

    polygons: npt.NDArray[Any]

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons)

    @cached_property
    def _layers(self) -> npt.NDArray[np.int64]:
        return layers_of(self.polygons)

    def read(self, window: Window) -> tuple[npt.NDArray[np.int32], ...]:
        """Layers (H, W) of numbers, 0 for none: parcels that overlap stand in different ones, so that each has all its pixels."""
        near = np.sort(self._tree.query(shapely.box(*window.bounds)))
        own = self._layers[near]
        layers: list[npt.NDArray[np.int32]] = []
        for layer in np.unique(own):
            parts = ((clipped(self.polygons[number], window), int(number) + 1) for number in near[own == layer])
            layers.append(burnt([(part, number) for part, number in parts if not part.is_empty], window))
        return tuple(layers)


def layers_of(polygons: npt.NDArray[Any], most: int | None = None) -> npt.NDArray[np.int64]:
    """The layer (N,) of each polygon, from 0: the first that holds none before it that it overlaps. Ends at one beyond ``most`` layers."""
    tree = shapely.STRtree(polygons)
    layers = np.zeros(len(polygons), np.int64)
    for start in range(0, len(polygons), _AT_ONCE):
        first, second = tree.query(polygons[start : start + _AT_ONCE], predicate="intersects")
        first = first + start
        before = second < first
        first, second = first[before], second[before]
        overlap = shapely.relate_pattern(polygons[first], polygons[second], "T********")
        against: dict[int, list[int]] = {}
        for later, earlier in zip(first[overlap].tolist(), second[overlap].tolist(), strict=True):
            against.setdefault(later, []).append(earlier)
        for later in sorted(against):
            taken = set(layers[against[later]].tolist())
            layers[later] = next(layer for layer in range(len(taken) + 1) if layer not in taken)
            if most is not None and layers[later] >= most:
                return layers
    return layers
