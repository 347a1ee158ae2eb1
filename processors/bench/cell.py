"""A synthetic cell to measure on: nothing real, and as large as a real one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from catalog.grid import CELL, Cell
from catalog.products import CROP_BANDS, LEVEL_BANDS, Acquisition, Product
from catalog.storage.store import Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.patches.cube_patches import CubePatches, PatchGrid, cover
from processors.season import Season, SeasonAcquisition

_CELL = Cell(32631, 56, 549)
_START = datetime(2019, 1, 1, tzinfo=UTC)
_SOURCE = "synthetic-bench"
_FIELD = 16
"""Edge of a field, pixels: blocks compress about as real fields do."""


def write_bench_cube(
    root: Path, dates: int, grid: PatchGrid, watch: Callable[[int, int], None] | None = None
) -> CubePatches:
    """Write one whole L2A cell of ``dates`` acquisitions of noisy fields in the store ``root``. Returns the patches that cover it."""
    acquisitions = [_acquisition(number, dates) for number in range(dates)]
    store = Store(root)
    path = store.cube(_SOURCE, "L2A", _CELL)
    ensure_cell(path, _CELL, "L2A", source=_SOURCE, synthetic=True)
    extend(path, acquisitions)
    cube = Cube(path, "r+")
    rng = np.random.default_rng(0)
    fields = rng.integers(300, 4000, (len(LEVEL_BANDS["L2A"]), CELL // _FIELD, CELL // _FIELD))
    for index in range(dates):
        drifted = np.repeat(np.repeat(fields + 40 * index, _FIELD, 1), _FIELD, 2)
        cube.write_slab("reflectance", index, (drifted + rng.integers(-60, 60, drifted.shape)).astype(np.uint16))
        clear = np.repeat(np.repeat(rng.random(fields.shape[1:]) < 0.8, _FIELD, 0), _FIELD, 1)
        cube.write_slab("clear", index, clear.astype(np.uint8))
        cube.set(index, bands_present=np.ones(len(fields), np.uint8), ingested=1, masked=1)
        if watch is not None:
            watch(index + 1, dates)
    season = Season(
        level="L2A",
        start=_START,
        bands=CROP_BANDS,
        acquisitions=tuple(_candidate(acquisition) for acquisition in acquisitions),
    )
    return CubePatches(store, _SOURCE, "L2A", season, cover(_CELL.window, grid), CROP_BANDS)


def _acquisition(number: int, dates: int) -> Acquisition:
    time = _START + timedelta(days=number * 211 // dates, hours=11)
    product = Product(id=f"p{number}", href="", level="L2A", time=time, footprint={"type": "Point"})
    return Acquisition(id=f"a{number}", time=time, platform="S2A", products=(product,))


def _candidate(acquisition: Acquisition) -> SeasonAcquisition:
    return SeasonAcquisition(
        id=acquisition.id,
        time=acquisition.time,
        platform=acquisition.platform,
        baseline="05.00",
        cloud_cover=None,
        valid_fraction=1,
        clear_fraction=0.8,
        sun_zenith=40,
        products=tuple(product.id for product in acquisition.products),
        used=True,
        reason="",
    )
