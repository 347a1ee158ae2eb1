"""A file whose reading never ends costs its own acquisition and no other, and can't hold who looks at a product."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cube_kit
import pytest
import safe_kit

from catalog.errors import Reason
from catalog.grid import Cell
from catalog.sources.one_product import read_product_at
from catalog.sources.registry import open_source
from catalog.storage.credentials import Credentials
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.engine.apart import call_apart
from processors.engine.limits import Limits, OverLimitError
from processors.ingest.acquisition import extend_cells
from processors.ingest.raster_headers import read_headers
from processors.ingest.within_limits import ingest_within

CELL = Cell(32631, 56, 549)
ROOMY = 8 * 10**9


def endless(path: Path) -> None:
    """Put a pipe that nobody writes to in a file's place: to open it never ends."""
    path.unlink()
    os.mkfifo(path)


def archive(folder: Path) -> tuple[str, list[Path]]:
    """A folder of SAFE products of three dates, and the file of a band of each."""
    products = [
        safe_kit.Kit(start=start, relative_orbit=94).write(folder)
        for start in (cube_kit.day(1), cube_kit.day(11), cube_kit.day(21))
    ]
    return f"safe:{folder}", [next(product.rglob("*_B03_10m.jp2")) for product in products]


def test_a_file_that_never_ends_costs_its_own_acquisition_alone(tmp_path: Path) -> None:
    from catalog.area import parse_area
    from catalog.order import make_order

    address, bands = archive(tmp_path / "archive")
    source = open_source(address)
    area = parse_area(read_product_at(str(bands[0].parents[4]), Credentials()).product.footprint)
    order = make_order(source, area, cube_kit.day(1).year, (1, 12), "L2A", 100)
    store = Store(tmp_path / "store")
    cells = extend_cells(store, order, [CELL])
    endless(bands[1])
    within = partial(ingest_within, Limits(3, ROOMY), store, order)
    with ThreadPoolExecutor(3) as pool:
        ids = [acquisition.id for acquisition in order.acquisitions]
        results = list(pool.map(lambda name: within(name, cells, address), ids))
    assert [result.written for result in results] == [(CELL.name,), (), (CELL.name,)]
    (left,) = results[1].dropped
    assert (left.product, left.kind) == (order.acquisitions[1].products[0].id, Reason.OVER_LIMIT)
    assert left.reason.startswith(
        "one reading of it took over 3 s. Where the file is whole and only large or slow, raise CROPLINE_READ"
    )
    cube = Cube(store.cube(order.source_id, "L2A", CELL))
    assert cube.values("ingested").tolist() == [1, 0, 1]


def test_a_product_that_never_ends_can_not_hold_whoever_looks_at_it(tmp_path: Path) -> None:
    product = safe_kit.Kit(leave_out=("B01",)).write(tmp_path)
    reading = read_product_at(str(product), Credentials())
    assert len(call_apart(Limits(60, ROOMY), read_headers, reading.assets)) == len(reading.assets)
    endless(next(product.rglob("*_B03_10m.jp2")))
    with pytest.raises(OverLimitError, match="one reading of it took over 1 s"):
        call_apart(Limits(1, ROOMY), read_headers, reading.assets)
    shutil.rmtree(product)
