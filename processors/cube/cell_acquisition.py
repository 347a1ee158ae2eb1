"""An acquisition in one cell: what ingestion writes and the mask reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from catalog.grid import Cell
from catalog.products import Acquisition, Order, Product
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.cube.claim import claimed
from processors.cube.codecs import DAMAGE


@dataclass(frozen=True, eq=False)
class CellAcquisition:
    """One date of an open cell."""

    cube: Cube
    index: int

    @property
    def cell(self) -> Cell:
        return self.cube.cell

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """The products that touch the cell, of this request and of earlier ones."""
        return self.cube.products(self.index)

    @property
    def ingested(self) -> bool:
        return self.cube.flag("ingested", self.index)

    @property
    def masked(self) -> bool:
        return self.cube.flag("masked", self.index)

    @property
    def masked_with(self) -> str:
        """The record of its mask; empty where it has none, a damaged one, or one of before there were records."""
        if not self.masked or "masked_with" not in self.cube.arrays:
            return ""
        try:
            return str(self.cube.arrays["masked_with"][self.index])
        except DAMAGE:
            return ""

    @property
    def bands_present(self) -> npt.NDArray[np.bool_]:
        """(B,): the bands that are there."""
        return np.asarray(np.asarray(self.cube.arrays["bands_present"][self.index]) == 1)


@contextmanager
def claimed_for_writing(targets: Sequence[CellAcquisition]) -> Iterator[list[CellAcquisition]]:
    """Wait for the claims of acquisitions in cells and keep them: the same ones, to be looked at anew, since others may have filled them.

    Raises `StoreError`.
    """
    with claimed((target.cube.path, target.index) for target in targets) as claims:
        by_date = {(claim.path, claim.index): claim for claim in claims}
        anew = [CellAcquisition(target.cube, target.index) for target in targets]
        for target in anew:
            target.cube.claims[target.index] = by_date[target.cube.path, target.index]
        try:
            yield anew
        finally:
            for target in anew:
                del target.cube.claims[target.index]


def find_in_cell(store: Store, order: Order, acquisition: Acquisition, cell: Cell) -> CellAcquisition | None:
    """The acquisition in a cell, open for writing; None where there is no such cell or it lacks the date."""
    path = store.cube(order.source_id, order.level, cell)
    if not path.exists():
        return None
    cube = Cube(path, "r+")
    index = cube.index_of(acquisition)
    return None if index is None else CellAcquisition(cube, index)
