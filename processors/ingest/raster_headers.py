"""Headers of a product's rasters, as GDAL reads them, and whether they are those of the product. No pixel is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Annotated

import rasterio
from pydantic import Field

from catalog.errors import ProductError
from catalog.products import BANDS, Asset, Frozen
from catalog.sources.safe.metadata import TileMetadata
from processors.ingest.opening import GDAL_ENVIRONMENT, AssetOpener


class Header(Frozen):
    """Header of a raster."""

    height: int
    width: int
    dtype: str
    epsg: int | None
    pixel: Annotated[float, Field(description="width of a pixel in units of the CRS")]
    west: float
    north: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of square pixels."""
        return self.west, self.north - self.height * self.pixel, self.west + self.width * self.pixel, self.north


def read_headers(assets: Mapping[str, Asset]) -> dict[str, Header | str]:
    """The header of each asset, or why it can't be opened."""
    with rasterio.Env(**GDAL_ENVIRONMENT):
        return {name: _read(asset) for name, asset in assets.items()}


def header_problems(headers: Mapping[str, Header | str], tile: TileMetadata | None) -> Iterator[str]:
    """Describe what is wrong: unreadable, without georeference, not of the tile or, where none is known, not of one another."""
    read = {name: header for name, header in headers.items() if isinstance(header, Header)}
    for name, header in headers.items():
        if isinstance(header, str):
            yield f"{name} can't be opened: {header}"
        elif header.epsg is None:
            yield f"{name} has no coordinate reference system that is an EPSG code"
        elif name in BANDS and header.dtype != "uint16":
            yield f"{name} has numbers of type {header.dtype}, not uint16"
    if tile is not None:
        for name, header in read.items():
            if header.epsg is not None and header.epsg != tile.epsg:
                yield f"{name} lies in EPSG:{header.epsg}, the tile in EPSG:{tile.epsg}"
            elif not _alike(header.bounds, tile.bounds, header.pixel):
                yield f"{name} covers {_shown(header.bounds)}, the tile {_shown(tile.bounds)}"
    elif len({header.epsg for header in read.values()}) > 1:
        yield f"its rasters lie in several reference systems: {_listed(read)}"
    off: dict[float, list[str]] = {}
    for name, header in read.items():
        if header.pixel not in (10, 20, 60):
            off.setdefault(header.pixel, []).append(name)
    if off:
        listed = "; ".join(f"{', '.join(names)} with pixels of {pixel:.6g} m" for pixel, names in sorted(off.items()))
        yield f"off the grid, so that ingestion resamples: {listed}"


def _read(asset: Asset) -> Header | str:
    with ExitStack() as stack:
        try:
            file = AssetOpener(stack).open(asset)
        except ProductError as error:
            return str(error)
        return Header(
            height=file.height,
            width=file.width,
            dtype=file.dtypes[0],
            epsg=file.crs.to_epsg(),
            pixel=file.transform.a,
            west=file.transform.c,
            north=file.transform.f,
        )


def _alike(first: Iterable[float], second: Iterable[float], within: float) -> bool:
    return all(abs(left - right) < within for left, right in zip(first, second, strict=True))


def _shown(bounds: Iterable[float]) -> str:
    return " ".join(f"{number:.0f}" for number in bounds)


def _listed(headers: Mapping[str, Header]) -> str:
    return ", ".join(f"{name} in EPSG:{header.epsg}" for name, header in headers.items())
