"""GeoTIFFs of a processor's variables: written by blocks, then copied into Cloud Optimized GeoTIFFs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self

import numpy.typing as npt
import rasterio
import rasterio.shutil
from pydantic import Field
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from catalog.errors import StoreError
from catalog.grid import Window
from catalog.legend import Legend, background_entry
from catalog.products import Frozen

TILE = 512
"""Edge of the tiles, pixels: blocks of this size fill whole tiles, so that each is compressed once."""

CACHE = 64 << 20
"""Raster cache of GDAL while a file is copied, bytes: by default it is a share of the machine's memory."""


class Variable(Frozen):
    """One raster of the delivery."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="file name without .tif")]
    title: str
    dtype: Literal["uint8", "int16", "uint16", "float32"]
    bands: Annotated[tuple[str, ...], Field(description="description of each band; one band by default")] = ("",)
    nodata: Annotated[float, Field(description="value that means no data; NaN allowed for float32")]
    unit: str = "1"
    legend: Annotated[Legend | None, Field(description="for class values: colours and names")] = None
    limits: Annotated[tuple[float, float], Field(description="range shown in the picture")] = (0.0, 1.0)


class RasterWriter:
    """A tiled, compressed GeoTIFF of one variable, written by blocks; whole when its `with` block ends well, else absent.

    ``scale``: what the numbers are to be multiplied by. Raises `StoreError` where it can't be written, on a full disk for instance.
    """

    def __init__(self, path: Path, variable: Variable, window: Window, scale: float = 1.0) -> None:
        self._path = path
        self._window = window
        self._temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._dataset = rasterio.open(
                self._temporary, "w", driver="GTiff", width=window.width, height=window.height,
                count=len(variable.bands), dtype=variable.dtype, nodata=variable.nodata, crs=f"EPSG:{window.epsg}",
                transform=window.transform, tiled=True, blockxsize=TILE, blockysize=TILE, interleave="pixel",
                bigtiff="IF_SAFER", **_compression(variable),
            )  # fmt: skip
            _describe(self._dataset, variable)
            if scale != 1:
                self._dataset.scales = (scale,) * len(variable.bands)

    def write(self, block: Window, values: npt.NDArray[Any]) -> None:
        """Write ``values`` (bands, H, W) of a block inside the raster's window."""
        column, row = block.left - self._window.left, self._window.top - block.top
        with _disk_errors(self._path):
            self._dataset.write(values, window=RasterWindow(column, row, block.width, block.height))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _disk_errors(self._path):
                    self._dataset.close()
                    _check_whole(self._temporary)
                    self._temporary.replace(self._path)
            else:
                with suppress(RasterioError, CPLE_BaseError):  # what went wrong first is what counts
                    self._dataset.close()
        finally:
            self._temporary.unlink(missing_ok=True)


def copy_as_cog(source: Path, target: Path, variable: Variable, tags: Mapping[str, str]) -> None:
    """Copy a raster into a Cloud Optimized GeoTIFF with overviews (nearest for classes, average else) and ``tags``.

    The same raster and tags give the same bytes. Raises `StoreError` where it can't be written.
    """
    virtual = target.with_suffix(".vrt")
    options = _compression(variable)
    if "predictor" in options:
        options["predictor"] = "YES"  # this driver finds out which
    with _disk_errors(target), rasterio.Env(GDAL_CACHEMAX=CACHE):
        try:
            # The driver takes its tags from what it copies: a virtual raster carries them, the source stays as it is.
            rasterio.shutil.copy(source.resolve(), virtual, driver="VRT")
            with rasterio.open(virtual, "r+") as dataset:
                dataset.update_tags(**tags)
            rasterio.shutil.copy(
                virtual, target, driver="COG", blocksize=TILE, bigtiff="IF_SAFER", overviews="IGNORE_EXISTING",
                overview_resampling="NEAREST" if variable.legend else "AVERAGE", **options,
            )  # fmt: skip
        finally:
            virtual.unlink(missing_ok=True)
        _check_whole(target)


def colour_table(legend: Legend, nodata: int) -> dict[int, tuple[int, int, int, int]]:
    """Red, green, blue, opacity (0 to 255) by map value; no data is transparent."""
    entries = {entry.value: entry for entry in (background_entry(legend), *legend.classes)}
    return {value: (*entry.rgb, 255) for value, entry in entries.items()} | {nodata: (0, 0, 0, 0)}


def _describe(dataset: Any, variable: Variable) -> None:
    for number, band in enumerate(variable.bands, start=1):
        dataset.set_band_description(number, band or variable.title)
        if variable.unit != "1":
            dataset.set_band_unit(number, variable.unit)
    if variable.legend is not None:
        dataset.write_colormap(1, colour_table(variable.legend, int(variable.nodata)))


def _compression(variable: Variable) -> dict[str, Any]:
    if variable.legend is not None:
        return {"compress": "deflate"}  # class values don't predict their neighbours'
    return {"compress": "deflate", "predictor": 3 if variable.dtype == "float32" else 2}


def _check_whole(path: Path) -> None:
    """Read the last pixel: where the disk fills up while a file is closed, GDAL doesn't always say so."""
    with rasterio.open(path) as raster:
        raster.read(window=RasterWindow(raster.width - 1, raster.height - 1, 1, 1))


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn what GDAL says of a full disk or a refused file into a `StoreError` that names it."""
    try:
        yield
    except (OSError, RasterioError, CPLE_BaseError) as error:  # GDAL's own errors come through `rasterio.shutil.copy`
        raise StoreError(
            f"can't write {path.name} in {path.parent}: {error}. Free some space or check the permissions, and run again."
        ) from error
