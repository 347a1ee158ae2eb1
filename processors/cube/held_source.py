"""What the cubes hold of a source, as a source by itself: for work that asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from catalog.area import Area
from catalog.errors import ProductError
from catalog.grid import Cell
from catalog.products import Asset, Level, Product
from catalog.sources.protocol import SearchResult
from catalog.storage.store import Store
from processors.cube.cell import Cube


@dataclass(frozen=True)
class HeldSource:
    """The products that cells of a source hold whole, as it described them when they were read; ``address`` and ``id`` are its own."""

    store: Store
    address: str
    id: str
    cells: tuple[Cell, ...]
    usage: ClassVar[str] = ""

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:  # noqa: ARG002 - the cells are those of the area
        """See `Source`: of the dates that are whole and masked in any of the cells."""
        start, end = period
        products: dict[str, Product] = {}
        dates = cells = 0
        for cell in self.cells:
            path = self.store.cube(self.id, level, cell)
            if not path.exists():
                continue
            cube = Cube(path)
            cells += 1
            whole = cube.flags("ingested") & cube.flags("masked")
            for index, time in enumerate(cube.times):
                if whole[index] and start <= time < end:
                    dates += 1
                    for product in cube.products(index):
                        # With an offset that a request gave it is another date: requests say theirs again.
                        products.setdefault(product.id, product.model_copy(update={"offset": None}))
        holds = f"{cells} of the area's {len(self.cells)} cells are in the cubes, with {dates} dates of that period"
        return SearchResult(tuple(products.values()), holds=holds, count=len(products))

    def assets(self, product: Product) -> dict[str, Asset]:
        """Raise `ProductError`: their pixels are in the cubes already, and nowhere else."""
        raise ProductError(f"{product.id}: it is in the cubes, and isn't read again.")
