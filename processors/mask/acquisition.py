"""Which pixels of an acquisition are clear: L2A by its scene classification, L1C by s2cloudless (`mask_l1c`).

Dilation and shadows need what lies beyond a cell's edge: it is read from the neighbouring cells that hold the same acquisition,
so that no seam appears between cells of one request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from catalog.grid import PIXEL, Cell, cells_of_window
from catalog.products import Acquisition, Frozen, LeftOut, Order
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.cube.layout import CLEAR_NO_DATA
from processors.ingest.acquisition import acquisition_of
from processors.mask.clouds import Mask, dilated
from processors.mask.l1c import mask_l1c, sort_out
from processors.mask.options import USUAL_MASK, L2AMask, MaskOptions
from processors.mask.place import MaskPlace, widened


class MaskResult(Frozen):
    """What became of the mask of one acquisition."""

    acquisition: str
    masked: Annotated[tuple[str, ...], Field(description="cells masked now")] = ()
    skipped: Annotated[tuple[str, ...], Field(description="cells that were masked before, with the same options")] = ()
    dropped: Annotated[tuple[LeftOut, ...], Field(description="cells that can't be masked, and why")] = ()


def mask_acquisition(
    store: Store, order: Order, acquisition_id: str, cells: Sequence[Cell], options: MaskOptions = USUAL_MASK
) -> MaskResult:
    """Write `clear` of one acquisition into those of its cells that are ingested and lack it, or have it by other options.

    Raises `StoreError` where the store can't be written.
    """
    acquisition = acquisition_of(order, acquisition_id)
    record = options.record(order.level)

    @cache
    def place(cell: Cell) -> MaskPlace | None:
        return _place(store, order, acquisition, cell)

    found = [found for cell in sorted(cells) if (found := place(cell)) is not None]
    whole = [one for one in found if one.masked_with == record]
    waiting = [one for one in found if one not in whole]
    dropped: list[LeftOut] = []
    if order.level == "L2A":
        for one in waiting:
            one.begin()
            one.finish(_clear_l2a(one, place, options.l2a), record)
    else:
        waiting, dropped = sort_out(waiting)
        mask_l1c(waiting, place, acquisition, options)
    return MaskResult(
        acquisition=acquisition_id,
        masked=tuple(one.cell.name for one in waiting),
        skipped=tuple(one.cell.name for one in whole),
        dropped=tuple(dropped),
    )


def _place(store: Store, order: Order, acquisition: Acquisition, cell: Cell) -> MaskPlace | None:
    path = store.cube(order.source_id, order.level, cell)
    if not path.exists():
        return None
    cube = Cube(path, "r+")
    index = cube.index_of(acquisition.id, acquisition.time, acquisition.platform)
    return None if index is None or cube.arrays["ingested"][index] != 1 else MaskPlace(cube, index)


def _clear_l2a(
    place: MaskPlace, neighbour: Callable[[Cell], MaskPlace | None], options: L2AMask
) -> npt.NDArray[np.uint8]:
    window = place.cell.window
    around = widened(window, math.ceil(options.dilation / PIXEL))

    def read(variable: str, empty: int) -> npt.NDArray[np.uint8]:
        """A slab over the cell and its surroundings; ``empty`` where no cell holds it."""
        whole = np.full(around.shape, empty, np.uint8)
        for cell in cells_of_window(around):
            part, there = around.intersection(cell.window), neighbour(cell)
            # neighbours outside the request may be of an older layout
            if part is not None and there is not None and variable in there.cube.arrays:
                whole[around.slices(part)] = there.cube.read(variable, there.index, *cell.window.slices(part))
        return whole

    scl = read("scl", 0)
    probability = None if options.cloud_threshold is None else read("cloud_probability", CLEAR_NO_DATA)
    inner = around.slices(window)
    clear = clear_by_classes(scl, probability, options)[inner]
    state = place.state(place.cube.read("reflectance", place.index))
    state[scl[inner] == 0] = CLEAR_NO_DATA
    return np.where(state == 1, clear, state)


def clear_by_classes(
    scl: npt.NDArray[np.uint8], probability: npt.NDArray[np.uint8] | None, options: L2AMask
) -> npt.NDArray[np.bool_]:
    """(H, W) at 10 m: clear by scene classification and cloud probability (%, 255 unknown; None: not looked at), clouds dilated.

    Nearer to the edge than the dilation, clouds beyond it are missed. Whether there is data is not judged here.
    """
    spreading = _among(scl, options.dilated)
    if options.cloud_threshold is not None and probability is not None:
        spreading |= (probability > 100 * options.cloud_threshold) & (probability != CLEAR_NO_DATA)
    return _among(scl, options.clear) & ~dilated(spreading, options.dilation / PIXEL)


def _among(scl: npt.NDArray[np.uint8], classes: Iterable[int]) -> Mask:
    table = np.zeros(256, bool)
    table[list(classes)] = True
    among: npt.NDArray[Any] = table[scl]
    return among
