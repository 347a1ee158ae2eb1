"""From open bands to slabs: one acquisition over all its cells, its bands decoded side by side while the cell before is written.

Memory is of a fixed size, whatever the area and however many acquisitions are read at once: so many slabs, the blocks that threads
read just now, and what `Scratch` keeps.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import ProductError
from catalog.products import NO_DATA, Product
from processors.cube import Cube
from processors.ingest_blocks import Scratch
from processors.ingest_products import Readers
from processors.ingest_read import is_remote

SLABS = 4
"""Slabs of cells (25 MB each) in memory at once, of all acquisitions of the process."""

REMOTE_THREADS = 13
"""Bands read at once over a network, where threads mostly wait: all of a product."""

_slabs = threading.BoundedSemaphore(SLABS)


class BrokenProductError(Exception):
    """A product failed in its middle; what was written of it has to be written again without it."""

    def __init__(self, product: str, reason: str) -> None:
        super().__init__(reason)
        self.product = product


@dataclass(frozen=True, slots=True)
class Place:
    """An acquisition in one cell."""

    cube: Cube
    index: int
    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is written beside a slab."""

    products: tuple[str, ...]
    bands_present: npt.NDArray[np.uint8]
    valid_fraction: float
    off_grid: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """What is read for a cell: these bands of these products, in the order of their names, which doesn't depend on the request."""

    place: Place
    names: tuple[str, ...]
    present: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.present, "SCL") if self.place.cube.level == "L2A" else self.present


class _Slab:
    """The arrays of a cell on their way; each counts as one of `SLABS` until it is written or given up."""

    def __init__(self, cube: Cube) -> None:
        self.reflectance = np.empty((len(cube.bands), *cube.window.shape), np.uint16)
        self.scl = np.empty(cube.window.shape, np.uint8) if cube.level == "L2A" else None
        self.layers: list[Future[set[str]]] = []

    def fill(self, job: _Job, readers: Readers, pool: ThreadPoolExecutor) -> None:
        """Begin to read all layers of a cell."""
        self.job = job
        self.layers = [pool.submit(self._read, layer, readers) for layer in job.layers]
        for band in set(job.place.cube.bands) - set(job.present):
            self._array(band).fill(NO_DATA)

    def wait(self) -> Facts:
        """What is written beside the slab, once it is read. Raises `BrokenProductError`."""
        off_grid = set().union(*(layer.result() for layer in self.layers))
        bands, present = self.job.place.cube.bands, self.job.present
        valid = np.ones(self.reflectance.shape[1:], bool)
        for band in present:
            valid &= self._array(band) != NO_DATA
        return Facts(
            products=self.job.names,
            bands_present=np.array([band in present for band in bands], np.uint8),
            valid_fraction=float(valid.mean()) if present else 0.0,
            off_grid=tuple(sorted(off_grid)),
        )

    def write(self) -> None:
        """Raises `StoreError`."""
        cube, index = self.job.place.cube, self.job.place.index
        cube.write_slab("reflectance", index, self.reflectance)
        if self.scl is not None:
            cube.write_slab("scl", index, self.scl)

    def give_up(self) -> None:
        """Let what is being read end, and read nothing more."""
        for layer in self.layers:
            layer.cancel()
        wait(self.layers)

    def _array(self, layer: str) -> npt.NDArray[Any]:
        """(H, W): where a band, or the classification, is put."""
        if layer == "SCL" and self.scl is not None:
            return self.scl
        return self.reflectance[self.job.place.cube.bands.index(layer)]

    def _read(self, layer: str, readers: Readers) -> set[str]:
        """Merge the products' pixels of a layer: of the first one that has data. What had to be warped for it."""
        window, out, fresh, off_grid = self.job.place.cube.window, self._array(layer), True, set()
        out.fill(NO_DATA)
        for name in self.job.names:
            reader = readers.bands[name][layer]
            try:
                reached = reader.fill(window, out, fresh=fresh)
            except ProductError as error:
                raise BrokenProductError(name, str(error)) from error
            if reached:
                fresh = False
                if (warped := reader.off_grid(window.epsg)) is not None:
                    off_grid.add(warped)
        return off_grid


def write_slabs(places: Sequence[Place], readers: Readers, scratch: Scratch) -> list[Facts | None]:
    """Merge the products of each cell and write it; None for a cell of which no product is usable.

    Raises `BrokenProductError`, `StoreError`.
    """
    jobs = [_job(place, readers) for place in places]
    _plan(jobs, readers, scratch)
    facts: list[Facts | None] = []
    held: list[_Slab] = []  # at most two: one on its way to the disk while the next one is read
    free: list[_Slab] = []  # used again, for the time that it takes to clear fresh memory
    with ThreadPoolExecutor(_threads(readers), thread_name_prefix="cropline-read") as pool:
        try:
            for job in jobs:
                if not job.names:
                    facts.append(None)
                    continue
                # Where all slabs are taken, ours is written first: nobody who waits for one holds another.
                if not free and not _slabs.acquire(blocking=not held):
                    free.append(_written_first(held))
                held.append(free.pop() if free else _Slab(job.place.cube))
                held[-1].fill(job, readers, pool)
                if len(held) > 1:
                    free.append(_written_first(held))
                facts.append(held[0].wait())
            while held:
                free.append(_written_first(held))
        finally:
            for slab in (*held, *free):
                slab.give_up()
                _slabs.release()
    return facts


def _written_first(held: list[_Slab]) -> _Slab:
    held[0].write()
    return held.pop(0)


def _job(place: Place, readers: Readers) -> _Job:
    names = tuple(sorted(product.id for product in place.products if product.id in readers.bands))
    present = tuple(band for band in place.cube.bands if names and all(band in readers.bands[name] for name in names))
    return _Job(place, names, present)


def _plan(jobs: Sequence[_Job], readers: Readers, scratch: Scratch) -> None:
    """Tell each reader what it will be asked for. Raises `BrokenProductError`."""
    for name, bands in readers.bands.items():
        for layer, reader in bands.items():
            windows = [job.place.cube.window for job in jobs if name in job.names and layer in job.layers]
            try:
                reader.plan(windows, scratch)
            except ProductError as error:
                raise BrokenProductError(name, str(error)) from error


def _threads(readers: Readers) -> int:
    remote = any(is_remote(reader.asset) for bands in readers.bands.values() for reader in bands.values())
    return max(cores(), REMOTE_THREADS if remote else 1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
