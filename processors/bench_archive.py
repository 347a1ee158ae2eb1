"""A synthetic archive to measure ingestion on: files as large and about as compressible as real ones, and nothing real in them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from scipy.ndimage import zoom
from shapely.geometry import box, mapping

from catalog.grid import CELL, Cell, Window, to_lonlat
from catalog.products import CROP_BANDS
from catalog.sources.stac_item import SYNTHETIC

Codec = Literal["cog", "jp2"]

CODECS: dict[Codec, dict[str, Any]] = {
    # As Earth Search writes them, and as ESA does: lossless, in tiles of 1024 pixels.
    "cog": {"driver": "COG", "compress": "deflate", "predictor": "yes", "blocksize": 1024, "overviews": "none"},
    "jp2": {
        "driver": "JP2OpenJPEG",
        "reversible": "yes",
        "quality": 100,
        "blockxsize": 1024,
        "blockysize": 1024,
        "resolutions": 6,
    },
}

DISTINCT = 2
"""Acquisitions with pixels of their own; the others are hard links to these, which no reader notices."""

START = datetime(2023, 1, 5, 10, 56, tzinfo=UTC)

_CORNER = Cell(32631, 56, 549)
_EAST, _SOUTH = 846, 368
"""Pixels by which the files are off the cells, as tile 31UES is: its blocks reach over several cells."""

_FIELD = 32
"""Edge of a field, pixels."""
_NOISE = 20
"""Standard deviation within a field, raw numbers: lossless JP2 takes about 7 bits a pixel, as real bands do."""
_SOURCE_ASSETS = (*CROP_BANDS, "SCL")


@dataclass(frozen=True, slots=True)
class Archive:
    """A static STAC catalogue of products of one codec, each covering the same window."""

    folder: Path
    codec: Codec
    window: Window
    acquisitions: int

    @property
    def address(self) -> str:
        """The source's address."""
        return f"stac:{self.folder / 'catalog.json'}"

    @property
    def pixels(self) -> int:
        """Pixels of reflectance in the whole archive."""
        return self.acquisitions * len(CROP_BANDS) * self.window.width * self.window.height

    def items(self) -> list[Path]:
        """The STAC item of each acquisition, by time."""
        return [self.folder / f"{number:03d}" / "item.json" for number in range(self.acquisitions)]

    def bands(self, number: int) -> list[Path]:
        """Files of one acquisition: ten bands of 10 m and a scene classification of 20 m."""
        return [self.folder / f"{number:03d}" / _name(asset, self.codec) for asset in _SOURCE_ASSETS]


def write_archive(folder: Path, codec: Codec, acquisitions: int, size: int, threads: int) -> Archive:
    """Ten bands of ``size`` x ``size`` pixels of 10 m an acquisition, written by so many threads."""
    cell = _CORNER.window
    archive = Archive(folder, codec, Window(cell.epsg, cell.left + _EAST, cell.top - _SOUTH, size, size), acquisitions)
    with ThreadPoolExecutor(threads) as pool:
        work = []
        for number in range(acquisitions):
            (folder / f"{number:03d}").mkdir(parents=True)
            if number < DISTINCT:
                work += [pool.submit(_write, archive, number, asset) for asset in _SOURCE_ASSETS]
        for one in work:
            one.result()
    for number in range(DISTINCT, acquisitions):
        for path, made in zip(archive.bands(number), archive.bands(number % DISTINCT), strict=True):
            os.link(made, path)
    for number, path in enumerate(archive.items()):
        path.write_text(json.dumps(_item(archive, number)), encoding="utf-8")
    links = [{"rel": "item", "href": str(path.relative_to(folder))} for path in archive.items()]
    catalogue = {"type": "Catalog", "id": f"bench-{codec}", "stac_version": "1.0.0", "links": links, SYNTHETIC: True}
    (folder / "catalog.json").write_text(
        json.dumps(catalogue | {"description": "synthetic, for benchmarks"}), encoding="utf-8"
    )
    return archive


def _name(asset: str, codec: Codec) -> str:
    return f"{asset}.{'tif' if codec == 'cog' else 'jp2'}"


def _write(archive: Archive, number: int, asset: str) -> None:
    rng = np.random.default_rng([number, _SOURCE_ASSETS.index(asset)])
    step = 2 if asset == "SCL" else 1
    size = archive.window.width // step
    values = _classes(rng, size) if asset == "SCL" else _reflectance(rng, size)
    transform = archive.window.transform
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(
        archive.folder / f"{number:03d}" / _name(asset, archive.codec), "w", width=size, height=size, count=1, dtype=values.dtype,
        crs=f"EPSG:{archive.window.epsg}", transform=transform @ transform.scale(step), **CODECS[archive.codec],
    ) as file:  # fmt: skip
        file.write(values, 1)


def _reflectance(rng: np.random.Generator, size: int) -> npt.NDArray[np.uint16]:
    """Fields of one level each, a smooth trend over them and noise, as of baseline 04.00: 1000 is zero reflectance."""
    fields = rng.integers(1200, 5000, (size // _FIELD + 1,) * 2).repeat(_FIELD, 0).repeat(_FIELD, 1)[:size, :size]
    trend = zoom(rng.normal(0, 100, (size // 256 + 2,) * 2), 256, order=1)[:size, :size]
    return np.clip(fields + trend + rng.normal(0, _NOISE, (size, size)), 1001, 60000).astype(np.uint16)


def _classes(rng: np.random.Generator, size: int) -> npt.NDArray[np.uint8]:
    classes = rng.choice(np.array([4, 5, 8], np.uint8), (size // _FIELD + 1,) * 2, p=[0.5, 0.3, 0.2])
    return classes.repeat(_FIELD, 0).repeat(_FIELD, 1)[:size, :size]


def _item(archive: Archive, number: int) -> dict[str, Any]:
    time = START + timedelta(days=5 * number)
    footprint = to_lonlat(box(*archive.window.bounds), archive.window.epsg)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"S2A_31UES_{time:%Y%m%d}_0_L2A",
        "geometry": mapping(footprint),
        "bbox": list(footprint.bounds),
        "properties": {
            "datetime": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "platform": "sentinel-2a",
            "processing:level": "L2A",
            "s2:processing_baseline": "05.09",
            "s2:datatake_id": f"GS2A_{time:%Y%m%dT%H%M%S}_{number:06d}_N05.09",
            "grid:code": "MGRS-31UES",
            "proj:epsg": archive.window.epsg,
            SYNTHETIC: True,
        },
        "links": [],
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "assets": {asset: _asset(archive, asset) for asset in _SOURCE_ASSETS},
    }


def _asset(archive: Archive, asset: str) -> dict[str, Any]:
    step = 2 if asset == "SCL" else 1
    transform = archive.window.transform @ archive.window.transform.scale(step)
    return {
        "href": f"./{_name(asset, archive.codec)}",
        "roles": ["data"],
        "proj:shape": [archive.window.height // step, archive.window.width // step],
        "proj:transform": list(transform)[:6],
        "raster:bands": [{"data_type": "uint8" if asset == "SCL" else "uint16", "nodata": 0}],
    }


def places(archive: Archive, cells: Sequence[Cell]) -> int:
    """How many of the cells the archive's window meets."""
    return sum(archive.window.intersection(cell.window) is not None for cell in cells)


EDGE = CELL
