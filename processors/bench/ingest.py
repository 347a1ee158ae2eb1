"""Ingestion measured beside what bounds it: decoding the same files, writing the same slabs, and the same work done by odc-stac.

All in one run, in rounds that take everything in turn, so that a noisy moment hits all of it; a figure is the median of its rounds, a
ratio the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window as RasterWindow
from shapely.geometry import Point, box
from zarr.codecs import BloscCodec

from catalog.errors import CroplineError, RequestError
from catalog.grid import Cell, cells_of_window, to_lonlat
from catalog.order import make_order
from catalog.products import CROP_BANDS, LEVEL_BANDS, Order
from catalog.sources.registry import open_source
from catalog.storage.pixels import open_pixels
from catalog.storage.store import Store
from processors.bench.archive import ASSETS, START, TILE_OFFSET, Archive, write_archive
from processors.bench.floor import decode_seconds, write_seconds
from processors.bench.rates import IngestRates
from processors.cube.cell import Cube
from processors.cube.codecs import plain_codecs, rust_codecs
from processors.engine.machine import cores
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.ingest.opening import GDAL_ENVIRONMENT

Watch = Callable[[int, int, str], None]
"""Callback before each piece of work: how many are done, how many there are, and what comes now."""

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """Extent of the measurement."""

    acquisitions: int = 20
    size: int = 2048
    """Edge of a file, pixels."""
    rounds: int = 3
    edges: tuple[int, ...] = (1, 2, 4)
    """Edges of the areas that memory is measured on, in edges of a file: once, 4 and 16 times the area."""
    counts: tuple[int, ...] = (5, 20)
    """Numbers of acquisitions that memory is measured on."""
    quick: bool = False


QUICK = IngestPlan(acquisitions=2, size=256, rounds=1, edges=(1,), counts=(2,), quick=True)
"""Shows that it runs, and nothing about speed."""


@dataclass(slots=True)
class _Rounds:
    rates: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, pixels: int, seconds: float) -> None:
        self.rates.setdefault(name, []).append(pixels / seconds)

    def median(self, name: str) -> float:
        return median(self.rates[name])

    def ratio(self, above: str, below: str) -> float:
        return median(a / b for a, b in zip(self.rates[above], self.rates[below], strict=True))


def measure_ingest(folder: Path, plan: IngestPlan, watch: Watch | None = None) -> IngestRates:
    """Write synthetic archives into an empty folder and measure on them. Raises `RequestError` where odc-stac is missing."""
    odc_version = _odc_version()
    threads, done, total = cores(), 0, 3 + 8 * plan.rounds + 1 + len(plan.edges) + len(plan.counts)

    def now(what: str) -> None:
        nonlocal done
        if watch is not None:
            watch(done, total, what)
        done += 1

    def archive(name: str, codec: Any, **options: Any) -> Archive:
        now(f"synthetic archive: {name}")
        return write_archive(folder / name, codec, plan.acquisitions, plan.size, threads, **options)

    cog, jp2, beside = archive("cog", "cog"), archive("jp2", "jp2"), archive("beside", "cog", offset=TILE_OFFSET)
    rounds = _Rounds()
    for number in range(plan.rounds):
        # Decoding JP2 takes minutes: each round takes its share of the acquisitions, together they take all.
        share = range(number, plan.acquisitions, plan.rounds)
        every, root = range(plan.acquisitions), folder / f"store-{number}"
        runs = (
            ("decode cog", cog, every, partial(decode_seconds, cog, every, threads)),
            ("ingest cog", cog, every, partial(_ingest, cog, every, root)),
            ("odc-stac", cog, every, partial(_odc_stac, cog, every, folder / f"odc-{number}", threads, tuned=False)),
            (
                "odc-stac tuned",
                cog,
                every,
                partial(_odc_stac, cog, every, folder / f"odc-t{number}", threads, tuned=True),
            ),
            ("write", cog, every, partial(_write, cog, every, root)),
            ("ingest beside", beside, every, partial(_ingest, beside, every, folder / f"beside-{number}")),
            ("decode jp2", jp2, share, partial(decode_seconds, jp2, share, threads)),
            ("ingest jp2", jp2, share, partial(_ingest, jp2, share, folder / f"jp2-{number}")),
        )
        for name, source, numbers, work in runs:
            now(f"round {number + 1} of {plan.rounds}: {name}")
            rounds.add(name, source.pixels_of(len(numbers)), work())
            _empty(folder, ("odc-", "beside-", "jp2-"))
    now("one patch, from the cube and from the COGs")
    from_cube, from_cogs = _patch_reads(cog, folder / f"store-{plan.rounds - 1}", threads)
    areas = {}
    for factor in plan.edges:
        size = factor * plan.size
        now(f"memory, {size} x {size} pixels")
        large = write_archive(folder / f"area-{factor}", "cog", 2, size, threads, offset=TILE_OFFSET, distinct_bands=1)
        areas[f"{size}x{size}"] = _peak_memory(large, range(2), folder / f"memory-{factor}")
        _empty(folder, ("memory-",))
    counts = {}
    for count in plan.counts:
        now(f"memory, {count} acquisitions")
        counts[str(count)] = _peak_memory(beside, range(count), folder / f"count-{count}")
        _empty(folder, ("count-",))
    both = [1 / (1 / a + 1 / b) for a, b in zip(rounds.rates["decode cog"], rounds.rates["write"], strict=True)]
    return IngestRates(
        pixels_per_second=rounds.median("ingest cog"),
        pixels_per_second_jp2=rounds.median("ingest jp2"),
        pixels_per_second_off_cells=rounds.median("ingest beside"),
        decode_pixels_per_second_cog=rounds.median("decode cog"),
        decode_pixels_per_second_jp2=rounds.median("decode jp2"),
        write_pixels_per_second=rounds.median("write"),
        odc_stac_pixels_per_second=rounds.median("odc-stac"),
        share_of_decode_cog=rounds.ratio("ingest cog", "decode cog"),
        share_of_decode_jp2=rounds.ratio("ingest jp2", "decode jp2"),
        share_of_decode_and_write_cog=median(a / b for a, b in zip(rounds.rates["ingest cog"], both, strict=True)),
        ratio_to_odc_stac=rounds.ratio("ingest cog", "odc-stac"),
        ratio_to_odc_stac_tuned=rounds.ratio("ingest cog", "odc-stac tuned"),
        patch_read_ratio=from_cogs / from_cube,
        patch_read_seconds=from_cube,
        peak_memory_mb=areas,
        peak_memory_mb_by_acquisitions=counts,
        quick=plan.quick,
        acquisitions=plan.acquisitions,
        bands=len(CROP_BANDS),
        size=plan.size,
        rounds=plan.rounds,
        threads=threads,
        versions={"odc-stac": odc_version, "rasterio": rasterio.__version__, "gdal": rasterio.__gdal_version__},
    )


def _odc_version() -> str:
    try:
        import odc.stac
    except ImportError as error:
        raise RequestError(
            f"the benchmark compares with odc-stac, which isn't installed ({error}). "
            "Install it: pip install -c constraints.txt 'cropline[bench]'."
        ) from error
    return str(odc.stac.__version__)


def _order(archive: Archive, numbers: Sequence[int]) -> tuple[Order, list[Cell]]:
    window = archive.window
    area = Point(to_lonlat(box(*window.bounds), window.epsg).centroid).buffer(1e-3)
    order = make_order(open_source(archive.address), area, START.year, (1, 12), "L2A", 100)
    chosen = tuple(order.acquisitions[number] for number in numbers)
    return order.model_copy(update={"acquisitions": chosen}), cells_of_window(window)


def _ingest(archive: Archive, numbers: Sequence[int], root: Path) -> float:
    """Seconds from an order to whole slabs, two acquisitions at a time as `cropline run` takes them."""
    order, cells = _order(archive, numbers)
    store = Store(root)
    start = time.perf_counter()
    extended = extend_cells(store, order, cells)
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(
            lambda acquisition: ingest_acquisition(store, order, acquisition.id, extended, order.source),
            order.acquisitions,
        )
        for result in results:
            if len(result.written) != len(extended) or result.dropped:
                raise CroplineError(f"the benchmark's own products can't be ingested: {result.dropped}")
    return time.perf_counter() - start


def _cubes(archive: Archive, root: Path) -> list[Cube]:
    order, cells = _order(archive, range(1))
    return [Cube(Store(root).cube(order.source_id, "L2A", cell), "r+") for cell in cells]


def _write(archive: Archive, numbers: Sequence[int], root: Path) -> float:
    return write_seconds(_cubes(archive, root), numbers)


def _odc_stac(archive: Archive, numbers: Sequence[int], path: Path, threads: int, *, tuned: bool) -> float:
    """Seconds for the same bands onto the same grid, by dask tasks of one date x one band x 1024 x 1024, each a chunk of its own.

    As it comes: with zarr's own codecs and settings (zstd), which is what it takes to store what odc-stac loads. ``tuned``: through
    the cube's compressor (lz4) and Rust codecs. Neither has the cube's small blocks, which are slower to write and faster to read.
    """
    import dask
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    items = [pystac.Item.from_file(str(archive.items()[number])) for number in numbers]
    window = archive.window
    edge = min(1024, window.width)
    geobox = GeoBox(window.shape, window.transform, f"EPSG:{window.epsg}")
    lz4 = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    encoding = {name: {"chunks": (1, edge, edge), "compressors": lz4} for name in ASSETS} if tuned else None
    start = time.perf_counter()
    with (
        dask.config.set(scheduler="threads", num_workers=threads),
        rust_codecs() if tuned else plain_codecs(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # odc-stac's calls of shapely, which are not ours to mend
        loaded = odc.stac.load(items, bands=list(ASSETS), geobox=geobox, chunks={"time": 1, "y": edge, "x": edge})
        loaded.to_zarr(path, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
    return time.perf_counter() - start


def _patch_reads(archive: Archive, root: Path, threads: int) -> tuple[float, float]:
    """Median seconds for a patch of 128 px, all dates and bands: from the cube, and from the COGs in so many threads."""
    cube = _cubes(archive, root)[0]
    cell = cube.window
    inner = archive.window.intersection(cell)
    if inner is None:
        raise CroplineError("the benchmark's archive doesn't meet its first cell")
    rows, columns = cell.slices(inner)
    bands = [LEVEL_BANDS["L2A"].index(name) for name in CROP_BANDS]
    array = cube.arrays["reflectance"]
    from_cube, from_cogs = [], []
    with ThreadPoolExecutor(threads) as pool:
        for number in range(7):
            row, column = rows.start + 128 * (number % 2), columns.start + 128 * (number // 2 % 2)
            raster_window = RasterWindow(
                cell.left + column - archive.window.left, archive.window.top - cell.top + row, 128, 128
            )
            start = time.perf_counter()
            patch = np.asarray(array[:, :, row : row + 128, column : column + 128])[:, bands]
            from_cube.append(time.perf_counter() - start)

            def read(path: Path, raster_window: RasterWindow = raster_window) -> npt.NDArray[Any]:
                with rasterio.Env(**GDAL_ENVIRONMENT), open_pixels(str(path)) as file:
                    values: npt.NDArray[Any] = file.read(1, window=raster_window)
                    return values

            files = [archive.file(date, band) for date in range(archive.acquisitions) for band in CROP_BANDS]
            start = time.perf_counter()
            read_of = np.stack(list(pool.map(read, files))).astype(np.int64)
            from_cogs.append(time.perf_counter() - start)
            shifted = np.maximum(1, read_of - 1000).reshape(patch.shape)  # baseline 05.09
            if not np.array_equal(patch, shifted):
                raise CroplineError("the benchmark's cube doesn't hold what its COGs do")
    return median(from_cube), median(from_cogs)


def _peak_memory(archive: Archive, numbers: Sequence[int], root: Path) -> float:
    """MB that a fresh process held at most while it ingested."""
    about = [str(archive.folder), archive.codec, archive.acquisitions, archive.window.left, archive.window.top]
    words = json.dumps([*about, archive.window.width, archive.window.epsg, list(numbers), str(root)])
    command = [sys.executable, "-c", "from processors.bench.ingest import ingest_alone; ingest_alone()", words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very program
    if done.returncode != 0:
        raise CroplineError(f"the benchmark's process for memory failed: {done.stderr.strip()[-500:]}")
    return float(done.stdout)


def ingest_alone() -> None:
    """Ingest, and print the peak of memory in MB: the process that `_peak_memory` starts."""
    from catalog.grid import Window

    folder, codec, acquisitions, left, top, size, epsg, numbers, root = json.loads(sys.argv[1])
    archive = Archive(Path(folder), codec, Window(epsg, left, top, size, size), acquisitions)
    _ingest(archive, numbers, Path(root))
    if _STATUS.exists():  # a child's ru_maxrss starts at its parent's on Linux; this one is its own
        line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        peak = int(line.split()[1]) * 1024
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    sys.stdout.write(f"{peak / 1e6:.1f}\n")


def _empty(folder: Path, prefixes: tuple[str, ...]) -> None:
    """Free the disk under what was measured, without deleting: ext4 makes the creation of files slow for minutes after that."""
    for path in folder.iterdir():
        if path.name.startswith(prefixes):
            for file in path.rglob("*"):
                if file.is_file() and file.stat().st_size > 2**16:
                    os.truncate(file, 0)
