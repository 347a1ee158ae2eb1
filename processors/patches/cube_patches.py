"""Windows that cover an area, and patches read through them: views of the cube, no copies on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from agrunet.data.patches import Patch
from catalog.errors import RequestError, RewrittenError
from catalog.grid import PIXEL, Cell, Window, cells_of_window
from catalog.lattice import squares_meeting
from catalog.products import LEVEL_BANDS, Level
from catalog.storage.store import CellPath, Store
from processors.cube.cell import Cube
from processors.cube.codecs import DAMAGE
from processors.cube.healing import take_back_damaged
from processors.cube.layout import BLOCK
from processors.cube.undisturbed import state_of
from processors.season import Season


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """Cutting of the area for a processor: edge and overlap of patches, pixels."""

    size: int = 128
    overlap: int = 32


def cover(
    area_window: Window, grid: PatchGrid, shift: tuple[int, int] = (0, 0), zone_area: BaseGeometry | None = None
) -> list[Window]:
    """Overlapping windows of ``grid.size`` that cover an area, from its north-west corner, row by row.

    Where the area is larger than a patch, the first and last rows and columns are moved back inside: beyond the area there may
    be no data, and a network sees that. Where it is smaller, patches are centred on it.
    ``shift``: (rows, columns) by which the whole grid starts further north and west; 0 or more, less than its step.
    ``zone_area``: the area in the zone's metres; of all windows only those that meet it.
    Raises `RequestError` where patches don't overlap as asked.
    """
    step = grid.size - grid.overlap
    if grid.size < 1 or not 0 <= grid.overlap < grid.size:
        raise RequestError(f"patches of {grid.size} pixels can't overlap by {grid.overlap}: 0 to {grid.size - 1} can.")
    if not all(0 <= moved < step for moved in shift):
        raise RequestError(f"shift {shift}: each must be 0 to {step - 1}, the step of the patches less one.")
    rows = _starts(area_window.height, grid.size, step, shift[0])
    columns = _starts(area_window.width, grid.size, step, shift[1])
    return _windows(area_window, rows, columns, grid.size, zone_area)


def _starts(length: int, size: int, step: int, shift: int) -> list[int]:
    """First pixels of patches that cover 0 to ``length``."""
    if length <= size:
        centred = -((size - length) // 2)
        # moved by no more than keeps the whole length inside
        return [max(centred - shift, length - size)]
    starts = [max(0, start) for start in range(-shift, length - size, step)]
    return [*starts, length - size]


def training_windows(area_window: Window, size: int, zone_area: BaseGeometry | None = None) -> list[Window]:
    """Windows that cover an area without overlap, from its north-west corner; the last ones may reach out of it.

    ``zone_area`` as for `cover`.
    """
    rows, columns = range(0, area_window.height, size), range(0, area_window.width, size)
    return _windows(area_window, rows, columns, size, zone_area)


def _windows(
    area_window: Window, rows: Sequence[int], columns: Sequence[int], size: int, zone_area: BaseGeometry | None
) -> list[Window]:
    """Windows of one size by their first rows and columns, both rising, row by row; those that meet the area."""
    places: Iterable[tuple[int, int]] = product(rows, columns)
    if zone_area is not None:
        souths = [(area_window.top - row - size) * PIXEL for row in reversed(rows)]
        wests = [(area_window.left + column) * PIXEL for column in columns]
        met = squares_meeting(zone_area, wests, souths, size * PIXEL)
        last = len(rows) - 1
        places = sorted((rows[last - row], columns[column]) for row, column in met)
    return [
        Window(area_window.epsg, area_window.left + column, area_window.top - row, size, size) for row, column in places
    ]


_CACHE_BYTES = 128 * 2**20
"""Decoded blocks that are kept, of one object: those of two rows of patches of a strip."""

_STRIP = 512
"""Width of a strip, pixels: two rows of its blocks take 90 MB with 27 dates."""


def in_strips(windows: Sequence[Window], indices: Iterable[int]) -> list[int]:
    """Numbers of windows, in strips from north to south: blocks that neighbours share are still kept when the next row comes, however
    wide the area is."""
    west = min(window.left for window in windows)

    def place(index: int) -> tuple[int, int, int]:
        window = windows[index]
        return (window.left - west) // _STRIP, -window.top, window.left

    return sorted(indices, key=place)


@dataclass(frozen=True, slots=True)
class _OpenCell:
    """A cell, the dates of the season that it has, and the index of each of these in it, rising."""

    cube: Cube
    dates: npt.NDArray[np.intp]
    indices: npt.NDArray[np.intp]
    state: list[str | None]
    """What was said of these dates before their flags were looked at: see `undisturbed`."""

    @property
    def read(self) -> dict[CellPath, list[int]]:
        return {self.cube.path: self.indices.tolist()}


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One inner chunk of a cell, decoded: (T, C, H, W) and (T, H, W)."""

    values: npt.NDArray[np.uint16]
    clear: npt.NDArray[np.bool_]


class CubePatches:
    """The patches of a season, in the order of ``windows``: implements `agrunet.data.patches.PatchSource`.

    Thread-safe. Travels to other processes as what it was made of; keys to a bucket stay here where the engine sends it.
    Cells are opened at their first use. Patches that overlap share blocks: these are decoded whole and the last ones kept, so that
    patches read in their order decode each about once.
    """

    def __init__(
        self,
        store: Store,
        source_id: str,
        level: Level,
        season: Season,
        windows: Sequence[Window],
        bands: Sequence[str],
    ) -> None:
        """``bands``: what a patch holds, in this order. Raises `RequestError` where the season lacks one of them."""
        missing = [band for band in bands if band not in season.bands]
        if missing:
            raise RequestError(
                f"bands {', '.join(missing)} are not in every acquisition of the season, which have {', '.join(season.bands)}. "
                "Ask for other bands, or for another source."
            )
        if not windows or len({window.shape for window in windows}) > 1:
            raise RequestError(f"{len(windows)} windows: all patches of one source have one size.")
        self.store, self.source_id, self.level = store, source_id, level
        self.season, self.windows, self.bands = season, tuple(windows), tuple(bands)
        if not season.used:
            raise RequestError("the season uses no acquisition.")
        self.days: npt.NDArray[np.int32] = np.array(season.days(season.start), np.int32)
        self._rows = [LEVEL_BANDS[level].index(band) for band in bands]
        self._forget()

    def __len__(self) -> int:
        return len(self.windows)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_cells", "_blocks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._cells: dict[Cell, _OpenCell | None] = {}
        self._blocks: OrderedDict[Window, _Block] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, index: int) -> Patch:
        """Values (T, C, H, W), 0 = no data; clear (T, H, W); days (T,). Where no cell is, or it lacks a date, there is no data."""
        window = self.windows[index]
        values = np.zeros((len(self.days), len(self.bands), *window.shape), np.uint16)
        clear = np.zeros((len(self.days), *window.shape), np.bool_)
        for chunk in _blocks_of(window):
            block = self._block(chunk)
            part = window.intersection(chunk)
            if block is not None and part is not None:
                to, of = window.slices(part), chunk.slices(part)
                values[(..., *to)] = block.values[(..., *of)]
                clear[(..., *to)] = block.clear[(..., *of)]
        return Patch(values, clear, self.days)

    def _block(self, chunk: Window) -> _Block | None:
        with self._lock:
            if chunk in self._blocks:
                self._blocks.move_to_end(chunk)
                return self._blocks[chunk]
            opened = self._open(cells_of_window(chunk)[0])
        if opened is None or not opened.dates.size:
            return None
        try:
            block = self._decode(opened, chunk)
        except DAMAGE as error:
            self._check_unchanged(opened, error)
            named = take_back_damaged(opened.cube.path, opened.indices.tolist())
            if not named:
                raise
            raise _rewritten(opened.cube.path, f"since it is damaged: {'; '.join(named)} ({error})") from error
        self._check_unchanged(opened)
        size = block.values.nbytes + block.clear.nbytes
        with self._lock:
            self._blocks[chunk] = block
            while len(self._blocks) > max(1, _CACHE_BYTES // size):
                self._blocks.popitem(last=False)
        return block

    def _decode(self, opened: _OpenCell, chunk: Window) -> _Block:
        block = _Block(
            np.zeros((len(self.days), len(self.bands), *chunk.shape), np.uint16),
            np.zeros((len(self.days), *chunk.shape), np.bool_),
        )
        arrays, (rows, columns) = opened.cube.arrays, opened.cube.window.slices(chunk)
        # All dates in one selection: the codecs then decode them side by side.
        values = np.asarray(arrays["reflectance"].oindex[opened.indices, :, rows, columns])
        block.values[opened.dates] = values[:, self._rows]
        block.clear[opened.dates] = np.asarray(arrays["clear"].oindex[opened.indices, rows, columns]) == 1
        return block

    def _check_unchanged(self, opened: _OpenCell, error: Exception | None = None) -> None:
        """Raise `RewrittenError` where a date was taken back since the cell was opened: its pixels may be of two versions."""
        if state_of(opened.read) != opened.state:
            raise _rewritten(opened.cube.path, "while it was read") from error

    def _open(self, cell: Cell) -> _OpenCell | None:
        if cell not in self._cells:
            path = self.store.cube(self.source_id, self.level, cell)
            self._cells[cell] = _open_cell(path, self.season) if path.exists() else None
        return self._cells[cell]


def _blocks_of(window: Window) -> Iterator[Window]:
    """The inner chunks that a window touches; cells are whole numbers of them."""
    for top in range(-(-window.top // BLOCK), window.bottom // BLOCK, -1):
        for left in range(window.left // BLOCK, -(-window.right // BLOCK)):
            yield Window(window.epsg, left * BLOCK, top * BLOCK, BLOCK, BLOCK)


def _open_cell(path: CellPath, season: Season) -> _OpenCell:
    """Open a cell. Raises `RewrittenError` where it doesn't hold what the season was chosen from."""
    cube = Cube(path)
    found = {date: index for date, one in enumerate(season.used) if (index := cube.index_of(one)) is not None}
    said = dict(zip(found, state_of({path: found.values()}), strict=True))
    whole = cube.flags("ingested") & cube.flags("masked")
    for date, index in found.items():
        chosen_from = season.used[date].contents.get(cube.cell.name)
        if chosen_from is not None and (not whole[index] or cube.contents(index) != chosen_from):
            raise _rewritten(path, f"since the season was chosen: {season.used[date].id}")
    there = [(index, date) for date, index in found.items() if whole[index]]
    indices, dates = np.array(sorted(there), np.intp).reshape(-1, 2).T
    return _OpenCell(cube, dates, indices, [said[date] for date in dates.tolist()])


def _rewritten(path: CellPath, when: str) -> RewrittenError:
    return RewrittenError(f"{path}: a date was written anew {when}. Run again: what is there now is read.")
