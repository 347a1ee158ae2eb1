"""Rasters of a tile, or of a part of it, on their way to a product: filled window by window, read in blocks, never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.errors import RasterioIOError
from rasterio.windows import Window as Part

from catalog.errors import StoreError
from catalog.grid import PIXEL, Window
from catalog.storage.system_errors import refusal
from processors.simulation.mission.granule import NOTICE

_CACHE = 64 * 2**20
"""Bytes of blocks that GDAL keeps; by default it is a share of the machine's memory."""


class Staging:
    """Sparse GeoTIFFs in a folder that its owner removes; parts that nothing was written to take no room and read as no data, or 0."""

    def __init__(self, folder: Path, window: Window) -> None:
        """``window``: what the rasters cover, aligned to the largest of their pixels."""
        self._folder, self._window = folder, window
        self._open: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.tif"

    @property
    def paths(self) -> list[Path]:
        """The paths of all rasters that were written to."""
        return sorted(self._folder.iterdir())

    def write(
        self, name: str, metres: int, window: Window, values: npt.NDArray[Any], nodata: int | None = None
    ) -> None:
        """(h, w) or (bands, h, w) of a window that is given in pixels of 10 m and lies in that of the rasters."""
        layers = values if values.ndim == 3 else values[None]
        file = self._open.get(name) or self._create(name, metres, layers.shape[0], layers.dtype, nodata)
        factor = metres // PIXEL
        rows, columns = self._window.slices(window)
        part = Part(columns.start // factor, rows.start // factor, layers.shape[2], layers.shape[1])
        file.write(layers, window=part)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _create(self, name: str, metres: int, count: int, dtype: np.dtype[Any], nodata: int | None) -> Any:
        west, _, _, north = self._window.bounds
        height, width = (pixels * PIXEL // metres for pixels in self._window.shape)
        file = rasterio.open(
            self.path(name), "w", driver="GTiff", width=width, height=height, count=count, dtype=dtype, sparse_ok=True,
            crs=f"EPSG:{self._window.epsg}", transform=Affine(metres, 0, west, 0, -metres, north), nodata=nodata,
            tiled=True, blockxsize=256, blockysize=256, interleave="pixel",
        )  # fmt: skip
        self._open[name] = file
        return file


@contextmanager
def staging_in(folder: Path, window: Window) -> Iterator[Staging]:
    """A staging inside the folder where what is made of it shall lie, removed at the end. `Staging.close` it before it is read.

    Raises `StoreError` for what goes wrong with files in the block: of a full disk for instance.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=".writing-", dir=folder) as temporary,
            closing(Staging(Path(temporary), window)) as staging,
        ):
            yield staging
    except (OSError, RasterioIOError) as error:
        raise StoreError(f"can't write into {folder}: {refusal(error, folder)}, and run again.") from error


def to_cog(raster: Path, target: Path) -> None:
    """A raster, no longer open, as a cloud-optimised GeoTIFF that says that it is synthetic."""
    with rasterio.open(raster, "r+") as file:
        file.update_tags(TIFFTAG_IMAGEDESCRIPTION=NOTICE, synthetic="true")
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.Env(GDAL_CACHEMAX=_CACHE):
        rasterio.shutil.copy(raster, target, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=256, OVERVIEWS="NONE")


def to_jp2(raster: Path, target: Path) -> None:
    """A raster as lossless JPEG 2000, cut as real products are."""
    with rasterio.open(raster) as file:
        block = {10: 1024, 20: 640, 60: 192}.get(round(file.res[0]), 1024)
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.Env(GDAL_PAM_ENABLED=False, GDAL_CACHEMAX=_CACHE):
        rasterio.shutil.copy(
            raster,
            target,
            driver="JP2OpenJPEG",
            REVERSIBLE="YES",
            QUALITY="100",
            YCBCR420="NO",
            BLOCKXSIZE=block,
            BLOCKYSIZE=block,
        )
