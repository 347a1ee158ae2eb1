"""The `clear` layer of an acquisition in one cell: which pixels may be clear, and how the layer is written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalog.grid import CELL
from catalog.products import NO_DATA, SATURATED
from processors.cube.cell_acquisition import CellAcquisition
from processors.cube.layout import CLEAR_NO_DATA


def clear_at_most(target: CellAcquisition, reflectance: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """(H, W): 255 where any band present has no data, else 0 where any is saturated, else 1: what may be clear."""
    rows = np.flatnonzero(target.bands_present)
    valid, saturated = np.full((CELL, CELL), rows.size > 0), np.zeros((CELL, CELL), bool)
    for row in rows:
        valid &= reflectance[row] != NO_DATA
        saturated |= reflectance[row] == SATURATED
    return np.where(valid, ~saturated, CLEAR_NO_DATA).astype(np.uint8)


def begin_mask(target: CellAcquisition) -> None:
    """Take back the flag of an earlier mask: whoever is killed from here on leaves none."""
    target.cube.take_back(target.index, "masked")


def finish_mask(target: CellAcquisition, clear: npt.NDArray[np.uint8], record: str) -> None:
    """Write the mask (H, W), the record of what it was made with, and its flag last. Raises `StoreError`."""
    target.cube.write_slab("clear", target.index, clear)
    target.cube.set(target.index, clear_fraction=float((clear == 1).mean()), masked_with=record, masked=1)
