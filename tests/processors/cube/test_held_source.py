"""What the cubes hold of a source, ordered as from the source itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cube_kit import CELL, EAST
from shapely.geometry import box, mapping

from catalog.errors import NoProductError, ProductError
from catalog.given_offsets import with_offsets
from catalog.grid import to_lonlat
from catalog.order import group_acquisitions, make_order
from catalog.products import Product
from catalog.storage.store import Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.cube.held_source import HeldSource

FOOTPRINT = mapping(to_lonlat(box(*CELL.window.bounds), CELL.epsg))


def product(day: int, cloud: float = 10) -> Product:
    time = datetime(2019, 4, day, 10, 56, tzinfo=UTC)
    return Product(
        id=f"p{day}", href="gone", level="L2A", time=time, footprint=FOOTPRINT, platform="S2A", cloud_cover=cloud,
        datatake=f"{time:%Y%m%dT%H%M%S}_000001", relative_orbit="R051", baseline="05.00",
    )  # fmt: skip


def test_dates_that_are_whole_are_ordered_as_the_source_would(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asked = group_acquisitions([product(day, cloud=99 if day == 6 else 10) for day in (1, 6, 11, 16)])
    again = with_offsets(asked, {"p11": -1000})
    path = store.cube("kit", "L2A", CELL)
    ensure_cell(path, CELL, "L2A", source="kit", synthetic=False)
    extend(path, [*asked, again[2]])
    cube = Cube(path, "r+")
    for index in range(5):
        cube.set(index, ingested=int(index != 2), masked=int(index != 3))
    held = HeldSource(store, "stac:elsewhere", "kit", (CELL, EAST))
    area = to_lonlat(box(*CELL.window.bounds), CELL.epsg)
    order = make_order(held, area, 2019, (4, 7), "L2A", 95)
    assert [made.id for made in order.acquisitions] == [asked[0].id, asked[2].id]
    assert (order.source, order.source_id) == ("stac:elsewhere", "kit")
    given = make_order(held, area, 2019, (4, 7), "L2A", 95, {"p11": -1000})
    assert cube.index_of(given.acquisitions[1]) == 4
    with pytest.raises(NoProductError, match="1 of the area's 2 cells are in the cubes, with 0 dates of that period"):
        make_order(held, area, 2020, (4, 7), "L2A", 95)
    with pytest.raises(ProductError, match="isn't read again"):
        held.assets(product(1))
