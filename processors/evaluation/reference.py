"""Reference data of users: points or parcels with a class each, from a vector file or a table of longitudes and latitudes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from catalog.class_columns import (
    CODE_COLUMNS,
    ID_COLUMNS,
    RADIUS_COLUMNS,
    ROW_NUMBERS,
    WORD_COLUMNS,
    called,
    chosen,
)
from catalog.errors import RequestError
from catalog.guards.vectors import check_form, geometry_layers, is_parquet, read_layer, read_parquet, vector_errors
from catalog.legend_words import word_of
from catalog.point_table import LATITUDES, LONGITUDES, is_table, read_point_table
from catalog.quoting import shortened, shown
from catalog.storage.store import sha256
from processors.delivery.evaluations import Unused
from processors.evaluation.design import SampleDesign
from processors.evaluation.sample_file import ID, POINTS, REFERENCE, read_design
from processors.patches.polygons import RowFault, holds_one_point, onto_zone, polygons_of

FORMS = "Give points or parcels as GeoPackage, GeoParquet, GeoJSON, shapefile or FlatGeobuf, or a CSV with lon, lat and a class."

_NO_CLASSES = (*ROW_NUMBERS, *ID_COLUMNS, *RADIUS_COLUMNS, "remark", *LONGITUDES, *LATITUDES)

_FAULTS = {
    RowFault.NO_GEOMETRY: Unused.NO_GEOMETRY,
    RowFault.NO_POLYGON: Unused.OTHER_GEOMETRY,
    RowFault.DAMAGED: Unused.DAMAGED,
}


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Reference data that have a place: ``shapes`` (n,) points or polygons in the metres of a zone, and what each is called.

    ``words``: None where a row says nothing; ``ids``: of the points of a sample, None elsewhere; ``unused``: rows without a place.
    """

    path: Path
    checksum: str
    column: str
    parcels: bool
    shapes: npt.NDArray[Any]
    words: tuple[str | None, ...]
    ids: tuple[int | None, ...]
    unused: Counter[Unused]
    design: SampleDesign | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows as a file has them: geometries (n,) in a coordinate system, fields (n,) by name."""

    geometries: npt.NDArray[Any]
    crs: CRS
    fields: dict[str, Sequence[Any]]
    unused: Counter[Unused]


def open_reference(path: Path, epsg: int, column: str | None = None, layer: str | None = None) -> Reference:
    """Read reference data onto a zone. ``column``: of the classes, by default the only one that fits; ``layer``: of several.

    Raises `RequestError` where the file is missing, is none of the forms, or doesn't say where or what its rows are.
    """
    if not path.exists():
        raise RequestError(f"reference: no file {path}. {FORMS}")
    design = None
    if is_table(path):
        if layer is not None:
            raise RequestError(f"layer: {path} is a table, which has none. Drop it.")
        rows = _table(path)
    else:
        design, rows = _vector(path, layer)
    if not len(rows.geometries) and not rows.unused:
        raise RequestError(f"reference {path}: it holds no row. {FORMS}")
    column = _class_column(path, list(rows.fields), column, sampled=design is not None)
    words = [word_of(value) for value in rows.fields[column]]
    named = next((name for name in rows.fields if name.casefold() == ID), None)
    ids = [_identifier(value) for value in rows.fields[named]] if named else [None] * len(words)
    shapes, kept, unused, parcels = _placed(path, rows, epsg)
    return Reference(
        path,
        "" if path.is_dir() else sha256(path),
        column,
        parcels,
        shapes,
        tuple(words[row] for row in kept),
        tuple(ids[row] for row in kept),
        unused,
        design,
    )


def _table(path: Path) -> _Rows:
    frame = read_point_table(path, lambda why: RequestError(f"reference {path}: {why}. {FORMS}"))
    placed = ~shapely.is_missing(frame.geometry.to_numpy())
    kept = frame[placed]
    fields = {str(name): kept[name].tolist() for name in kept.columns if name != kept.geometry.name}
    unused = Counter({Unused.NO_PLACE: int((~placed).sum())})
    return _Rows(kept.geometry.to_numpy(), CRS.from_epsg(4326), fields, unused)


def _vector(path: Path, named: str | None) -> tuple[SampleDesign | None, _Rows]:
    def refuse(why: str) -> RequestError:
        return RequestError(f"reference {path}: can't be read ({why}). {FORMS}")

    check_form(path, refuse)
    design = None
    if is_parquet(path):
        frame = read_parquet(path, refuse)
    else:
        layer = _the_layer(path, geometry_layers(path, refuse), named)
        design = read_design(path) if layer == POINTS else None
        frame = read_layer(path, layer, refuse)
    if not hasattr(frame, "geometry") or frame.crs is None:
        raise RequestError(
            f"reference {path}: has no coordinate system. Set it, e.g. with ogr2ogr -a_srs EPSG:32631, or give GeoJSON."
        )
    with vector_errors(refuse):
        crs = CRS.from_user_input(frame.crs)
    fields = {str(name): frame[name].tolist() for name in frame.columns if name != frame.geometry.name}
    return design, _Rows(frame.geometry.to_numpy(), crs, fields, Counter())


def _the_layer(path: Path, layers: dict[str, str], named: str | None) -> str:
    listed = shortened(", ".join(f"{name} ({kind})" for name, kind in layers.items()), 300) or "none"
    if named is not None:
        if named not in layers:
            raise RequestError(f"layer: {path} has no layer {shown(named)} with a geometry. It has {listed}.")
        return named
    if len(layers) != 1:
        raise RequestError(
            f"reference {path}: has {len(layers)} layers with a geometry ({listed}). Name the one meant: layer."
        )
    return next(iter(layers))


def _class_column(path: Path, names: Sequence[str], named: str | None, *, sampled: bool) -> str:
    """The column by its name, whatever the case; else the only one that is called like a class, else the only one at all."""
    if named is not None:
        return chosen(names, named, "column", str(path))
    if sampled and REFERENCE in names:
        return REFERENCE
    usual = called(names, (REFERENCE, *CODE_COLUMNS, *WORD_COLUMNS))
    others = [name for name in names if name.casefold() not in _NO_CLASSES]
    for fitting in (usual, others):
        if len(fitting) == 1:
            return fitting[0]
    listed = shortened(", ".join(names), 300) or "none"
    raise RequestError(
        f"reference {path}: which column holds the classes? There are: {listed}. Name the one meant: column."
    )


def _placed(
    path: Path, rows: _Rows, epsg: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], Counter[Unused], bool]:
    """Shapes on the zone, the row that each is of, rows that have none, and whether they are parcels."""

    def refuse(why: str) -> RequestError:
        return RequestError(f"reference {path}: can't be brought to EPSG:{epsg}: {why}. Reproject it first.")

    with vector_errors(refuse), np.errstate(all="ignore"):
        moved = onto_zone(rows.geometries, rows.crs, epsg)
    nothing = shapely.is_missing(moved) | shapely.is_empty(moved)
    single = holds_one_point(moved)
    pointed = single & ~nothing
    held = polygons_of(moved[~single])
    if pointed.any() and len(held.shapes):
        raise RequestError(
            f"reference {path}: holds points and parcels, which count differently. Give one kind at a time."
        )
    faults = rows.unused + Counter({_FAULTS[kind]: count for kind, count in held.faults.items()})
    faults[Unused.NO_GEOMETRY] += int((single & nothing).sum())
    if len(held.shapes):
        return held.shapes, np.flatnonzero(~single)[held.rows], +faults, True
    points = shapely.get_geometry(moved[pointed], 0)
    if not len(points):
        told = ", ".join(f"{count} {kind.words}" for kind, count in sorted((+faults).items())) or "no row at all"
        raise RequestError(f"reference {path}: has no point or parcel that can be used: {told}. {FORMS}")
    return points, np.flatnonzero(pointed), +faults, False


def _identifier(value: Any) -> int | None:
    word = word_of(value)
    return int(word) if word is not None and word.isdecimal() and len(word) <= 15 else None
