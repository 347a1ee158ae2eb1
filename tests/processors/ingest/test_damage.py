"""What is cut or changed at rest is noticed, named and read again from the source, or left out where that is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
from shapely.geometry import box

from catalog.errors import NotEnoughAcquisitionsError, RewrittenError, StoreError
from catalog.grid import Cell, to_lonlat
from catalog.products import Order
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import Store
from flows.run import again_where_rewritten
from processors.cube.cell import Cube
from processors.cube.healing import find_damage, repair
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.patches.cube_patches import CubePatches
from processors.season import choose_season

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "changed": lambda data: data[:20] + bytes([data[20 % len(data)] ^ 255]) + data[21:],
    "zeroed": lambda data: bytes(len(data)),
}


@pytest.fixture
def archive(store: Store) -> cube_kit.Archive:
    made = cube_kit.Archive(store.root / "archive")
    for day in (1, 2):
        raw = np.random.default_rng(day).integers(300, 9000, (120, 120))
        made.add(f"p{day}", {"B02": raw, "SCL": 4}, time=cube_kit.day(day))
    return made


@again_where_rewritten
def walk(store: Store, order: Order) -> np.ndarray[Any, Any]:
    """The stages from order to patches, as a run has them."""
    cells = extend_cells(store, order, [CELL])
    for one in order.acquisitions:
        ingest_acquisition(store, order, one.id, cells, order.source)
    for one in order.acquisitions:
        mask_acquisition(store, order, one.id, cells)
    season = choose_season(store, order, to_lonlat(box(*cube_kit.square().bounds), 32631), 32631, 0.5, 1)
    return CubePatches(store, "kit", "L2A", season, [cube_kit.square()], ("B02",)).read(0).values


def cell_of(store: Store) -> Path:
    path = store.cube("kit", "L2A", CELL)
    assert isinstance(path, Path)
    return path


def chunks(path: Path, kind: str) -> list[Path]:
    return [file for file in sorted((path / kind / "c").rglob("*")) if file.is_file()]


TASKS = ("pixels_from", "bands_present", "masked_with", "offset_from", "ingested", "masked")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *(("reflectance", how) for how in DAMAGES),
        *((name, how) for name in ("clear", "scl", *TASKS) for how in ("cut", "changed")),
    ],
)
def test_a_damaged_chunk_of_a_date_is_made_anew_with_the_same_bits(
    store: Store, archive: cube_kit.Archive, name: str, how: str
) -> None:
    order = archive.order()
    expected = walk(store, order)
    whole = cube_kit.files_of(store.cubes)
    file = chunks(cell_of(store), name)[0]
    data = file.read_bytes()
    file.write_bytes(DAMAGES[how](data) if len(data) > 21 else bytes(byte ^ 255 for byte in DAMAGES[how](data)))
    np.testing.assert_array_equal(walk(store, order), expected)
    if name not in ("scl", "offset_from"):  # those are noticed when somebody needs them
        assert cube_kit.files_of(store.cubes) == whole
    else:
        repair(cell_of(store))
        walk(store, order)
        assert cube_kit.files_of(store.cubes) == whole


@pytest.mark.parametrize(
    "name", ["reflectance", "clear", "bands_present", "pixels_from", "valid_fraction", "clear_fraction"]
)
def test_a_chunk_that_is_gone_is_named_and_made_anew(store: Store, archive: cube_kit.Archive, name: str) -> None:
    order = archive.order()
    expected = walk(store, order)
    whole = cube_kit.files_of(store.cubes)
    chunks(cell_of(store), name)[0].unlink()
    assert find_damage(cell_of(store)) == (True, [f"{name} of {Cube(cell_of(store)).acquisition_ids[0]}"])
    np.testing.assert_array_equal(walk(store, order), expected)
    assert cube_kit.files_of(store.cubes) == whole


@pytest.mark.parametrize("fraction", ["valid_fraction", "clear_fraction"])
def test_what_is_gone_with_what_tells_of_it_is_made_anew(
    store: Store, archive: cube_kit.Archive, fraction: str
) -> None:
    order = archive.order()
    expected = walk(store, order)
    for name in (fraction, "reflectance" if fraction == "valid_fraction" else "clear"):
        chunks(cell_of(store), name)[0].unlink()
    assert fraction in find_damage(cell_of(store))[1][0]
    np.testing.assert_array_equal(walk(store, order), expected)


@pytest.mark.parametrize("name", ["offset_from", "offset_check"])
def test_what_is_gone_and_stands_elsewhere_too_is_named(store: Store, archive: cube_kit.Archive, name: str) -> None:
    walk(store, archive.order())
    chunks(cell_of(store), name)[0].unlink()
    assert find_damage(cell_of(store)) == (True, [f"{name} of {Cube(cell_of(store)).acquisition_ids[0]}"])


@pytest.mark.parametrize("name", ["x", "band", "spatial_ref", "masked_with", "cloud_probability", "pixels_from"])
def test_an_array_that_is_gone_is_named(store: Store, archive: cube_kit.Archive, name: str) -> None:
    order = archive.order()
    expected = walk(store, order)
    (cell_of(store) / name / "zarr.json").unlink()
    assert find_damage(cell_of(store)) == (False, [f"{cell_of(store)}: {name} is gone"])
    repair(cell_of(store))
    np.testing.assert_array_equal(walk(store, order), expected)


def test_dates_whose_time_is_gone_are_not_taken_for_those_of_a_killed_writer(
    store: Store, archive: cube_kit.Archive
) -> None:
    order = archive.order()
    expected = walk(store, order)
    chunks(cell_of(store), "time")[0].unlink()
    sound, (named,) = find_damage(cell_of(store))
    assert (sound, "time of some dates is gone" in named) == (False, True)
    with pytest.raises(StoreError, match=r"its time is damaged .*cells --repair"):
        walk(store, order)
    repair(cell_of(store))
    np.testing.assert_array_equal(walk(store, order), expected)


@pytest.mark.parametrize("name", ["acquisition", "products", "platform", "product_ids"])
def test_a_part_of_the_axis_that_is_gone_is_named_and_the_cell_made_anew(
    store: Store, archive: cube_kit.Archive, name: str
) -> None:
    order = archive.order()
    expected = walk(store, order)
    whole = cube_kit.files_of(store.cubes)
    chunks(cell_of(store), name)[0].unlink()
    sound, named = find_damage(cell_of(store))
    assert not sound
    assert name in named[0]
    assert "moved to" in repair(cell_of(store))
    np.testing.assert_array_equal(walk(store, order), expected)
    made = {path: data for path, data in cube_kit.files_of(store.cubes).items() if ".damaged-" not in str(path)}
    assert made == whole


@pytest.mark.parametrize("text", ["null", "[]", "3", '{"node_type": "array"}'])
@pytest.mark.parametrize("name", ["", "time", "scl", "left_out"])
def test_metadata_of_another_shape_is_named(store: Store, archive: cube_kit.Archive, name: str, text: str) -> None:
    walk(store, archive.order())
    (cell_of(store) / name / "zarr.json").write_text(text)
    whole, named = find_damage(cell_of(store))
    assert not whole
    assert len(named) == 1
    assert str(cell_of(store)) in named[0]


@pytest.mark.parametrize("name", ["reflectance", "clear"])
def test_a_damaged_date_whose_source_is_gone_is_left_out_or_only_masked_again(
    store: Store, archive: cube_kit.Archive, name: str
) -> None:
    order = archive.order()
    walk(store, order)
    file = chunks(cell_of(store), name)[0]
    file.write_bytes(file.read_bytes()[:100])
    for source in archive.folder.glob("*.tif"):
        source.unlink()
    dates = len(walk(store, order))
    assert dates == (2 if name == "clear" else 1)
    if name == "reflectance":
        result = ingest_acquisition(store, order, order.acquisitions[0].id, [CELL], order.source)
        assert "no such file" in result.dropped[0].reason


@pytest.mark.parametrize("how", ["cut", "changed"])
@pytest.mark.parametrize("name", ["time", "acquisition", "products", "reflectance/zarr.json", "zarr.json"])
def test_a_cell_without_its_axis_or_metadata_is_named_and_repaired(
    store: Store, archive: cube_kit.Archive, name: str, how: str
) -> None:
    order = archive.order()
    expected = walk(store, order)
    path = cell_of(store)
    file = path / name if name.endswith("json") else chunks(path, name)[0]
    file.write_bytes(DAMAGES[how](file.read_bytes()))
    whole, named = find_damage(path)
    assert (whole, len(named)) == (False, 1)
    assert CELL.name in named[0]
    with pytest.raises(StoreError, match=CELL.name):
        walk(store, order)
    assert "moved to" in repair(path)
    np.testing.assert_array_equal(walk(store, order), expected)


def test_all_damage_is_found_and_repaired_for_the_next_run(store: Store, archive: cube_kit.Archive) -> None:
    order = archive.order()
    expected = walk(store, order)
    path = cell_of(store)
    assert find_damage(path) == (True, [])
    assert repair(path) == ""
    for file in (chunks(path, "scl")[0], chunks(path, "clear")[1]):
        file.write_bytes(file.read_bytes()[:50])
    first, second = (one.id for one in order.acquisitions)
    assert find_damage(path) == (True, [f"scl of {first}", f"clear of {second}"])
    assert "the next run reads these dates" in repair(path)
    assert Cube(path).flags("ingested").tolist() == [False, True]
    assert find_damage(path) == (True, [f"clear of {second}"])  # whose mask is made anew
    np.testing.assert_array_equal(walk(store, order), expected)
    assert find_damage(path) == (True, [])


def test_errors_that_damage_leads_to_are_those_of_this_project(store: Store, archive: cube_kit.Archive) -> None:
    order = archive.order()
    walk(store, order)
    file = chunks(cell_of(store), "clear")[0]
    file.write_bytes(b"")
    area = to_lonlat(box(*cube_kit.square().bounds), 32631)
    with pytest.raises(RewrittenError, match=f"clear of {order.acquisitions[0].id}"):
        choose_season(store, order, area, 32631, 0.5, 1)
    with pytest.raises(NotEnoughAcquisitionsError):
        choose_season(store, order, area, 32631, 0.5, 2)


IN_A_BUCKET = [
    (name, how)
    for name in ("reflectance", "scl", "acquisition", "time", "zarr.json")
    for how in ("cut", "gone", "emptied")
]
OFTEN = {("reflectance", "cut"), ("scl", "gone"), ("acquisition", "gone"), ("time", "emptied"), ("zarr.json", "cut")}
"""Each name and each way once; the others take as long and are of the same kinds."""


@pytest.mark.parametrize(
    ("name", "how"),
    [pytest.param(*case, marks=[] if case in OFTEN else pytest.mark.slow) for case in IN_A_BUCKET],
)
def test_in_a_bucket_damage_is_named_repaired_and_made_anew(
    tmp_path: Path, bucket: BucketPath, archive: cube_kit.Archive, name: str, how: str
) -> None:
    store, order = Store(tmp_path / "here", bucket), archive.order()
    expected = walk(store, order)
    path = store.cube("kit", "L2A", CELL)
    assert isinstance(path, BucketPath)
    part = name if name == "zarr.json" else next(part for part in sorted(path.states()) if part.startswith(f"{name}/c"))
    if how == "gone":
        (path / part).delete()
    else:
        data = (path / part).read()
        assert data is not None
        (path / part).put(data[0][: len(data[0]) // 2] if how == "cut" else b"")
    if (name, how) not in (("zarr.json", "gone"), ("scl", "gone")):  # then there is no cell, or nobody misses it
        assert name.removesuffix(".json") in find_damage(path)[1][0]
        assert "the next run reads" in repair(path)
    np.testing.assert_array_equal(walk(store, order), expected)
    assert find_damage(path) == (True, [])
