"""Masks of the clear pixels of an acquisition: L2A by its scene classification, L1C by s2cloudless (`mask_l1c`).

Dilation and shadows need what lies beyond a cell's edge: it is read from the neighbouring cells that hold the same acquisition,
so that no seam appears between cells of one request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from catalog.grid import PIXEL, Cell, cells_of_window
from catalog.products import Frozen, LeftOut, Order
from catalog.storage.store import Store
from processors.cube.cell_acquisition import CellAcquisition, claimed_for_writing, find_in_cell
from processors.cube.healing import healed
from processors.cube.layout import CLEAR_NO_DATA
from processors.cube.lock import LeaseLostError
from processors.ingest.acquisition import ATTEMPTS, acquisition_of
from processors.mask.clear_layer import begin_mask, clear_at_most, finish_mask
from processors.mask.clouds import Mask, dilated
from processors.mask.l1c import mask_l1c, sort_out
from processors.mask.options import USUAL_MASK, L2AMask, MaskOptions


class MaskResult(Frozen):
    """The outcome of masking one acquisition."""

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

    def ingested_in(cell: Cell) -> CellAcquisition | None:
        target = find_in_cell(store, order, acquisition, cell)
        return target if target is not None and target.ingested else None

    masked: dict[str, None] = {}
    dropped: list[LeftOut] = []
    whole: list[CellAcquisition] = []
    for attempt in range(1, ATTEMPTS + 1):
        ingested = [target for cell in sorted(cells) if (target := ingested_in(cell)) is not None]
        whole = [target for target in ingested if target.masked_with == record]
        waiting = [target for target in ingested if target not in whole]
        if not waiting:
            break
        try:
            with claimed_for_writing(waiting) as claimed:
                # Another process may have masked it since it was looked at, or be about to read it anew.
                claimed = [target for target in claimed if target.ingested]
                whole += [target for target in claimed if target.masked_with == record]
                waiting = [target for target in claimed if target not in whole]
                if order.level == "L2A":
                    for target in waiting:
                        begin_mask(target)
                        finish_mask(target, _clear_l2a(target, ingested_in, options.l2a), record)
                else:
                    waiting, dropped = sort_out(waiting)
                    mask_l1c(waiting, ingested_in, acquisition, options)
                masked |= dict.fromkeys(target.cell.name for target in waiting)
            break
        except LeaseLostError:
            if attempt == ATTEMPTS:
                raise
    return MaskResult(
        acquisition=acquisition_id,
        masked=tuple(masked),
        skipped=tuple(target.cell.name for target in whole if target.cell.name not in masked),
        dropped=tuple(dropped),
    )


def _clear_l2a(
    target: CellAcquisition, neighbour: Callable[[Cell], CellAcquisition | None], options: L2AMask
) -> npt.NDArray[np.uint8]:
    window = target.cell.window
    around = window.widened(math.ceil(options.dilation / PIXEL))
    found = {cell: there for cell in cells_of_window(around) if (there := neighbour(cell)) is not None}

    def read(variable: str, empty: int) -> npt.NDArray[np.uint8]:
        """A slab over the cell and its surroundings; ``empty`` where no cell holds it."""
        whole = np.full(around.shape, empty, np.uint8)
        for cell, there in found.items():
            part = around.intersection(cell.window)
            # neighbours outside the request may be of an older layout
            if part is not None and there.ingested and variable in there.cube.arrays:
                whole[around.slices(part)] = there.cube.read(variable, there.index, *cell.window.slices(part))
        return whole

    def layers() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        return read("scl", 0), None if options.cloud_threshold is None else read("cloud_probability", CLEAR_NO_DATA)

    scl, probability = healed({there.cube.path: [there.index] for there in found.values()}, layers)
    inner = around.slices(window)
    clear = clear_by_classes(scl, probability, options)[inner]
    state = healed(
        {target.cube.path: [target.index]}, lambda: clear_at_most(target, target.cube.read("reflectance", target.index))
    )
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
