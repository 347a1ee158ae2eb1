"""Integer codes on the ground, from a raster or from polygons, read by window of a zone.

What labels and crop masks share: finding out what a file is, and its codes on the pixels of a window, whatever the file's
own coordinate system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer
from rasterio.windows import Window as RasterWindow
from shapely import area

from catalog.errors import RequestError
from catalog.grid import PIXEL, Window, burnt
from catalog.guards.rasters import open_raster
from catalog.guards.vectors import check_form, is_parquet, layer_summary, vector_errors
from catalog.quoting import shortened, shown
from catalog.storage.pixels import DRIVERS
from processors.patches.polygons import RowFault, only_layer, polygons_of

_BLOCK = 512  # pixels read at once: a fine raster under it stays small

_VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".parquet", ".geoparquet", ".gdb")

_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2")

_NUMBERS_OF_ROWS = ("fid", "id", "gid", "objectid", "ogc_fid")

_FORMATS = "GeoTIFF, GeoPackage, GeoJSON, shapefile or FlatGeobuf"


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Codes of a window. ``codes``: (H, W); ``known``: (H, W), False where the file says nothing (``codes`` is 0 there)."""

    codes: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


class Codes(Protocol):
    """A file of codes."""

    @property
    def path(self) -> Path: ...

    @property
    def nodata(self) -> float | None:
        """The code that the file itself declares to mean nothing."""

    def read(self, window: Window) -> Coded:
        """The codes at the centres of a window's pixels."""

    def present(self) -> npt.NDArray[np.int64]:
        """The different codes of the whole file, sorted, without ``nodata``."""

    def unused(self, windows: Sequence[Window]) -> Counter[RowFault]:
        """Rows of a vector file that can't be used, by kind; none of a raster."""


def open_codes(
    path: Path, what: str, columns: tuple[str, ...], *, mask: bool = False, layer: str | None = None
) -> Codes:
    """Open a raster or vector file; ``what`` names it in messages, ``columns`` are names that a column of codes may have.

    A ``mask`` may hold fractional numbers, and its polygons need no column. ``layer``: of a
    vector file with several. Raises `RequestError`: no such file, neither
    raster nor vector, several bands or layers, no layer of that name, no coordinate system, not integer, no column to be told by its name.
    """
    if not path.exists():
        raise RequestError(f"{what}: no file {path}. Check the path; it resolves from where the command runs.")
    if path.suffix.lower() in _VECTOR_SUFFIXES:
        return _open_vector(path, what, columns, mask, layer)
    try:
        with open_raster(path, _NotRasterError, DRIVERS) as raster:
            _check_raster(raster, path, what, mask)
            if layer is not None:
                raise RequestError(f"{what}_layer: {path} is a raster, which has no layers. Drop {what}_layer.")
            return RasterCodes(path, raster.nodata, what)
    except _NotRasterError as error:
        if path.suffix.lower() in _RASTER_SUFFIXES:
            raise _unreadable(what, path, str(error)) from error
        return _open_vector(path, what, columns, mask, layer)


class _NotRasterError(Exception):
    """A file is no raster that can be read."""


def _unreadable(what: str, path: Path, why: str) -> RequestError:
    return RequestError(f"{what} {path}: can't be read, it may be damaged: {why}. Write the file again.")


@dataclass(frozen=True, slots=True)
class RasterCodes:
    """Codes of a raster with one band; a pixel of the zone takes the code that its centre falls on.

    GDAL's warper (`WarpedVRT`, nearest) decides otherwise where centres lie on the edges of pixels, as with 6.25 or 12 m.
    """

    path: Path
    nodata: float | None
    what: str = "raster"

    def read(self, window: Window) -> Coded:
        codes, known = np.zeros(window.shape, np.int64), np.zeros(window.shape, bool)
        with self._opened() as raster:
            zone, own = CRS.from_epsg(window.epsg), CRS.from_user_input(raster.crs)
            transformer = None if zone.equals(own) else Transformer.from_crs(zone, own, always_xy=True)
            for block in window.blocks(_BLOCK):
                part = window.slices(block)
                _sample(raster, block, transformer, codes[part], known[part])
        return Coded(codes, known)

    def present(self) -> npt.NDArray[np.int64]:
        with self._opened() as raster:
            seen = {int(code) for values in _strips(raster) for code in np.unique(values)}
        return np.array(sorted(seen - {self.nodata}), np.int64)

    def _opened(self) -> AbstractContextManager[Any]:
        return open_raster(self.path, lambda why: _unreadable(self.what, self.path, why), DRIVERS)

    def unused(self, windows: Sequence[Window]) -> Counter[RowFault]:  # noqa: ARG002 - as `Codes` has it
        return Counter()


@dataclass(frozen=True, slots=True)
class VectorCodes:
    """Codes of polygons, burnt where a polygon holds the pixel's centre; where two overlap the smaller lies above.

    ``column`` is None where every polygon means 1.
    """

    path: Path
    layer: str
    crs: str
    column: str | None
    what: str
    nodata: float | None = None

    def read(self, window: Window) -> Coded:
        polygons, codes, _ = self._polygons(window)
        numbered = np.zeros(window.shape, np.int32)
        distinct, numbers = np.unique(codes, return_inverse=True)
        if len(codes):
            # Not in the order of the file: with a spatial index that depends on the window asked for.
            order = np.lexsort((codes, -area(polygons)))
            shapes = ((polygons[row], int(numbers[row]) + 1) for row in order)
            numbered = burnt(shapes, window)
        table = np.concatenate([np.zeros(1, np.int64), distinct])
        return Coded(table[numbered], numbered > 0)

    def present(self) -> npt.NDArray[np.int64]:
        if self.column is None:
            return np.ones(1, np.int64)
        frame = self._frame(columns=[self.column], read_geometry=False)
        return np.unique(self._integers(frame[self.column])[0])

    def unused(self, windows: Sequence[Window]) -> Counter[RowFault]:
        """Rows that can't be used: of the windows those without polygons or code, of the whole file those without a geometry."""
        faults = sum((self._polygons(window)[2] for window in windows), Counter[RowFault]())
        faults[RowFault.NO_GEOMETRY] += self._without_geometry()
        return +faults

    def _without_geometry(self) -> int:
        return layer_summary(self.path, self.layer, lambda why: _unreadable(self.what, self.path, why))[2]

    def _polygons(self, window: Window) -> tuple[Any, npt.NDArray[np.int64], Counter[RowFault]]:
        """Polygons (N,) that may meet the window and their codes, and why other rows have none."""
        frame = self._frame(columns=[self.column] if self.column else [], bbox=self._bounds(window))
        with vector_errors(lambda why: self._misplaced(window, why)):
            held = polygons_of(frame.geometry.to_crs(window.epsg).to_numpy())
        if self.column is None:
            return held.shapes, np.ones(len(held.shapes), np.int64), held.faults
        codes, given = self._integers(frame[self.column].iloc[held.rows])
        faults = held.faults + Counter({RowFault.NO_CODE: int((~given).sum())})
        return held.shapes[given], codes, faults

    def _bounds(self, window: Window) -> tuple[float, float, float, float]:
        with vector_errors(lambda why: self._misplaced(window, why)):
            transformer = Transformer.from_crs(window.epsg, self.crs, always_xy=True)
            west, south, east, north = transformer.transform_bounds(*window.bounds)
        if not np.isfinite((west, south, east, north)).all():
            raise self._misplaced(window, "the area lies outside of its coordinate system")
        return west, south, east, north

    def _misplaced(self, window: Window, why: str) -> RequestError:
        return RequestError(
            f"{self.what} {self.path}: can't be brought to EPSG:{window.epsg}: {why}. Reproject it first."
        )

    def _frame(self, **options: Any) -> Any:
        import geopandas  # brings pandas, slowly, and only vector files need it

        with vector_errors(lambda why: _unreadable(self.what, self.path, why)):
            # A geometry that can't be decoded is a row without one.
            return geopandas.read_file(self.path, engine="pyogrio", layer=self.layer, on_invalid="ignore", **options)

    def _integers(self, column: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The codes that are given, and (rows,) True where one is. Text that holds integers will do."""
        given = column.notna().to_numpy(bool)
        codes = np.zeros(int(given.sum()), np.int64)
        for row, value in enumerate(column[given]):
            try:
                codes[row] = int(value)
                whole = isinstance(value, str) or codes[row] == value
            except (ValueError, TypeError, OverflowError):
                whole = False
            if not whole:
                raise RequestError(
                    f"{self.what} {self.path}: {shown(value)} in column {self.column} is no integer code. "
                    "Put integer codes into a column named source_code."
                )
        return codes, given


def _check_raster(raster: Any, path: Path, what: str, mask: bool) -> None:
    if raster.count != 1:
        raise RequestError(f"{what} {path}: has {raster.count} bands. One band of codes is needed; extract it first.")
    if raster.crs is None:
        raise RequestError(
            f"{what} {path}: has no coordinate system. Set it, e.g. with gdal_edit.py -a_srs EPSG:32631."
        )
    if not mask and np.dtype(raster.dtypes[0]).kind not in "iu":
        raise RequestError(f"{what} {path}: holds {raster.dtypes[0]}, codes are integers. Convert it, e.g. to uint16.")


def _sample(
    raster: Any,
    window: Window,
    transformer: Transformer | None,
    codes: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
) -> None:
    """Fill ``codes`` and ``known`` (H, W) with what lies at the centres of a window's pixels."""
    x, y = np.meshgrid(
        (window.left + 0.5 + np.arange(window.width)) * PIXEL, (window.top - 0.5 - np.arange(window.height)) * PIXEL
    )
    if transformer is not None:
        x, y = transformer.transform(x, y)
    inverse = ~raster.transform
    with np.errstate(invalid="ignore"):  # what lies outside the raster's coordinate system is infinite, so outside
        column, row = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    known[:] = (column >= 0) & (column < raster.width) & (row >= 0) & (row < raster.height)
    if known.any():
        columns, rows = np.floor(column[known]).astype(np.int64), np.floor(row[known]).astype(np.int64)
        left, upper = int(columns.min()), int(rows.min())
        part = RasterWindow(left, upper, int(columns.max()) - left + 1, int(rows.max()) - upper + 1)
        codes[known] = _integers(raster, part)[rows - upper, columns - left]


def _strips(raster: Any) -> Iterator[npt.NDArray[np.int64]]:
    for upper in range(0, raster.height, _BLOCK):
        yield _integers(raster, RasterWindow(0, upper, raster.width, min(_BLOCK, raster.height - upper)))


def _integers(raster: Any, part: RasterWindow) -> npt.NDArray[np.int64]:
    values: npt.NDArray[Any] = raster.read(1, window=part)
    if values.dtype.kind == "f":  # masks only: whatever is not 0, no-data or NaN counts
        values = (values != 0) & (values != raster.nodata) & ~np.isnan(values)
    integers: npt.NDArray[np.int64] = values.astype(np.int64)
    return integers


def _open_vector(path: Path, what: str, columns: tuple[str, ...], mask: bool, named: str | None) -> VectorCodes:
    import pyogrio  # brings geopandas

    layer = _the_layer(path, what, named)
    with vector_errors(lambda why: _unreadable(what, path, why)):
        described = pyogrio.read_info(path, layer=layer)
    if described["crs"] is None:
        raise RequestError(f"{what} {path}: has no coordinate system. Set it, e.g. with ogr2ogr -a_srs EPSG:32631.")
    fields, types = [str(name) for name in described["fields"]], [str(name) for name in described["dtypes"]]
    column = _code_column(path, what, columns, dict(zip(fields, types, strict=True)), mask)
    return VectorCodes(path, layer, described["crs"], column, what)


def _the_layer(path: Path, what: str, named: str | None) -> str:
    """The layer that is named, else the only one that may hold polygons."""
    import pyogrio

    def refuse(why: str) -> RequestError:
        return RequestError(
            f"{what} {path}: neither a raster nor a vector file that can be read ({why}). It must be {_FORMATS}."
        )

    check_form(path, refuse)
    if is_parquet(path) and "Parquet" not in pyogrio.list_drivers():
        raise RequestError(
            f"{what} {path}: neither a raster nor a vector file that the GDAL installed here reads, which lacks GeoParquet: convert it to "
            "a GeoPackage."
        )
    return only_layer(path, what, named, refuse, "Give polygons or a raster.")


def _code_column(path: Path, what: str, columns: tuple[str, ...], types: dict[str, str], mask: bool) -> str | None:
    """The column by its name, whatever the case (a shapefile cuts names to ten letters), else the only integer one."""
    for wanted in columns:
        for name in types:
            if name and name.lower() in (wanted, wanted[:10]):
                return name
    if mask:
        return None
    integers = [
        name
        for name, kind in types.items()
        if name and kind.startswith(("int", "uint")) and name.lower() not in _NUMBERS_OF_ROWS
    ]
    if len(integers) == 1:
        return integers[0]
    listed = shortened(", ".join(f"{name} ({kind})" for name, kind in types.items()), 300) or "none"
    raise RequestError(
        f"{what} {path}: which column holds the codes? There are: {listed}. Rename the one meant to source_code."
    )
