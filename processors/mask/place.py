"""An ingested acquisition in one cell, as the masks of both levels see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.grid import CELL, Cell, Window
from catalog.products import NO_DATA, SATURATED
from processors.cube.cell import Cube
from processors.cube.layout import CLEAR_NO_DATA


@dataclass(frozen=True, slots=True, eq=False)
class MaskPlace:
    """One date of a cell."""

    cube: Cube
    index: int

    @property
    def cell(self) -> Cell:
        return self.cube.cell

    @property
    def masked_with(self) -> str:
        """The record of its mask; empty where it has none, or one of before there were records."""
        arrays = self.cube.arrays
        if arrays["masked"][self.index] != 1 or "masked_with" not in arrays:
            return ""
        return str(arrays["masked_with"][self.index])

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(B,): the bands that are there."""
        return np.asarray(np.asarray(self.cube.arrays["bands_present"][self.index]) == 1)

    def state(self, reflectance: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """(H, W): 255 where any band present has no data, else 0 where any is saturated, else 1: what may be clear."""
        rows = np.flatnonzero(self.present)
        valid, saturated = np.full((CELL, CELL), rows.size > 0), np.zeros((CELL, CELL), bool)
        for row in rows:
            valid &= reflectance[row] != NO_DATA
            saturated |= reflectance[row] == SATURATED
        return np.where(valid, ~saturated, CLEAR_NO_DATA).astype(np.uint8)

    def begin(self) -> None:
        """Take back the flag of an earlier mask: whoever is killed from here on leaves none."""
        if self.cube.arrays["masked"][self.index] != 0:
            self.cube.set(self.index, masked=0)

    def finish(self, clear: npt.NDArray[np.uint8], record: str) -> None:
        """Write the mask, what it was made with, and its flag last."""
        self.cube.write_slab("clear", self.index, clear)
        self.cube.set(self.index, clear_fraction=float((clear == 1).mean()), masked_with=record, masked=1)


def widened(window: Window, margin: int) -> Window:
    """A window with ``margin`` pixels more on every side."""
    return Window(
        window.epsg, window.left - margin, window.top + margin, window.width + 2 * margin, window.height + 2 * margin
    )
