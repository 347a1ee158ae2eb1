"""Series of points and parcels, read from the cubes square by square: each chunk of a cell is decoded once, whatever lies in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import numpy.typing as npt

from catalog.grid import SQUARE, Window
from catalog.products import Level
from catalog.storage.store import Store
from processors.engine.protocol import Engine
from processors.patches.cube_patches import CubePatches
from processors.patches.places import Numbers, Place
from processors.season import Season

SATURATED = 65535

_TOGETHER = 2000
"""Pixels of places that are read together at most, if several are."""

Square = tuple[int, int]
"""Column and row of a square of the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Series of N places: ``days`` (D,) of the year, rising, and ``values`` (N, D, C), reflectance x 10,000, 0 where not clear."""

    days: npt.NDArray[np.int16]
    bands: tuple[str, ...]
    values: npt.NDArray[np.uint16]

    @property
    def clear(self) -> float:
        """Share of places and dates that are clear."""
        return float((self.values > 0).any(axis=2).mean()) if self.values.size else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Places that are read together: their numbers (n,), the one (P,) that each pixel is of, and the pixels."""

    numbers: Numbers
    of: Numbers
    columns: Numbers
    uppers: Numbers


def read_series(
    store: Store,
    source_id: str,
    level: Level,
    season: Season,
    bands: Sequence[str],
    year: int,
    epsg: int,
    places: Sequence[Place],
    engine: Engine,
    progress: Callable[[int, int], None] | None = None,
) -> Series:
    """Read the series of places in a zone: of each date and band the median of its pixels that are clear, have data in all bands and aren't
    saturated.

    Dates of one day are one: the first that is clear stands; days on which nothing is clear are left out. ``progress`` is told (places
    read, of how many). Raises `RequestError` where the season lacks a band, and `RewrittenError` where a date is written anew meanwhile.
    """
    squares = sorted({square for place in places for square in _squares(place)})
    windows = [Window(epsg, column * SQUARE, (row + 1) * SQUARE, SQUARE, SQUARE) for column, row in squares]
    patches = CubePatches(store, source_id, level, season, windows, bands)
    read = np.zeros((len(places), len(patches.days), len(bands)), np.uint16)
    done = 0
    work = partial(_read_job, patches, {square: index for index, square in enumerate(squares)})
    for job, values in engine.as_completed(work, _jobs(places)):
        read[job.numbers] = values
        done += len(job.numbers)
        if progress is not None:
            progress(done, len(places))
    days = [(used.time.date() - date(year, 1, 1)).days + 1 for used in season.used]
    return _by_day(read, days, tuple(bands))


def _squares(place: Place) -> set[Square]:
    return set(zip((place.columns // SQUARE).tolist(), ((place.uppers - 1) // SQUARE).tolist(), strict=True))


def _jobs(places: Sequence[Place]) -> Iterator[_Job]:
    """Places by the square of their first pixel, from the north; large ones apart."""

    def home(number: int) -> tuple[int, int]:
        place = places[number]
        return -((int(place.uppers[0]) - 1) // SQUARE), int(place.columns[0]) // SQUARE

    together: list[int] = []
    pixels = 0
    for number in sorted(range(len(places)), key=home):
        size = len(places[number].columns)
        if together and (home(number) != home(together[0]) or pixels + size > _TOGETHER):
            yield _job(places, together)
            together, pixels = [], 0
        together.append(number)
        pixels += size
    if together:
        yield _job(places, together)


def _job(places: Sequence[Place], numbers: Iterable[int]) -> _Job:
    own = list(numbers)
    return _Job(
        np.array(own, np.int64),
        np.repeat(np.arange(len(own)), [len(places[number].columns) for number in own]),
        np.concatenate([places[number].columns for number in own]),
        np.concatenate([places[number].uppers for number in own]),
    )


def _read_job(patches: CubePatches, index: dict[Square, int], job: _Job) -> npt.NDArray[np.uint16]:
    """Medians (n, T, C) of the places of a job."""
    shape = len(job.of), len(patches.days), len(patches.bands)
    values, seen = np.zeros(shape, np.uint16), np.zeros(shape[:2], np.bool_)
    squares = np.column_stack([job.columns // SQUARE, (job.uppers - 1) // SQUARE])
    met, of_square = np.unique(squares, axis=0, return_inverse=True)
    for number, (column, row) in enumerate(met.tolist()):
        pixels = np.flatnonzero(of_square.reshape(-1) == number)
        patch, window = patches.read(index[column, row]), patches.windows[index[column, row]]
        rows, columns = window.top - job.uppers[pixels], job.columns[pixels] - window.left
        here = np.moveaxis(patch.values[:, :, rows, columns], 2, 0)
        values[pixels] = here
        usable = ((here > 0) & (here < SATURATED)).all(axis=2)
        seen[pixels] = patch.clear[:, rows, columns].T & usable
    medians = np.zeros((len(job.numbers), *shape[1:]), np.uint16)
    sizes = np.bincount(job.of)
    single = sizes[job.of] == 1
    medians[job.of[single]] = np.where(seen[single, :, None], values[single], 0)
    for place in np.flatnonzero(sizes > 1).tolist():
        own = job.of == place
        for time in np.flatnonzero(seen[own].any(axis=0)).tolist():
            medians[place, time] = np.rint(np.median(values[own, time][seen[own, time]], axis=0))
    return medians


def _by_day(read: npt.NDArray[np.uint16], days: Sequence[int], bands: tuple[str, ...]) -> Series:
    own = sorted(set(days))
    values = np.zeros((len(read), len(own), len(bands)), np.uint16)
    for time in np.argsort(days, kind="stable").tolist():
        place = own.index(days[time])
        empty = ~(values[:, place] > 0).any(axis=1)
        values[empty, place] = read[empty, time]
    seen = (values > 0).any(axis=(0, 2))
    return Series(np.array(own, np.int16)[seen], bands, values[:, seen])
