"""GeoTIFFs of a processor's variables: written by blocks, then copied into Cloud Optimized GeoTIFFs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

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
from catalog.storage.system_errors import refusal
from catalog.storage.whole import file_aside

TILE = 512
"""Edge of the tiles, pixels: blocks of this size fill whole tiles, so that each is compressed once."""

MOST_COG = 100_000_000
"""Pixels of a window, most of them empty, up to which a raster is Cloud Optimized: with six bands of 32 bits 4 thousand million took
over 300 s, of which the copy of what isn't empty takes 0.1 s."""

CACHE = 64 << 20
"""Raster cache of GDAL while a file is copied, bytes: by default it is a share of the machine's memory."""


class Variable(Frozen):
    """One raster of the delivery."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="file name without .tif")]
    title: str
    dtype: Literal["uint8", "int16", "uint16", "float32"]
    bands: Annotated[tuple[str, ...], Field(description="description of each band; one band by default")] = ("",)
    nodata: Annotated[float, Field(allow_inf_nan=True, description="value that means no data; NaN allowed for float32")]
    unit: str = "1"
    legend: Annotated[Legend | None, Field(description="for class values: colours and names")] = None
    limits: Annotated[tuple[float, float], Field(description="range shown in the picture")] = (0.0, 1.0)


class RasterWriter:
    """A raster that is being written by blocks; `raster_writer` opens it."""

    def __init__(self, dataset: Any, path: Path, window: Window) -> None:
        """``path``: what the raster will be called, for errors; ``window``: what it covers."""
        self._dataset, self._path, self._window = dataset, path, window

    def write(self, block: Window, values: npt.NDArray[Any]) -> None:
        """Write ``values`` (bands, H, W) of a block inside the raster's window."""
        column, row = block.left - self._window.left, self._window.top - block.top
        with _disk_errors(self._path):
            self._dataset.write(values, window=RasterWindow(column, row, block.width, block.height))


@contextmanager
def raster_writer(
    path: Path, variable: Variable, window: Window, scale: float = 1.0, tags: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RasterWriter]:
    """A tiled, compressed GeoTIFF of one variable; whole when the block ends well, else absent.

    Tiles that nothing is written into take no room and read as no data.
    ``scale``: what the numbers are to be multiplied by. Raises `StoreError` where it can't be written, on a full disk for instance.
    """
    with ExitStack() as stack:
        with _disk_errors(path):
            temporary = stack.enter_context(file_aside(path))
            dataset = rasterio.open(
                temporary, "w", driver="GTiff", width=window.width, height=window.height,
                count=len(variable.bands), dtype=variable.dtype, nodata=variable.nodata, crs=f"EPSG:{window.epsg}",
                transform=window.transform, tiled=True, blockxsize=TILE, blockysize=TILE, interleave="pixel",
                bigtiff="IF_SAFER", sparse_ok=True, **_compression(variable),
            )  # fmt: skip
            _describe(dataset, variable)
            if tags:
                dataset.update_tags(**tags)
            if scale != 1:
                dataset.scales = (scale,) * len(variable.bands)
        try:
            yield RasterWriter(dataset, path, window)
        except BaseException:
            with suppress(RasterioError, CPLE_BaseError):  # what went wrong first is what counts
                dataset.close()
            raise
        with _disk_errors(path):
            dataset.close()
            _check_whole(temporary)
            stack.close()


def copy_blocks(
    source: Path, target: Path, variable: Variable, window: Window, blocks: Iterable[Window], tags: Mapping[str, str]
) -> None:
    """Copy those blocks of a raster that hold something, without overviews, with work that grows with these blocks alone.

    For windows of more than `MOST_COG` pixels, nearly all of them empty: the Cloud Optimized driver goes through every one, several
    times. ``window``: what ``source`` covers. Raises `StoreError` where it can't be written.
    """
    with raster_writer(target, variable, window, tags=tags) as writer, rasterio.open(source) as raster:
        for block in blocks:
            column, row = block.left - window.left, window.top - block.top
            writer.write(block, raster.read(window=RasterWindow(column, row, block.width, block.height)))


def copy_as_cog(
    source: Path, target: Path, variable: Variable, tags: Mapping[str, str], *, sparse: bool = False
) -> None:
    """Copy a raster into a Cloud Optimized GeoTIFF with overviews (nearest for classes, average else) and ``tags``.

    ``sparse``: leave tiles without data out of the file, which some readers other than GDAL don't expect.
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
                overview_resampling="NEAREST" if variable.legend else "AVERAGE",
                **({"sparse_ok": "YES"} if sparse else {}), **options,
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
        raise StoreError(f"can't write {path.name} in {path.parent}: {refusal(error, path)}, and run again.") from error
