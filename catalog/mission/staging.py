"""Rasters of a whole tile on their way to a product: filled window by window, read in blocks, so that none is ever whole in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.windows import Window as Part

from catalog.grid import PIXEL, Window
from catalog.mission.products import Granule

_CACHE = 64 * 2**20
"""Bytes of blocks that GDAL keeps; by default it is a share of the machine's memory."""


class Staging:
    """Sparse GeoTIFFs in a folder that its owner removes; parts that nothing was written to take no room and read as 0."""

    def __init__(self, folder: Path, granule: Granule) -> None:
        self._folder, self._granule = folder, granule
        self._open: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.tif"

    def write(self, name: str, metres: int, window: Window, values: npt.NDArray[Any]) -> None:
        """(h, w) or (bands, h, w) of a window that is given in pixels of 10 m and lies in the tile."""
        layers = values if values.ndim == 3 else values[None]
        file = self._open.get(name) or self._create(name, metres, layers.shape[0], layers.dtype)
        factor = metres // PIXEL
        rows, columns = self._granule.window.slices(window)
        part = Part(columns.start // factor, rows.start // factor, layers.shape[2], layers.shape[1])
        file.write(layers, window=part)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _create(self, name: str, metres: int, count: int, dtype: np.dtype[Any]) -> Any:
        west, north = self._granule.upper_left
        size = self._granule.edge * PIXEL // metres
        file = rasterio.open(
            self.path(name), "w", driver="GTiff", width=size, height=size, count=count, dtype=dtype, sparse_ok=True,
            crs=f"EPSG:{self._granule.epsg}", transform=Affine(metres, 0, west, 0, -metres, north),
            tiled=True, blockxsize=256, blockysize=256, interleave="pixel",
        )  # fmt: skip
        self._open[name] = file
        return file


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
