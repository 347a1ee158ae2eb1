"""What bounds an ingestion: decoding the same files, and writing the same slabs, nothing else done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rasterio
from rasterio.windows import Window as RasterWindow

from catalog.grid import PIXEL, Window
from catalog.storage.pixels import open_pixels
from processors.bench.archive import ASSETS, DISTINCT, Archive
from processors.cube.cell import Cube
from processors.ingest.opening import GDAL_ENVIRONMENT


def decode_seconds(archive: Archive, numbers: Sequence[int], threads: int, window: Window | None = None) -> float:
    """Seconds for reading the files of these acquisitions in so many threads: as wholes, or what lies in a window."""
    inner = archive.window if window is None else archive.window.intersection(window)
    if inner is None:
        return 0.0
    rows, columns = archive.window.slices(inner)

    def read(path: Path) -> None:
        with rasterio.Env(**GDAL_ENVIRONMENT), open_pixels(str(path)) as file:
            step = round(file.transform.a) // PIXEL
            left, top = columns.start // step, rows.start // step
            width, height = -(-columns.stop // step) - left, -(-rows.stop // step) - top
            file.read(1, window=RasterWindow(left, top, width, height))

    files = [archive.file(number, asset) for number in numbers for asset in ASSETS]
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(read, files):
            pass
    return time.perf_counter() - start


def write_seconds(cubes: Sequence[Cube], numbers: Sequence[int]) -> float:
    """Seconds for writing as many slabs as an ingestion did, over its own: those of the first dates again and again."""
    slabs = [
        [(cube, cube.read("reflectance", number), cube.read("scl", number)) for cube in cubes]
        for number in numbers[:DISTINCT]
    ]
    start = time.perf_counter()
    for number in numbers:
        for cube, reflectance, scl in slabs[number % DISTINCT]:
            cube.write_slab("reflectance", number, reflectance)
            cube.write_slab("scl", number, scl)
    return time.perf_counter() - start
