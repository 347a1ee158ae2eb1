"""Requests to Sentinel Hub's Process API for one product, and the files that its answers become.

**Values.** Digital numbers, harmonised by the service (`harmonizeValues: true`): it alone knows which version of a product its
pixels come from, and so whether 1000 has to be taken off. It cuts below 0, and ``max(1, max(0, DN - 1000))`` is the cube's
``max(1, DN + offset)``; the offset left to apply is 0.

**No data** is what the service's `dataMask` says and nothing else; its 0 can be valid. The files are written so that the raw
value decides, as for every other source: valid reflectance is at least 1, 0 means no data.

**Grid.** 10 m bands on the grid's pixels, 20 m bands and masks on every second one, 60 m bands replicated to 20 m: half the
processing units that 10 m for all would cost. From another zone the service resamples (nearest), to 10 m for all bands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter, MemoryFile
from rasterio.windows import Window as RasterWindow
from sentinelhub.api.process import SentinelHubRequest
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS, MimeType
from sentinelhub.download.models import DownloadRequest
from sentinelhub.geometry import BBox
from shapely import make_valid, segmentize
from shapely.geometry import shape

from catalog.errors import StoreError
from catalog.grid import PIXEL, Window, to_zone, window_around
from catalog.products import BANDS, LEVEL_BANDS, MASK_ASSETS, NO_DATA, SATURATED, Asset, Level, Product

COLLECTIONS: dict[Level, str] = {"L1C": "sentinel-2-l1c", "L2A": "sentinel-2-l2a"}

LARGEST = 2500
"""Pixels along an edge of one answer, at most: the service's limit."""

SAME_GRANULE = timedelta(minutes=1)
"""Products of one tile that are closer in time than this are of one datatake."""

FOOTPRINT_MARGIN = 0.01
"""Degrees by which a footprint may fall short of the pixels: catalogues simplify them."""

# Harmonising may take 1000 off the mark of saturation. No measured number comes near: the archives hold 15 bits.
_SATURATED_FROM = SATURATED - 1000

_NO_PERCENT = 255
_UNITS = {"CLD": "PERCENT"}
_BLOCK = 256


class DamagedAnswerError(Exception):
    """An answer that is not the raster that was asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Bands and masks that are asked for together."""

    metres: int
    names: tuple[str, ...]

    @property
    def step(self) -> int:
        """Pixels of the grid along one of the layer's."""
        return self.metres // PIXEL

    def whole(self, window: Window) -> Window:
        """The window, grown to whole pixels of the layer."""
        left, bottom = window.left // self.step * self.step, window.bottom // self.step * self.step
        right, top = -(-window.right // self.step) * self.step, -(-window.top // self.step) * self.step
        return Window(window.epsg, left, top, right - left, top - bottom)

    def transform(self, window: Window) -> Affine:
        return Affine(self.metres, 0, window.left * PIXEL, 0, -self.metres, window.top * PIXEL)

    def shape(self, window: Window) -> tuple[int, int]:
        return window.height // self.step, window.width // self.step


def layers(product: Product, epsg: int) -> tuple[Layer, ...]:
    """Bands to ask for, in the pixels of a zone."""
    names = LEVEL_BANDS[product.level] + MASK_ASSETS[product.level]
    if own_zone(product) != epsg:
        return (Layer(10, names),)
    fine = tuple(name for name in names if name in BANDS and BANDS[name].resolution == 10)
    return Layer(10, fine), Layer(20, tuple(name for name in names if name not in fine))


def own_zone(product: Product) -> int | None:
    """EPSG code of the zone that a product's tile lies in, by its name."""
    tile = re.fullmatch(r"(\d{2})([C-X])[A-Z]{2}", product.tile)
    return None if tile is None else (32600 if tile[2] >= "N" else 32700) + int(tile[1])


def parts(product: Product, layer: Layer, windows: Sequence[Window]) -> list[Window]:
    """The parts of the windows that the product may have, in pieces of the layer that the service answers at once."""
    reach = _reach(product, windows[0].epsg)
    met = windows if reach is None else [met for window in windows if (met := window.intersection(reach)) is not None]
    return [part for window in met for part in layer.whole(window).blocks(LARGEST * layer.step)]


def processing_units(layer: Layer, part: Window) -> float:
    """What one request is charged (Sentinel Hub, Processing Unit definition, 2024): pixels by 512 x 512, at least 0.01, times bands by 3,
    for one sample a pixel in 16 bits; at least 0.005. `dataMask` is no band that counts.
    """
    height, width = layer.shape(part)
    return max(0.005, max(0.01, width * height / 512**2) * len(layer.names) / 3)


def _reach(product: Product, epsg: int) -> Window | None:
    """Window around the footprint: what lies outside costs as much as what has pixels. None where it isn't known."""
    outline = make_valid(shape(product.footprint)).buffer(FOOTPRINT_MARGIN)
    projected = to_zone(segmentize(outline, 0.1), epsg)
    # A footprint drawn across the antimeridian the long way round has vertices that no zone reaches.
    return window_around(projected, epsg) if np.isfinite(projected.bounds).all() else None


def download_request(product: Product, layer: Layer, part: Window, config: SHConfig) -> DownloadRequest:
    """The request that the client sends for one part of a layer."""
    height, width = layer.shape(part)
    request = SentinelHubRequest(
        evalscript=evalscript(product, layer),
        input_data=[
            {
                "type": COLLECTIONS[product.level],
                "dataFilter": {
                    "timeRange": {
                        "from": _second(product.time - SAME_GRANULE),
                        "to": _second(product.time + SAME_GRANULE),
                    },
                    "mosaickingOrder": "mostRecent",
                },
                "processing": {"upsampling": "NEAREST", "downsampling": "NEAREST", "harmonizeValues": True},
            }
        ],
        responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
        bbox=BBox(part.bounds, CRS(part.epsg)),
        size=(width, height),
        config=config,
    )
    (download,) = request.download_list
    return download


def evalscript(product: Product, layer: Layer) -> str:
    """The script that picks this product's pixels of a layer, `dataMask` last."""
    tile = re.fullmatch(r"(\d{2})([C-X])([A-Z]{2})", product.tile)
    names = (*layer.names, "dataMask")
    wanted = {
        "bands": names,
        "units": [_UNITS.get(name, "DN") for name in names],
        # as in S2A_MSIL2A_…_T33TWM_….SAFE, and as in tiles/33/T/WM/2023/8/15/0
        "paths": [] if tile is None else [f"_T{product.tile}_", f"tiles/{int(tile[1])}/{tile[2]}/{tile[3]}/"],
        "product": product.id.removesuffix(".SAFE"),
    }
    return f"//VERSION=3\nvar WANTED = {json.dumps(wanted)};\n{_script()}"


@cache
def _script() -> str:
    return files("catalog.sources.sentinel_hub").joinpath("sentinel_hub.js").read_text(encoding="utf-8")


def _second(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def decoded(content: bytes, layer: Layer, part: Window) -> npt.NDArray[np.uint16]:
    """(bands + 1, H, W) of an answer. Raises `DamagedAnswerError` where it isn't what was asked for."""
    expected = (len(layer.names) + 1, *layer.shape(part))
    if not content:
        raise DamagedAnswerError("it is empty")
    try:
        # No other driver: some formats name files for GDAL to open.
        with MemoryFile(content) as memory, memory.open(driver="GTiff") as dataset:
            found = (dataset.count, dataset.height, dataset.width)
            if found != expected or dataset.dtypes[0] != "uint16":
                raise DamagedAnswerError(f"{found} {dataset.dtypes[0]} instead of {expected} uint16")
            if not dataset.transform.almost_equals(layer.transform(part)):
                raise DamagedAnswerError(f"it lies elsewhere: {dataset.transform.to_gdal()}")
            values: npt.NDArray[np.uint16] = dataset.read()
    except RasterioError as error:
        raise DamagedAnswerError(f"no whole GeoTIFF ({error.__cause__ or error})") from error
    return values


class LayerFiles:
    """One GeoTIFF a band over all windows; blocks that nobody asked for take no room and read as no data."""

    def __init__(self, folder: Path, product: Product, layer: Layer, windows: Sequence[Window]) -> None:
        self.layer = layer
        self.parts = parts(product, layer, windows)
        self._folder, self._product, self._whole = folder, product, _around([layer.whole(window) for window in windows])
        self._open: dict[str, DatasetWriter] = {}
        self._sums = dict.fromkeys(layer.names, 0)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the files for writing in the block; after it they hold what was written. Raises `StoreError` where they don't."""
        height, width = self.layer.shape(self._whole)
        try:
            with ExitStack() as stack:
                for name in self.layer.names:
                    self._open[name] = stack.enter_context(
                        rasterio.open(
                            self._path(name), "w", driver="GTiff", height=height, width=width, count=1,
                            dtype=np.uint16 if name in BANDS else np.uint8, nodata=_nodata(name),
                            crs=f"EPSG:{self._whole.epsg}", transform=self.layer.transform(self._whole),
                            tiled=True, blockxsize=_BLOCK, blockysize=_BLOCK,
                            compress="zstd", zstd_level=1, predictor=2, sparse_ok=True, bigtiff="if_safer",
                        )
                    )  # fmt: skip
                yield
            self._verify()
        except RasterioError as error:
            raise StoreError(f"{self._folder} can't be written: {error}. Free some space there (TMPDIR).") from error

    def write(self, part: Window, values: npt.NDArray[np.uint16]) -> None:
        """``values``: (bands + 1, H, W), `dataMask` last."""
        valid = values[-1] != 0
        for name, raw in zip(self.layer.names, values[:-1], strict=True):
            encoded = _encoded(name, raw, valid)
            self._open[name].write(encoded, 1, window=self._raster_window(part))
            self._sums[name] += int(encoded.sum(dtype=np.uint64))

    def _verify(self) -> None:
        # On a full disk GDAL closes a file without a word; what it lacks would read as no data.
        for name, expected in self._sums.items():
            with rasterio.open(self._path(name)) as dataset:
                found = sum(
                    int(dataset.read(1, window=self._raster_window(part)).sum(dtype=np.uint64)) for part in self.parts
                )
            if found != expected:
                raise StoreError(
                    f"{self._path(name)} doesn't hold what was written to it. Free some space there (TMPDIR), and run again."
                )

    def assets(self, folder: Path) -> dict[str, Asset]:
        """The assets by name, as they lie in a folder."""
        own, epsg = own_zone(self._product), self._whole.epsg
        return {
            name: Asset(
                href=str(folder / f"{name}.tif"),
                nodata=_nodata(name),
                offset_from="Sentinel Hub, harmonizeValues: true" if name in BANDS else "a mask has none",
                warped="" if own == epsg else f"EPSG:{own or 'unknown'}, nearest, by Sentinel Hub",
            )
            for name in self.layer.names
        }

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.tif"

    def _raster_window(self, part: Window) -> RasterWindow:
        rows, columns = self._whole.slices(part)
        step = self.layer.step
        return RasterWindow.from_slices(
            (rows.start // step, rows.stop // step), (columns.start // step, columns.stop // step)
        )


def _encoded(name: str, raw: npt.NDArray[np.uint16], valid: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    if name not in BANDS:
        return np.where(valid, raw, _nodata(name)).astype(np.uint8)
    values = np.maximum(raw, 1)
    values[values >= _SATURATED_FROM] = SATURATED
    return np.where(valid, values, NO_DATA).astype(np.uint16)


def _nodata(name: str) -> int:
    return _NO_PERCENT if name == "CLD" else NO_DATA


def _around(windows: Sequence[Window]) -> Window:
    left, right = min(window.left for window in windows), max(window.right for window in windows)
    bottom, top = min(window.bottom for window in windows), max(window.top for window in windows)
    return Window(windows[0].epsg, left, top, right - left, top - bottom)
