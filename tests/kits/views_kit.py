"""A small cube and a class map over it, made by hand, for tests of what a season looked like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import delivery_kit
import numpy as np
import numpy.typing as npt
from shapely.geometry import box

from catalog.grid import Cell, Window
from catalog.products import LEVEL_BANDS, Acquisition, Product
from catalog.storage.store import Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.engine.opening import open_engine
from processors.season import Season, SeasonAcquisition
from processors.views.declared import Declared
from processors.views.make import make_views
from processors.views.parcels import Map
from processors.views.views import Views

CELL = Cell(32631, 56, 549)
L2A = LEVEL_BANDS["L2A"]
START = datetime(2019, 4, 1, tzinfo=UTC)


def time_of(number: int) -> datetime:
    return START + timedelta(days=5 * number, hours=10)


def season(clear: tuple[float, ...], bands: tuple[str, ...] = ("B02", "B03", "B04", "B08"), others: int = 0) -> Season:
    """A season of acquisitions a0, a1, … with those clear fractions; the first ``others`` of them are of another year."""
    acquisitions = tuple(
        SeasonAcquisition(
            id=f"a{number}", time=time_of(number), platform="S2A", baseline="05.00", cloud_cover=None, valid_fraction=1,
            clear_fraction=fraction, sun_zenith=40, products=(f"p{number}",), used=True, reason="",
            of_other_year=number < others,
        )
        for number, fraction in enumerate(clear)
    )  # fmt: skip
    return Season(level="L2A", start=START, bands=bands, acquisitions=acquisitions)


@dataclass(frozen=True)
class Ground:
    """A cube's pixels over a window: values (T, 12, H, W) and clear (T, H, W)."""

    store: Store
    window: Window
    values: npt.NDArray[np.uint16]
    clear: npt.NDArray[np.bool_]

    def band(self, name: str) -> npt.NDArray[np.float64]:
        return self.values[:, L2A.index(name)].astype(float)

    @property
    def ndvi(self) -> npt.NDArray[np.float64]:
        """NaN where it isn't clear."""
        nir, red = self.band("B08"), self.band("B04")
        with np.errstate(invalid="ignore"):
            return np.where(self.clear & (nir > 0) & (red > 0), (nir - red) / (nir + red), np.nan)


def ground(folder: Path, window: Window, dates: int, seed: int = 0) -> Ground:
    """Write a cube of one cell with random numbers where a window lies, a tenth of it without data, half of it clear."""
    random = np.random.default_rng(seed)
    values = random.integers(200, 4000, (dates, 12, *window.shape), dtype=np.uint16)
    values[np.broadcast_to(random.random((dates, 1, *window.shape)) < 0.1, values.shape)] = 0
    clear = (random.random((dates, *window.shape)) < 0.5) & (values[:, 0] > 0)
    store = Store(folder / "store")
    path = store.cube("kit", "L2A", CELL)
    ensure_cell(path, CELL, "L2A", source="kit", synthetic=True)
    extend(
        path,
        [
            Acquisition(
                id=f"a{number}", time=time_of(number), platform="S2A",
                products=(Product(id=f"p{number}", href="", level="L2A", time=time_of(number), footprint={"type": "Point"}),),
            )
            for number in range(dates)
        ],
    )  # fmt: skip
    cube = Cube(path, "r+")
    there = CELL.window.slices(window)
    for index in range(dates):
        slab, mask = np.zeros((12, 1024, 1024), np.uint16), np.full((1024, 1024), 255, np.uint8)
        slab[(slice(None), *there)], mask[there] = values[index], clear[index]
        cube.write_slab("reflectance", index, slab)
        cube.write_slab("clear", index, mask)
        cube.set(index, bands_present=np.ones(12, np.uint8), ingested=1, masked=1)
    return Ground(store, window, values, clear)


def class_map(folder: Path, window: Window, values: npt.NDArray[np.uint8], confidence: npt.NDArray[np.float32]) -> Map:
    """The rasters of a crop map over a window."""
    rasters = {
        "crop_map": delivery_kit.write_raster(folder, delivery_kit.CROP_MAP, window, values),
        "confidence": delivery_kit.write_raster(folder, delivery_kit.CONFIDENCE, window, confidence),
    }
    return Map(rasters, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), window, box(*window.bounds))


def views(
    folder: Path, of: Ground, of_map: Map, chosen: Season, declared: Declared | None = None, workers: int = 2
) -> Views:
    folder.mkdir(exist_ok=True)
    with open_engine("threads", workers) as engine:
        return make_views(of.store, "kit", "L2A", chosen, of_map, folder, engine, declared)


def fields(
    shape: tuple[int, int], count: int, seed: int = 0, values: tuple[int, ...] = (1, 2, 5)
) -> npt.NDArray[np.uint8]:
    """A map of fields with straight edges: each pixel is of the nearest of so many points, which have a class each."""
    random = np.random.default_rng(seed)
    points = random.random((count, 2)) * shape
    kinds = random.choice(values, count).astype(np.uint8)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return kinds[distance.argmin(axis=-1)]
