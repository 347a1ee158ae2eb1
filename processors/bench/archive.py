"""A synthetic archive to measure ingestion on: files as large and about as compressible as real ones, and nothing real in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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

from catalog.grid import Cell, Window, to_lonlat
from catalog.products import CROP_BANDS
from catalog.sources.stac.item import SYNTHETIC

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

Pixels = Callable[[int, str, int], npt.NDArray[Any]]
"""Values (H, W) of an acquisition (by its number) and asset over so many pixels of 10 m along each edge."""

PLACE = Cell(32631, 56, 549)
"""The cell that archives begin in."""

TILE_OFFSET = (846, 368)
"""Columns and rows by which tile 31UES, as an example, begins beside a cell: its blocks reach over several cells."""

_FIELD = 32
"""Edge of a field, pixels."""
_NOISE = 20
"""Standard deviation within a field, raw numbers: lossless JP2 takes about 7 bits a pixel, as real bands do."""

ASSETS = (*CROP_BANDS, "SCL")
"""Assets that each acquisition holds."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A static STAC catalogue of products of one codec, each covering the same window."""

    folder: Path
    codec: Codec
    window: Window
    acquisitions: int
    year: int = START.year

    @property
    def address(self) -> str:
        """The source's address."""
        return f"stac:{self.folder / 'catalog.json'}"

    def pixels_of(self, acquisitions: int) -> int:
        """Pixels of reflectance in so many of its acquisitions."""
        return acquisitions * len(CROP_BANDS) * self.window.width * self.window.height

    def items(self) -> list[Path]:
        """The STAC item of each acquisition, by time."""
        return [self.folder / f"{number:03d}" / "item.json" for number in range(self.acquisitions)]

    def file(self, number: int, asset: str) -> Path:
        """A band (10 m) or the scene classification (20 m) of one acquisition."""
        return self.folder / f"{number:03d}" / f"{asset}.{'tif' if self.codec == 'cog' else 'jp2'}"


def write_archive(
    folder: Path,
    codec: Codec,
    acquisitions: int,
    size: int,
    threads: int,
    *,
    offset: tuple[int, int] = (0, 0),
    distinct: int = DISTINCT,
    distinct_bands: int = len(CROP_BANDS),
    times: Sequence[datetime] = (),
    pixels: Pixels | None = None,
) -> Archive:
    """Ten bands of ``size`` x ``size`` pixels of 10 m an acquisition, written by so many threads.

    ``offset``: columns and rows from the cell's corner; ``distinct`` and ``distinct_bands``: the other acquisitions and bands are links
    to these; ``times``: of the acquisitions, by default every fifth day; ``pixels``: by default invented fields.
    """
    cell = PLACE.window
    times = times or [START + timedelta(days=5 * number) for number in range(acquisitions)]
    archive = Archive(
        folder,
        codec,
        Window(cell.epsg, cell.left + offset[0], cell.top - offset[1], size, size),
        acquisitions,
        times[0].year,
    )
    for path in archive.items():
        path.parent.mkdir(parents=True)
    made = min(distinct, acquisitions)
    originals = [(number, asset) for number in range(made) for asset in (*CROP_BANDS[:distinct_bands], "SCL")]
    with ThreadPoolExecutor(threads) as pool:
        for written in [
            pool.submit(_write, archive, number, asset, pixels or _invented) for number, asset in originals
        ]:
            written.result()
    for number in range(acquisitions):
        for position, asset in enumerate(ASSETS):
            original = asset if asset == "SCL" else CROP_BANDS[position % distinct_bands]
            path = archive.file(number, asset)
            if not path.exists():
                path.hardlink_to(archive.file(number % made, original))
        archive.items()[number].write_text(json.dumps(_item(archive, times[number])), encoding="utf-8")
    links = [{"rel": "item", "href": str(path.relative_to(folder))} for path in archive.items()]
    catalogue = {
        "type": "Catalog",
        "id": f"bench-{codec}",
        "stac_version": "1.0.0",
        "description": "Synthetic, for benchmarks",
        "links": links,
        SYNTHETIC: True,
    }
    (folder / "catalog.json").write_text(json.dumps(catalogue), encoding="utf-8")
    return archive


def _write(archive: Archive, number: int, asset: str, pixels: Pixels) -> None:
    step = 2 if asset == "SCL" else 1
    values = pixels(number, asset, archive.window.width)[::step, ::step]
    size = values.shape[0]
    transform = archive.window.transform
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(
        archive.file(number, asset), "w", width=size, height=size, count=1, dtype="uint8" if asset == "SCL" else "uint16",
        crs=f"EPSG:{archive.window.epsg}", transform=transform @ transform.scale(step), **CODECS[archive.codec],
    ) as file:  # fmt: skip
        file.write(values, 1)


def _invented(number: int, asset: str, size: int) -> npt.NDArray[Any]:
    rng = np.random.default_rng([number, ASSETS.index(asset)])
    return _classes(rng, size) if asset == "SCL" else _reflectance(rng, size)


def _reflectance(rng: np.random.Generator, size: int) -> npt.NDArray[np.uint16]:
    """Fields of one level each, a smooth trend over them and noise, as of baseline 04.00: 1000 is zero reflectance."""
    fields = rng.integers(1200, 5000, (size // _FIELD + 1,) * 2).repeat(_FIELD, 0).repeat(_FIELD, 1)[:size, :size]
    trend = zoom(rng.normal(0, 100, (size // 256 + 2,) * 2), 256, order=1)[:size, :size]
    values: npt.NDArray[np.float64] = fields + trend + rng.normal(0, _NOISE, (size, size))
    return values.clip(1001, 60000).astype(np.uint16)


def _classes(rng: np.random.Generator, size: int) -> npt.NDArray[np.uint8]:
    field = 2 * _FIELD
    classes = rng.choice(np.array([4, 5, 8], np.uint8), (size // field + 1,) * 2, p=[0.5, 0.3, 0.2])
    return classes.repeat(field, 0).repeat(field, 1)[:size, :size]


def _item(archive: Archive, time: datetime) -> dict[str, Any]:
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
            "s2:datatake_id": f"GS2A_{time:%Y%m%dT%H%M%S}_0{time:%y%j}_N05.09",
            "grid:code": "MGRS-31UES",
            "proj:epsg": archive.window.epsg,
            SYNTHETIC: True,
        },
        "links": [],
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "assets": {asset: _asset(archive, asset) for asset in ASSETS},
    }


def _asset(archive: Archive, asset: str) -> dict[str, Any]:
    step = 2 if asset == "SCL" else 1
    transform = archive.window.transform @ archive.window.transform.scale(step)
    return {
        "href": f"./{archive.file(0, asset).name}",
        "roles": ["data"],
        "proj:shape": [archive.window.height // step, archive.window.width // step],
        "proj:transform": list(transform)[:6],
        "raster:bands": [{"data_type": "uint8" if asset == "SCL" else "uint16", "nodata": 0}],
    }
