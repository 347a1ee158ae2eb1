"""A file whose reading never ends costs its own acquisition and no other, and can't hold who looks at a product."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cube_kit
import pytest
import safe_kit

from catalog.area import parse_area
from catalog.errors import Reason
from catalog.grid import Cell
from catalog.order import make_order
from catalog.products import Order
from catalog.sources.one_product import read_product_at
from catalog.sources.registry import open_source
from catalog.storage.credentials import Credentials
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.engine.apart import call_apart
from processors.engine.limits import Limits, OverLimitError
from processors.ingest import within_limits
from processors.ingest.acquisition import IngestResult, extend_cells
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


def order_of(address: str, band: Path) -> Order:
    area = parse_area(read_product_at(str(band.parents[4]), Credentials()).product.footprint)
    return make_order(open_source(address), area, cube_kit.day(1).year, (1, 12), "L2A", 100)


def test_a_file_that_never_ends_costs_its_own_acquisition_alone(tmp_path: Path) -> None:
    address, bands = archive(tmp_path / "archive")
    order = order_of(address, bands[0])
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


class Runs:
    """Runs over an acquisition of which there are versions; they tell how often a process was asked to read it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *baselines: str) -> None:
        self._store, self._address, self._calls = Store(folder / "store"), f"safe:{folder / 'archive'}", 0
        kits = [safe_kit.Kit(start=cube_kit.day(1), baseline=baseline) for baseline in baselines]
        products = [kit.write(folder / "archive") for kit in kits]
        self.bands = [next(product.rglob("*_B03_10m.jp2")) for product in products]

        def counting(*arguments: Any) -> Any:
            self._calls += 1
            return call_apart(*arguments)

        monkeypatch.setattr(within_limits, "call_apart", counting)

    def run(self, limits: Limits) -> tuple[IngestResult, int]:
        """The outcome of a run, and how many calls it took: one more than those that were ended."""
        self._calls = 0
        order = order_of(self._address, self.bands[0])
        cells = extend_cells(self._store, order, [CELL])
        result = ingest_within(limits, self._store, order, order.acquisitions[0].id, cells, self._address)
        return result, self._calls

    def baselines(self) -> list[str]:
        """Baselines of what the cube's pixels were read from."""
        (cube,) = (self._store.root / "cubes").rglob("*.zarr")
        return [source.baseline for source in Cube(cube).sources(0)]


def test_a_product_over_the_limits_is_not_read_again_until_it_or_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, monkeypatch, "05.09")
    whole = runs.bands[0].read_bytes()
    endless(runs.bands[0])
    first, calls = runs.run(Limits(2, ROOMY))
    assert (first.written, [left.kind for left in first.dropped], calls) == ((), [Reason.OVER_LIMIT], 2)
    again, calls = runs.run(Limits(2, ROOMY))
    assert (again.written, again.dropped, calls) == ((), first.dropped, 1)

    longer, calls = runs.run(Limits(3, ROOMY))
    assert (longer.dropped[0].reason[:38], calls) == ("one reading of it took over 3 s. Where", 2)

    runs.bands[0].unlink()
    runs.bands[0].write_bytes(whole)
    healed, calls = runs.run(Limits(3, ROOMY))
    assert (healed.written, healed.dropped, calls) == ((CELL.name,), (), 1)


def test_an_older_version_takes_the_place_of_one_over_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, monkeypatch, "04.00", "05.09")
    whole = runs.bands[1].read_bytes()
    endless(runs.bands[1])
    first, calls = runs.run(Limits(2, ROOMY))
    (left,) = first.dropped
    assert (first.written, left.kind, left.cause, calls) == (
        (CELL.name,),
        Reason.OLDER_TAKEN,
        Reason.OVER_LIMIT,
        2,
    )
    assert runs.baselines() == ["04.00"]
    again, calls = runs.run(Limits(2, ROOMY))
    assert (again.skipped, again.dropped, calls) == ((CELL.name,), first.dropped, 1)

    runs.bands[1].unlink()
    runs.bands[1].write_bytes(whole)
    healed, calls = runs.run(Limits(2, ROOMY))
    assert (healed.written, healed.dropped, calls) == ((CELL.name,), (), 1)
    assert runs.baselines() == ["05.09"]


def test_a_product_that_never_ends_can_not_hold_whoever_looks_at_it(tmp_path: Path) -> None:
    product = safe_kit.Kit(leave_out=("B01",)).write(tmp_path)
    reading = read_product_at(str(product), Credentials())
    assert len(call_apart(Limits(60, ROOMY), read_headers, reading.assets)) == len(reading.assets)
    endless(next(product.rglob("*_B03_10m.jp2")))
    with pytest.raises(OverLimitError, match="one reading of it took over 1 s"):
        call_apart(Limits(1, ROOMY), read_headers, reading.assets)
    shutil.rmtree(product)
