"""Integer codes on the ground, from a raster or from vectors, read by window of a zone.

What labels and crop masks share: finding out what a file is, and its codes on the pixels of a window, whatever the file's
own coordinate system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer
from rasterio.windows import Window as RasterWindow

from catalog.errors import RequestError
from catalog.grid import PIXEL, Window
from catalog.guards.rasters import open_raster
from catalog.storage.pixels import DRIVERS
from processors.patches.codes import Coded, Codes
from processors.patches.polygons import RowFault
from processors.patches.vector_codes import open_vector_codes

_BLOCK = 512  # pixels read at once: a fine raster under it stays small

_VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".parquet", ".geoparquet", ".gdb", ".csv")

_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2")


def open_codes(
    path: Path,
    what: str,
    columns: tuple[str, ...],
    *,
    mask: bool = False,
    layer: str | None = None,
    column: str | None = None,
    radius: float = 0.0,
) -> Codes:
    """Open a raster or vector file; ``what`` names it in messages, ``columns`` are names that a column of codes may have.

    A ``mask`` may hold fractional numbers, and its polygons need no column. ``layer``: of a vector file with several; ``column``: of
    one, and ``radius`` of the parcels that its points stand for, m. Raises `RequestError`: no such file, neither
    raster nor vector, several bands or layers, no layer of that name, no coordinate system, not integer, no column to be told by its name.
    """
    if not path.exists():
        raise RequestError(f"{what}: no file {path}. Check the path; it resolves from where the command runs.")
    if path.suffix.lower() in _VECTOR_SUFFIXES:
        return open_vector_codes(path, what, columns, mask=mask, layer=layer, column=column, radius=radius)
    try:
        with open_raster(path, _NotRasterError, DRIVERS) as raster:
            _check_raster(raster, path, what, mask)
            for name, given, lacks in (
                ("layer", layer, "layers"),
                ("column", column, "columns"),
                ("radius", radius, "points"),
            ):
                if given:
                    raise RequestError(f"{what}_{name}: {path} is a raster, which has no {lacks}. Drop {what}_{name}.")
            return RasterCodes(path, raster.nodata, what)
    except _NotRasterError as error:
        if path.suffix.lower() in _RASTER_SUFFIXES:
            raise _unreadable(what, path, str(error)) from error
        return open_vector_codes(path, what, columns, mask=mask, layer=layer, column=column, radius=radius)


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
    scattered: bool = False

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
