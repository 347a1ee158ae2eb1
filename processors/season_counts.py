"""Counts of valid and clear pixels over a requested area, cell by cell, with what the pixels were read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from catalog.grid import Cell, Window, cells_meeting, inside, window_around
from catalog.products import Order
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.cube.healing import healed
from processors.cube.lost import lost_of_date
from processors.cube.pixel_source import PixelSource
from processors.offset_suspicion import OffsetRecord


@dataclass(frozen=True, slots=True, eq=False)
class _CellCounts:
    """Counts in one cell, of one acquisition."""

    valid: int = 0
    clear: int = 0
    unmasked: bool = False
    masked_with: str | None = None
    bands: npt.NDArray[np.bool_] | None = None
    sources: tuple[PixelSource, ...] = ()
    contents: str = ""


@dataclass(slots=True)
class AreaCounts:
    """Counts over the cells, of one acquisition."""

    valid: int = 0
    clear: int = 0
    bands: npt.NDArray[np.bool_] | None = None
    unmasked: int = 0
    masks: set[str] = field(default_factory=set)
    contents: dict[str, str] = field(default_factory=dict)
    """By cell."""
    sources: dict[str, PixelSource] = field(default_factory=dict)
    """By product."""
    offset: OffsetRecord = field(default_factory=OffsetRecord)

    def add(self, cell: Cell, counted: _CellCounts) -> None:
        self.unmasked += counted.unmasked
        if counted.bands is None:
            return
        self.valid += counted.valid
        self.clear += counted.clear
        self.bands = counted.bands if self.bands is None else self.bands & counted.bands
        if counted.masked_with is not None:
            self.masks.add(counted.masked_with)
        self.contents[cell.name] = counted.contents
        for source in counted.sources:
            self.offset.add(source)
            self.sources[source.product] = source


def count_over_area(
    store: Store, order: Order, zone_area: BaseGeometry, epsg: int
) -> tuple[dict[str, AreaCounts], int]:
    """Counts by acquisition, and the number of pixels of the area."""
    counts = {acquisition.id: AreaCounts() for acquisition in order.acquisitions}
    pixels = 0
    for cell in cells_meeting(zone_area, epsg):
        part = _window_in(cell, zone_area)
        if part is None:
            continue
        mask = inside(zone_area, part)
        pixels += int(mask.sum())
        path = store.cube(order.source_id, order.level, cell)
        if mask.any() and path.exists():
            cube = Cube(path)
            for acquisition in order.acquisitions:
                index = cube.index_of(acquisition)
                if index is not None:
                    count = partial(_count_in_cell, cube, index, part, mask)
                    counts[acquisition.id].add(cell, healed({path: [index]}, count))
    return counts, pixels


def _window_in(cell: Cell, zone_area: BaseGeometry) -> Window | None:
    """Window around the part of an area that lies in a cell."""
    here = zone_area.intersection(box(*cell.window.bounds))
    return None if here.is_empty else window_around(here, cell.epsg).intersection(cell.window)


def _count_in_cell(cube: Cube, index: int, part: Window, mask: npt.NDArray[np.bool_]) -> _CellCounts:
    if not cube.flag("ingested", index):
        return _CellCounts()
    if not cube.flag("masked", index):
        return _CellCounts(unmasked=True)
    if lost := lost_of_date(cube, index):
        raise FileNotFoundError(f"no file holds its {', '.join(lost)}")
    clear = cube.read("clear", index, *cube.window.slices(part))[mask]
    valid = int((clear <= 1).sum())
    if not valid:
        return _CellCounts()
    return _CellCounts(
        valid=valid,
        clear=int((clear == 1).sum()),
        masked_with=str(cube.arrays["masked_with"][index]) if "masked_with" in cube.arrays else None,
        bands=np.asarray(cube.arrays["bands_present"][index]) == 1,
        sources=cube.sources(index),
        contents=cube.contents(index),
    )
