"""From products to patches with the cubes on disk and in a bucket: the same numbers, also after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
from shapely.geometry import box, mapping

from catalog.area import parse_area
from catalog.grid import Cell, Window, to_lonlat
from catalog.products import Order
from catalog.storage.store import CellPath, Store
from processors.cube import lock
from processors.cube.cell import Cube
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.patches.cube_patches import CubePatches
from processors.season import choose_season

pytestmark = pytest.mark.usefixtures("folder_source")

CELL, NORTH = Cell(32631, 56, 549), Cell(32631, 56, 550)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Three dates over the edge of two cells, the second one half cloudy."""
    rng = np.random.default_rng(7)
    archive = cube_kit.Archive(tmp_path / "archive")
    window = cube_kit.square(row=-60)
    for number in (1, 2, 3):
        scl = np.full((60, 60), 4)
        scl[:, 30:] = 9 if number == 2 else 4
        bands = {name: rng.integers(1001, 9000, (120, 120)) for name in ("B02", "B08")}
        archive.add(f"p{number}", {**bands, "SCL": scl}, time=cube_kit.day(number), window=window, offset=-1000)
    made: Order = archive.order()
    return made


def prepared(store: Store, order: Order, cells: Sequence[Cell] = (CELL, NORTH)) -> Store:
    names = [cell.name for cell in cells]
    extend_cells(store, order, cells)
    for one in order.acquisitions:
        assert sorted(ingest_acquisition(store, order, one.id, cells, order.source).written) == names
    for one in order.acquisitions:
        assert sorted(mask_acquisition(store, order, one.id, cells).masked) == names
    return store


def test_a_season_and_its_patches_are_the_same_wherever_the_cubes_are(
    place: CellPath, order: Order, tmp_path: Path
) -> None:
    expected, found = prepared(Store(tmp_path / "expected"), order), prepared(Store(tmp_path / "store", place), order)
    assert not (tmp_path / "store").exists()
    window = cube_kit.square(row=-50, size=100)
    area = parse_area(mapping(to_lonlat(box(*window.bounds), window.epsg).buffer(-1e-5)))
    seasons = [choose_season(store, order, area, 32631, 0.6, 2) for store in (expected, found)]
    assert seasons[0] == seasons[1]
    assert [one.used for one in seasons[1].acquisitions] == [True, False, True]
    windows = [window, Window(32631, window.left + 30, window.top, 100, 100)]
    sources = [CubePatches(store, "kit", "L2A", seasons[0], windows, ("B08", "B02")) for store in (expected, found)]
    for index in range(2):
        one, other = (source.read(index) for source in sources)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.clear, other.clear)
    assert one.values.any()
    for cell in (CELL, NORTH):
        same = [cube_kit.files_of(store.cube("kit", "L2A", cell)) for store in (expected, found)]
        metadata = [{name: data for name, data in files.items() if name.endswith("zarr.json")} for files in same]
        assert metadata[0] == metadata[1]
        assert set(same[0]) == set(same[1])


_CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cube_kit
import processors.ingest.acquisition
from catalog.products import Order
from catalog.storage.store import Store
from processors.cube.cell import Cube

processors.ingest.acquisition.open_source = cube_kit.FolderSource
order = Order.model_validate_json(Path(sys.argv[2]).read_text())
write, writes = Cube.write_slab, 0

def pause(cube, variable, index, slab):
    global writes
    write(cube, variable, index, slab)
    writes += 1
    if writes == 4:  # three slabs an acquisition: the second one has its reflectance and nothing more
        print("in the middle", flush=True)
        time.sleep(60)

Cube.write_slab = pause
store = Store(Path("nowhere"), cube_kit.place_at(sys.argv[3]))
for acquisition in order.acquisitions:
    processors.ingest.acquisition.ingest_acquisition(store, order, acquisition.id, [cube_kit.CELL], order.source)
"""


def test_a_killed_ingestion_leaves_nothing_visible_and_goes_on(
    place: CellPath, order: Order, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE", 1.0)  # in a bucket nothing else tells that the first one is dead
    store, undisturbed = Store(tmp_path / "store", place / "killed"), Store(tmp_path / "store", place / "undisturbed")
    order = order.model_copy(update={"acquisitions": order.acquisitions[:2]})
    extend_cells(store, order, [CELL])
    (tmp_path / "order.json").write_text(order.model_dump_json(), encoding="utf-8")
    kit: Any = Path(cube_kit.__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(kit), str(tmp_path / "order.json"), str(store.cubes)],
        cwd=repository,
        env=cube_kit.environment_for(place),
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "in the middle\n"
        child.send_signal(signal.SIGKILL)
    path = store.cube("kit", "L2A", CELL)
    assert Cube(path).flags("ingested").tolist() == [True, False]
    assert Cube(path).read("reflectance", 1).any()
    first, second = order.acquisitions
    assert ingest_acquisition(store, order, first.id, [CELL], order.source).skipped == (CELL.name,)
    assert ingest_acquisition(store, order, second.id, [CELL], order.source).written == (CELL.name,)
    for one in order.acquisitions:
        mask_acquisition(store, order, one.id, [CELL])
    prepared(undisturbed, order, [CELL])
    assert cube_kit.files_of(store.cubes) == cube_kit.files_of(undisturbed.cubes)
