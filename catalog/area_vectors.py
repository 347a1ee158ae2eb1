"""Areas of vector files, in longitude and latitude: polygons, or the squares around points, of GeoPackage, shapefile, FlatGeobuf,
GeoParquet and GeoJSON of any coordinate system, of tables of points, and of zip archives of one of these."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from shapely.geometry import mapping

from catalog.area_points import pointed, squares_around
from catalog.class_columns import RADIUS_COLUMNS, called, radius_of
from catalog.errors import ProductError, RequestError
from catalog.guards.json_text import parse_object
from catalog.guards.vectors import (
    check_form,
    column_names,
    count_rows,
    point_layers,
    polygon_layers,
    read_parquet,
    vector_errors,
)
from catalog.guards.zips import zip_errors
from catalog.point_table import is_table, read_point_table
from catalog.quoting import shortened, shown
from catalog.storage.file_trees import LocalFiles, join
from catalog.storage.scratch import scratch_folder
from catalog.storage.zip_files import ZipFiles

FORMS = (
    "Give GeoJSON, a bbox, a place on a tile such as tile:31UES42, or the path of a vector file (.geojson, .gpkg, .parquet, .shp; "
    "zipped, too) or of a table of points (.csv)."
)

MOST_ROWS = 100_000
"""Polygons or points that an area is made of, at most: a country's parcels are no area, their outline is."""

MOST_BYTES = 2**30
"""Size of a file that an area is read from, unpacked."""

MOST_JSON = 2**28
"""The same of GeoJSON, which is held in memory whole."""

_ARCHIVE = b"PK"
_PARQUET = b"PAR1"
_LAYERED = (b"SQLite format 3\0", b"\0\0\x27\x0a", b"fgb")  # GeoPackage, shapefile, FlatGeobuf
_SUFFIXES = (".geojson", ".gpkg", ".parquet", ".geoparquet", ".shp", ".fgb", ".json", ".csv")
_PARTS_OF_SHAPEFILE = (".shp", ".shx", ".prj")
_LONLAT = ("CRS84", "EPSG::4326", "EPSG:4326")
_DISSOLVE = "Dissolve them first (QGIS: Vector, Geoprocessing Tools, Dissolve), or give their outline."

Geometries = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Geometries (N,) of a file, the coordinate system that they are in, and, of each that has one, what it says of its radius."""

    geometries: Geometries
    system: Any
    radii: Sequence[Any] | None = None


def area_in(path: Path, reach: float = 0.0) -> dict[str, Any]:
    """GeoJSON for `catalog.area.parse_area` of a file's polygons, longitude and latitude; of points the squares around them.

    ``reach``: radius of what a point stands for where its row says none, m. Raises `RequestError`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise RequestError(f"area: {path} can't be read ({error.strerror}). {FORMS}") from error
    if start.startswith(_ARCHIVE):
        with _unpacked(path) as inside:
            return _area(inside, f"{path}/{inside.name}", reach)
    if size > MOST_BYTES:
        raise _too_large(str(path), size, MOST_BYTES)
    return _area(path, str(path), reach)


def _area(path: Path, name: str, reach: float) -> dict[str, Any]:
    """``name``: what the file is called in messages."""
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(_PARQUET):
        return _collection(_read_parquet(path, name), name, reach)
    if start.startswith(_LAYERED):
        return _collection(_read_layer(path, name), name, reach)
    if (size := path.stat().st_size) > MOST_JSON:
        raise _too_large(name, size, MOST_JSON)
    if is_table(path):
        return _collection(_read_table(path, name), name, reach)
    value = parse_object(
        path.read_bytes(), lambda why: RequestError(f"area: {name} is no vector file that is read, and {why}. {FORMS}")
    )
    if _names_system(value):  # GeoJSON of before 2016
        return _collection(_read_layer(path, name), name, reach)
    points = pointed(value)
    if points is None:
        return value
    _check_rows(len(points[0]), name)
    said = [kept if isinstance(kept, dict) else {} for kept in points[1]]
    named = next(iter(called([key for kept in said[:1] for key in kept], RADIUS_COLUMNS)), None)
    radii = None if named is None else [kept.get(named) for kept in said]
    return squares_around(points[0][:, 0], points[0][:, 1], _radii(len(said), radii, reach))


def _names_system(value: dict[str, Any]) -> bool:
    """True where GeoJSON names a coordinate system other than longitude and latitude."""
    crs = value.get("crs")
    named = crs.get("properties") if isinstance(crs, dict) else None
    return isinstance(named, dict) and not str(named.get("name")).endswith(_LONLAT)


def _read_layer(path: Path, name: str) -> _Read:
    """Geometries of the only layer that may hold polygons, else of points, curves made straight and heights dropped."""
    import pyogrio  # GDAL, which most requests don't need here

    refuse = _unreadable(name)
    if path.suffix.lower() in _PARTS_OF_SHAPEFILE:
        path = path.with_suffix(".shp" if path.suffix.islower() else ".SHP")
        _check_shapefile(path, name)
    check_form(path, refuse)
    with vector_errors(refuse), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what GDAL says of a damaged file before it gives up
        layers, listed = polygon_layers(path, refuse)
        layers = layers or point_layers(path, refuse)
        if len(layers) != 1:
            held = shortened(listed, 200) or "none"
            raise RequestError(
                f"area: {name} has {len(layers) or 'no'} layer{'s' * (len(layers) != 1)} of polygons or points, one is needed. Its layers: "
                f"{held}. {'Save the one you mean as a file of its own.' if layers else 'Give polygons or points.'}"
            )
        rows = count_rows(path, layers[0], refuse)
        _check_rows(rows, name)
        named = called(column_names(path, layers[0], refuse), RADIUS_COLUMNS)[:1]
        meta, _, wkb, fields = pyogrio.raw.read(path, layer=layers[0], columns=named, force_2d=True)
        geometries = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"))
        if lost := int((shapely.is_missing(geometries) & np.array([row is not None for row in wkb], bool)).sum()):
            raise RequestError(
                f"area: {lost} of the {rows} rows of {name} have a geometry that can't be decoded. Repair the file."
            )
    return _Read(geometries, meta["crs"], fields[0].tolist() if named else None)


def _read_parquet(path: Path, name: str) -> _Read:
    return _of_frame(read_parquet(path, _unreadable(name)), name)


def _read_table(path: Path, name: str) -> _Read:
    return _of_frame(read_point_table(path, lambda why: RequestError(f"area: {name}: {why}. {FORMS}")), name)


def _of_frame(frame: Any, name: str) -> _Read:
    _check_rows(len(frame), name)
    named = next(iter(called(map(str, frame.columns), RADIUS_COLUMNS)), None)
    with vector_errors(_unreadable(name)):
        geometries = np.asarray(shapely.force_2d(np.asarray(frame.geometry.values)))
    return _Read(geometries, frame.crs, None if named is None else frame[named].tolist())


def _collection(read: _Read, name: str, reach: float) -> dict[str, Any]:
    """GeoJSON of the polygons or of the squares around the points. Raises `RequestError` where there are none, or other geometries."""
    geometries, system = read.geometries, read.system
    kept = ~shapely.is_missing(geometries) & ~shapely.is_empty(geometries)
    there = geometries[kept]
    if not len(there):
        raise RequestError(
            f"area: {name} holds no geometry, in {len(geometries)} rows. Give at least one polygon or point."
        )
    kinds = Counter(str(geometry.geom_type) for geometry in there)
    points = set(kinds) <= {"Point", "MultiPoint"}
    others = {kind: count for kind, count in kinds.items() if kind not in ("Polygon", "MultiPolygon")}
    if others and not points:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        raise RequestError(
            f"area: {name} holds {listed} beside {len(there) - sum(others.values())} polygons. An area is made of polygons only, or of "
            "points only: remove the rest."
        )
    if not points:
        _check_edges(geometries, name)
    if system is None:
        raise RequestError(
            f"area: {name} doesn't say its coordinate system. Set it (QGIS: Set Layer CRS, then save), or give GeoJSON."
        )
    with vector_errors(
        lambda why: RequestError(f"area: the coordinate system of {name} can't be used ({why}). Save it as EPSG:4326.")
    ):
        transform = Transformer.from_crs(CRS.from_user_input(system), CRS.from_epsg(4326), always_xy=True).transform
        moved = shapely.transform(there, transform, interleaved=False)  # type: ignore[arg-type]
    if points:
        radii = None if read.radii is None else [read.radii[row] for row in np.flatnonzero(kept).tolist()]
        places, of_row = shapely.get_coordinates(moved, return_index=True)
        return squares_around(places[:, 0], places[:, 1], _radii(len(moved), radii, reach)[of_row])
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": mapping(geometry)} for geometry in moved],
    }


def _radii(count: int, said: Sequence[Any] | None, usual: float) -> npt.NDArray[np.float64]:
    """Radius of each point (count,), m; what says none, and labels can't use, is the point itself."""
    if said is None:
        return np.full(count, usual)
    return np.array([radius_of(value, usual) or 0.0 for value in said], np.float64)


def _check_edges(geometries: Geometries, name: str) -> None:
    """Raise `RequestError` where edges cross, or a polygon encloses nothing: a polygon alone can't say which of a file's it is."""
    damaged = np.flatnonzero(~shapely.is_valid(geometries) & ~shapely.is_missing(geometries))
    if len(damaged):
        row = int(damaged[0])
        why = shortened(str(shapely.is_valid_reason(geometries[row])), 100)
        others = f"; {len(damaged)} of its {len(geometries)} polygons are damaged" if len(damaged) > 1 else ""
        raise RequestError(
            f"area: row {row + 1} of {name} is not valid: {why}, in the file's coordinates{others}. Repair it (QGIS: Processing Toolbox, "
            "Fix geometries), or remove the row."
        )


def _check_rows(rows: int, name: str) -> None:
    if rows > MOST_ROWS:
        raise RequestError(
            f"area: {name} has {rows:,} rows, and an area is made of at most {MOST_ROWS:,} polygons. {_DISSOLVE}"
        )


def _check_shapefile(path: Path, name: str) -> None:
    """Raise `RequestError` where a file is missing that a shapefile can't do without."""
    beside = {file.suffix.lower() for file in path.parent.glob(f"{path.stem}.*")}
    missing = [suffix for suffix in _PARTS_OF_SHAPEFILE if suffix not in beside]
    if missing == [".prj"]:
        raise RequestError(
            f"area: {name} has no {path.stem}.prj beside it, so nothing says its coordinate system. Copy that file, too: a shapefile "
            "is several files of one name."
        )
    if missing:
        files = " and ".join(f"{path.stem}{suffix}" for suffix in missing)
        raise RequestError(
            f"area: {name} lacks {files}. A shapefile is several files of one name: copy all of them, or zip them."
        )


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The only vector file of an archive, unpacked with what belongs to it into a folder that goes with the block."""
    with scratch_folder("area") as folder:
        try:
            archive = ZipFiles(LocalFiles(path.parent), path.name)
            names = list(_files_of(archive))
            named = _the_file(names, path)
            _unpack(archive, _belonging(named, names), folder, path)
        except ProductError as error:
            raise RequestError(f"area: {error}") from error
        yield folder / PurePosixPath(named).name


def _unpack(archive: ZipFiles, names: list[str], folder: Path, path: Path) -> None:
    damaged = RequestError(f"area: {path} can't be unpacked, it may be truncated. Get or make the archive again.")
    size = 0
    for name in names:
        with archive.open(name) as packed, (folder / PurePosixPath(name).name).open("wb") as file:
            with zip_errors(lambda _: damaged):
                shutil.copyfileobj(packed, file)
            size += file.tell()
        if size > MOST_BYTES:
            raise _too_large(f"{path}/{name}", size, MOST_BYTES)


def _belonging(named: str, names: list[str]) -> list[str]:
    """The files of the same name, where it is a shapefile."""
    if not named.lower().endswith(".shp"):
        return [named]
    stem = PurePosixPath(named).with_suffix("")
    return [name for name in names if PurePosixPath(name).with_suffix("") == stem]


def _files_of(archive: ZipFiles, folder: str = "") -> Iterator[str]:
    for entry in archive.list(folder):
        inside = join(folder, entry.name)
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_folder:
            yield from _files_of(archive, inside)
        elif entry.size <= MOST_BYTES:
            yield inside


def _the_file(names: list[str], path: Path) -> str:
    vectors = [name for name in names if name.lower().endswith(_SUFFIXES)]
    # Of JSON beside a vector file of another kind it is metadata.
    vectors = [name for name in vectors if not name.lower().endswith(".json")] or vectors
    if len(vectors) != 1:
        held = shortened(", ".join(vectors or names), 200) or "nothing"
        raise RequestError(
            f"area: {path} holds {len(vectors) or 'no'} vector file{'s' * (len(vectors) != 1)}, one is needed: {held}. "
            f"{'Zip the one you mean by itself.' if vectors else FORMS}"
        )
    return vectors[0]


def _unreadable(name: str) -> Any:
    return lambda why: RequestError(f"area: {name} can't be read ({why}). {FORMS}")


def _too_large(name: str, size: int, most: int) -> RequestError:
    return RequestError(
        f"area: {shown(name)} has {size / 1e6:,.0f} MB, over the limit of {most / 1e6:,.0f} MB. {_DISSOLVE}"
    )
