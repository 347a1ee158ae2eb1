"""What tests of Sentinel Hub share; a module, so that those of every room can import it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from sentinel_hub_server import CLIENT, SECRET, Fault, Scene, SentinelHub, tiff
from shapely.geometry import box

from catalog.grid import Cell, Window, to_lonlat
from catalog.products import Product
from catalog.sources.protocol import Downloading
from catalog.sources.registry import open_source

__all__ = ["CLIENT", "SECRET", "Fault", "Scene", "SentinelHub", "tiff"]

CELL, EAST, FAR = Cell(32633, 48, 505), Cell(32633, 49, 505), Cell(32633, 50, 505)
NAME = "S2A_MSI{level}_{time}_N0509_R079_T{tile}_20230815T155057"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


AUGUST = utc("2023-08-01"), utc("2023-09-01")


def scene(*, level: str = "L2A", tile: str = "33TWM", time: str = "2023-08-15T09:57:31", **more: Any) -> Scene:
    name = more.pop("name", NAME.format(level=level, time="20230815T095031", tile=tile))
    return Scene(**{"id": name, "time": utc(time), "window": CELL.window, "bands": {}, **more})


def area_of(*cells: Cell) -> Any:
    """What lies between the south-western and the north-eastern cell, a little inside."""
    west, south = cells[0].window.bounds[:2]
    east, north = cells[-1].window.bounds[2:]
    return to_lonlat(box(west + 500, south + 500, east - 500, north - 500), cells[0].epsg)


def found(server: SentinelHub, level: Any = "L2A") -> list[Product]:
    return list(open_source("sentinelhub:", server.credentials).search(area_of(CELL), AUGUST, level).products)


def ready(server: SentinelHub) -> Product:
    """A product, searched already: a token is there."""
    server.scenes.append(scene(bands={"B02": 700, "B11": 900}))
    (product,) = found(server)
    return product


def downloaded(server: SentinelHub, product: Product, folder: Path, *windows: Window) -> dict[str, np.ndarray]:
    """(H, W) by name, as they lie in the files."""
    source = open_source("sentinelhub:", server.credentials)
    assert isinstance(source, Downloading)
    assets = source.download(product, windows or (CELL.window,), folder / product.id)
    made = {}
    for name, asset in assets.items():
        with rasterio.open(asset.href) as dataset:
            assert dataset.nodata == asset.nodata
            made[name] = dataset.read(1)
    return made
