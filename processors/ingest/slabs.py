"""Slabs made from open bands: one acquisition over all its cells, its bands decoded side by side while the cell before is written.

Memory is of a fixed size, whatever the area and however many acquisitions are read at once: so many slabs, the blocks that threads
read just now, and what `Scratch` keeps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from catalog.errors import ProductError
from catalog.products import NO_DATA, SATURATED, LeftOut
from catalog.versions import versions_of
from processors.cube.cell_acquisition import CellAcquisition
from processors.cube.layout import CLEAR_NO_DATA
from processors.engine.limits import reading
from processors.engine.machine import cores
from processors.ingest.blocks import Scratch
from processors.ingest.opening import is_remote
from processors.ingest.product_bands import Readers

SLABS = 4
"""Slabs of cells (25 MB each) in memory at once, of all acquisitions of the process."""

REMOTE_THREADS = 13
"""Bands read at once over a network, where threads mostly wait: all of a product."""


class _Memory:
    """The arrays of the process's slabs: so many at once, used again while anybody ingests (clearing fresh memory takes long)."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._users = 0
        self._spare: list[npt.NDArray[np.uint16]] = []

    @contextmanager
    def user(self) -> Iterator[None]:
        """The last one to leave gives the memory back."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._spare.clear()

    def take(self, shape: tuple[int, ...], *, wait: bool) -> npt.NDArray[np.uint16] | None:
        """An array with anything in it; None where all are taken and ``wait`` is False."""
        if not self._free.acquire(blocking=wait):
            return None
        with self._lock:
            found = next((array for array in self._spare if array.shape == shape), None)
            self._spare = [array for array in self._spare if array is not found]
        return np.empty(shape, np.uint16) if found is None else found

    def give(self, array: npt.NDArray[np.uint16]) -> None:
        """Return an array that `take` gave."""
        with self._lock:
            self._spare.append(array)
            del self._spare[:-SLABS]
        self._free.release()


_memory = _Memory(SLABS)


@contextmanager
def slab_memory() -> Iterator[None]:
    """Context of all that is done for an acquisition: whoever begins while another reads uses the same memory."""
    with _memory.user():
        yield


class BrokenProductError(Exception):
    """A product failed in its middle; what was written of it has to be written again without it."""

    def __init__(self, left_out: LeftOut) -> None:
        super().__init__(left_out.reason)
        self.left_out = left_out


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts that are written beside a slab."""

    products: tuple[str, ...]
    bands_present: npt.NDArray[np.uint8]
    valid_fraction: float
    off_grid: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """Reading to be done for a cell: these bands of these products, in the order of their names, which doesn't depend on the request."""

    target: CellAcquisition
    names: tuple[str, ...]
    present: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.present, "SCL") if self.target.cube.level == "L2A" else self.present


class _Slab:
    """The arrays of a cell on their way; each counts as one of `SLABS` until it is written or given up."""

    def __init__(self, job: _Job, reflectance: npt.NDArray[np.uint16]) -> None:
        cube = job.target.cube
        self.job = job
        self.reflectance = reflectance
        self.masks = np.empty((2, *cube.window.shape), np.uint8) if cube.level == "L2A" else None
        """Scene classification and cloud probability."""
        self.layers: list[Future[set[str]]] = []

    def fill(self, readers: Readers, pool: ThreadPoolExecutor) -> None:
        """Begin to read all layers."""
        self.layers = [pool.submit(self._read, layer, readers) for layer in self.job.layers]
        for band in set(self.job.target.cube.bands) - set(self.job.present):
            self._array(band).fill(NO_DATA)

    def wait(self) -> Facts:
        """Wait until the slab is read; gives what is written beside it. Raises `BrokenProductError`."""
        off_grid = set().union(*(layer.result() for layer in self.layers))
        bands, present = self.job.target.cube.bands, self.job.present
        least = np.full(self.reflectance.shape[1:], SATURATED, np.uint16)
        for band in present:
            np.minimum(least, self._array(band), out=least)
        valid = least != NO_DATA
        if self.masks is not None:
            self.masks[1][~valid] = CLEAR_NO_DATA
        return Facts(
            products=self.job.names,
            bands_present=np.array([band in present for band in bands], np.uint8),
            valid_fraction=np.count_nonzero(valid) / valid.size if present else 0.0,
            off_grid=tuple(sorted(off_grid)),
        )

    def write(self) -> None:
        """Write the slab. Raises `StoreError`."""
        cube, index = self.job.target.cube, self.job.target.index
        cube.write_slab("reflectance", index, self.reflectance)
        if self.masks is not None:
            cube.write_slab("scl", index, self.masks[0])
            cube.write_slab("cloud_probability", index, self.masks[1])

    def give_up(self) -> None:
        """Let what is being read end, and read nothing more."""
        for layer in self.layers:
            layer.cancel()
        wait(self.layers)

    def _array(self, band: str) -> npt.NDArray[np.uint16]:
        """(H, W): where a band is put."""
        values: npt.NDArray[np.uint16] = self.reflectance[self.job.target.cube.bands.index(band)]
        return values

    def _read(self, layer: str, readers: Readers) -> set[str]:
        """Merge the products' pixels of a layer: of the first one that has data. What had to be warped for it."""
        if self.masks is not None and layer == "SCL":
            return self._read_masks(self.masks[0], self.masks[1], readers)
        window, out, fresh, off_grid = self.job.target.cube.window, self._array(layer), True, set()
        for name in self.job.names:
            reader = readers.bands[name][layer]
            with _blamed_on(name):
                reached = reader.fill(window, out, fresh=fresh)
            if reached:
                fresh = False
                off_grid |= reader.warped(window.epsg)
        if fresh:
            out.fill(NO_DATA)
        return off_grid

    def _read_masks(self, scl: npt.NDArray[np.uint8], probability: npt.NDArray[np.uint8], readers: Readers) -> set[str]:
        """Merge classification and cloud probability, both of the first product that classifies the pixel.

        So 0 % stays 0 %: the classification says where a product has data. 255 where the product has no probability.
        """
        window, fresh, off_grid = self.job.target.cube.window, True, set()
        probability.fill(CLEAR_NO_DATA)
        for name in self.job.names:
            bands = readers.bands[name]
            classes = scl if fresh else np.empty_like(scl)
            with _blamed_on(name):
                reached = bands["SCL"].fill(window, classes, fresh=True)
                percent = bands["CLD"].read(window) if "CLD" in bands else None
            if not reached:
                continue
            first = classes != NO_DATA
            if not fresh:
                first &= scl == NO_DATA
                np.copyto(scl, classes, where=first)
            if percent is not None:
                np.copyto(probability, percent, where=first & (percent <= 100), casting="unsafe")
            fresh = False
            off_grid |= bands["SCL"].warped(window.epsg)
        if fresh:
            scl.fill(NO_DATA)
        return off_grid


@contextmanager
def _blamed_on(product: str) -> Iterator[None]:
    with reading(product):
        try:
            yield
        except ProductError as error:
            raise BrokenProductError(LeftOut.because(product, error)) from error


def write_slabs(targets: Sequence[CellAcquisition], readers: Readers, scratch: Scratch) -> list[Facts | None]:
    """Merge the products of each cell and write it; None for a cell of which no product is usable.

    Raises `BrokenProductError`, `StoreError`.
    """
    jobs = [_job(target, readers) for target in targets]
    _plan(jobs, readers, scratch)
    facts: dict[int, Facts] = {}
    held: dict[int, _Slab] = {}  # by job, at most two: no thread is idle while the last bands of the first one are read
    pool = _pool(_threads(readers))

    def finish_first() -> None:
        number, slab = next(iter(held.items()))
        facts[number] = slab.wait()
        slab.write()
        _memory.give(held.pop(number).reflectance)

    try:
        for number, job in enumerate(jobs):
            if not job.names:
                continue
            held[number] = _next_slab(job, held, finish_first)
            held[number].fill(readers, pool)
            if len(held) > 1:
                finish_first()
        while held:
            finish_first()
    finally:
        for slab in held.values():
            slab.give_up()
            _memory.give(slab.reflectance)
    return [facts.get(number) for number in range(len(jobs))]


def _next_slab(job: _Job, held: Mapping[int, _Slab], finish_first: Callable[[], None]) -> _Slab:
    """Take memory for a slab. Where all is taken, what is held is written first: nobody who waits for a slab holds another one."""
    cube = job.target.cube
    shape = len(cube.bands), *cube.window.shape
    array = _memory.take(shape, wait=False)
    while array is None:
        while held:
            finish_first()
        array = _memory.take(shape, wait=True)
    return _Slab(job, array)


def _job(target: CellAcquisition, readers: Readers) -> _Job:
    names = tuple(
        sorted(
            version.id for product in target.products for version in versions_of(product) if version.id in readers.bands
        )
    )
    present = tuple(band for band in target.cube.bands if names and all(band in readers.bands[name] for name in names))
    return _Job(target, names, present)


def _plan(jobs: Sequence[_Job], readers: Readers, scratch: Scratch) -> None:
    """Tell each reader what it will be asked for. Raises `BrokenProductError`."""
    for name, bands in readers.bands.items():
        for layer, reader in bands.items():
            # The cloud probability is read along with the classification.
            with_it = "SCL" if layer == "CLD" else layer
            windows = [job.target.cube.window for job in jobs if name in job.names and with_it in job.layers]
            with _blamed_on(name):
                reader.plan(windows, scratch)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Pool of the process: threads that stay are fewer in all, and their memory is used again rather than scattered."""
    return ThreadPoolExecutor(threads, thread_name_prefix="cropline-read")


def _threads(readers: Readers) -> int:
    remote = any(is_remote(reader.asset) for bands in readers.bands.values() for reader in bands.values())
    return max(cores(), REMOTE_THREADS if remote else 1)
