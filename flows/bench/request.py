"""Requests of growing area on one archive, run as a user runs them, beside what decoding, writing and the network take alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import rasterio
from shapely.geometry import MultiPolygon, box, mapping

from agrunet.bench.machine import device_name
from agrunet.bench.prediction import network_seconds
from agrunet.checkpoint.folder import read_config
from catalog.area import Area, parse_area
from catalog.errors import CroplineError
from catalog.grid import PIXEL, Window, to_lonlat, window_around
from catalog.guards.json_text import parse_object
from catalog.order import make_order
from catalog.products import CROP_BANDS, Order
from catalog.registry import Registry
from catalog.sources.registry import open_source
from catalog.storage.store import Store, open_store
from catalog.zone import Zone
from flows.bench.process_tree import ProcessTree, Usage
from flows.bench.request_rates import RequestRates, RequestRow, StageRate
from processors.bench.archive import DISTINCT, TILE_OFFSET, Archive, write_archive
from processors.bench.floor import decode_seconds, write_seconds
from processors.bench.square import Square
from processors.cube.cell import Cube
from processors.engine.machine import cores
from processors.patches.cube_patches import PatchGrid, cover

Watch = Callable[[int, int, str], None]
"""Callback before each piece of work: how many are done, how many there are, and what comes now."""

_STAGE = re.compile(r"([a-z]+): ")
_START = "start"
_WRITTEN_CELLS = 8
"""Cells that writing alone is measured on, on two dates: as many from the area's border, which it fills in part, as there are."""


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """Extent of the measurement."""

    edges: tuple[int, ...] = (500, 1580, 4992)
    """Edges of the areas, pixels of 10 m: 25, 250 and 2,492 km², the most that a request may ask for."""
    dates: int = 12
    quick: bool = False


QUICK = RequestPlan(edges=(128, 256), dates=6, quick=True)
"""Shows that it runs, and nothing about speed."""


@dataclass(frozen=True, slots=True)
class _Ran:
    """A request that was run, from outside and by its own words."""

    order: Order
    zone: Zone
    store: Store
    seconds: float
    usage: Mapping[str, Usage]
    told: Mapping[str, Any]


def measure_requests(
    folder: Path, plan: RequestPlan, square: Square | None, watch: Watch | None = None
) -> RequestRates:
    """Write an archive as large as the largest area into an empty folder and run requests on it.

    ``square``: what is repeated over the archive, by default invented fields. Raises `CroplineError` where a request fails.
    """
    done, total = 1, 1 + 2 * len(plan.edges)

    def now(what: str) -> None:
        if watch is not None:
            watch(done, total, what)

    now(f"archive of {plan.dates} dates, {_km2(plan.edges[-1]):.0f} km²")
    archive = write_archive(
        folder / "archive",
        "cog",
        plan.dates,
        plan.edges[-1],
        cores(),
        offset=TILE_OFFSET,
        distinct=DISTINCT if square is None else plan.dates,
        times=() if square is None else square.dates,
        pixels=None if square is None else square.over,
    )

    def tell(edge: int, what: str) -> None:
        now(f"{_km2(edge):.0f} km²: {what}")

    rows = []
    for edge in plan.edges:
        ran = _run(archive, edge, folder / f"{edge}", partial(tell, edge))
        done += 1
        tell(edge, "decoding, writing and the network alone")
        rows.append(_row(ran, archive, edge))
        done += 1
    return RequestRates(
        rows=tuple(rows),
        archive="invented fields" if square is None else "a real square repeated, with noise",
        bands=len(CROP_BANDS),
        quick=plan.quick,
        device=device_name("cpu"),
        threads=cores(),
        versions={"rasterio": rasterio.__version__, "gdal": rasterio.__gdal_version__},
    )


def _km2(edge: int) -> float:
    return (edge * PIXEL / 1000) ** 2


def _area(archive: Archive, edge: int) -> Area:
    """A square in the archive's middle."""
    window = archive.window
    margin = (window.width - edge) // 2
    inner = Window(window.epsg, window.left + margin, window.top - margin, edge, edge)
    return parse_area(mapping(to_lonlat(box(*inner.bounds).buffer(-PIXEL / 2), window.epsg)))


def _run(archive: Archive, edge: int, folder: Path, tell: Callable[[str], None]) -> _Ran:
    """Run the command on a store of its own."""
    area = _area(archive, edge)
    folder.mkdir()
    request = {
        "area": mapping(area),
        "year": archive.year,
        "source": archive.address,
        "min_clear": 0.1,
        "output": "map",
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    store = folder / "store"
    environment = {name: value for name, value in os.environ.items() if name not in ("CROPLINE_CUBES", "CROPLINE_BASE")}
    environment |= {"CROPLINE_STORE": str(store), "CROPLINE_MAX_AREA_KM2": "2600"}
    command = [sys.executable, "-c", "from flows.commands.entry import main; main()", "run", "request.json", "--json"]
    start = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - this very program
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        lines = _Lines(process.stderr, tell)
        with ProcessTree(process.pid, lambda: lines.stage) as tree:
            answer = process.stdout.read() if process.stdout else ""
            code = process.wait()
        seconds = time.perf_counter() - start
    if code != 0:
        raise CroplineError(f"the benchmark's request failed: {lines.last}")
    return _Ran(
        order=make_order(open_source(archive.address), area, archive.year, (1, 7), "L2A", 95),
        zone=Zone.of(area),
        store=open_store(str(store), None, None, create=False),
        seconds=seconds,
        usage=tree.usage,
        told=parse_object(answer.splitlines()[-1], lambda why: CroplineError(f"the request's answer {why}.")),
    )


class _Lines:
    """Progress of a command, line by line: the stage that it is at, and its last words."""

    def __init__(self, stream: IO[str] | None, tell: Callable[[str], None]) -> None:
        self.stage = self.last = _START
        self._stream, self._tell = stream, tell
        threading.Thread(target=self._read, name="cropline-lines", daemon=True).start()

    def _read(self) -> None:
        for line in self._stream or ():
            self.last = line.strip() or self.last
            if found := _STAGE.match(line):
                self.stage = found[1]
                self._tell(line.strip())


def _row(ran: _Ran, archive: Archive, edge: int) -> RequestRow:
    cells, dates = ran.zone.cells, len(ran.order.acquisitions)
    used = len(ran.told["acquisitions"])
    model = next(one for one in Registry(ran.store).shipped_models() if one.name == ran.told["model"])
    size = read_config(model.folder).patch_size
    grid = PatchGrid(size, size // 4)
    patches = len(cover(ran.zone.window, grid, zone_area=ran.zone.geometry))
    numbers = range(min(archive.acquisitions, 2))
    every = cells[:: -(-len(cells) // _WRITTEN_CELLS)]
    some = [Cube(ran.store.cube(ran.order.source_id, "L2A", cell), "r+") for cell in every]
    written = write_seconds(some, numbers) / (len(some) * len(numbers)) * len(cells) * dates
    around = window_around(MultiPolygon([box(*cell.window.bounds) for cell in cells]), ran.zone.epsg)
    stages = {
        name: StageRate(
            seconds=seconds,
            peak_mb=ran.usage[name].peak_bytes / 1e6,
            read_mb=ran.usage[name].read_bytes / 1e6,
            written_mb=ran.usage[name].written_bytes / 1e6,
        )
        for name, seconds in ran.told["seconds"].items()
    }
    return RequestRow(
        km2=_km2(edge),
        dates=dates,
        used=used,
        cells=len(cells),
        patches=patches,
        stages=stages,
        seconds=ran.seconds,
        peak_mb=max(usage.peak_bytes for usage in ran.usage.values()) / 1e6,
        decode_seconds=decode_seconds(archive, range(archive.acquisitions), cores(), around),
        write_seconds=written,
        network_seconds=network_seconds(model.folder, used) * patches,
    )
