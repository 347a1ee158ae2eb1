"""The cell on disk: its layout, its growth, and what a kill leaves behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import product as product_of
from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
import xarray
import zarr
import zarr_cm
from pyproj import CRS

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.products import Acquisition, Product
from catalog.storage.store import CellPath
from processors.cube.cell import Cube, ensure_cell, extend
from processors.cube.codecs import plain_codecs
from processors.cube.storage import open_group

CELL = Cell(32631, 56, 549)
TIME = datetime(2019, 4, 1, 10, 56, 58, 24001, tzinfo=UTC)


def product(name: str, *, time: datetime = TIME, tile: str = "31UES", **about: Any) -> Product:
    return Product(id=name, href=name, level="L2A", time=time, tile=tile, footprint={"type": "Point"}, **about)


def acquisition(
    name: str, *products: Product, time: datetime = TIME, platform: str = "S2A", **about: Any
) -> Acquisition:
    return Acquisition(id=name, time=time, platform=platform, products=products or (product(f"{name}-p"),), **about)


@pytest.fixture
def path(place: CellPath) -> CellPath:
    """An empty cell, on disk and in a bucket."""
    return made(place)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty cell on disk, for what only files show."""
    return made(tmp_path)


def as_a_user(path: CellPath) -> xarray.Dataset:
    """The cell as somebody opens it who doesn't have this project."""
    if isinstance(path, Path):
        return xarray.open_zarr(path, consolidated=False)
    access = path.access
    assert access.key is not None
    assert access.secret is not None
    options = {
        "endpoint_url": access.endpoint,
        "key": access.key.get_secret_value(),
        "secret": access.secret.get_secret_value(),
    }
    return xarray.open_zarr(str(path), consolidated=False, storage_options=options)


def made(place: Any) -> Any:
    path = place / f"{CELL.name}.zarr"
    ensure_cell(path, CELL, "L2A", source="stac:somewhere", synthetic=False)
    return path


def test_a_cell_has_the_chunks_that_the_design_says(path: CellPath) -> None:
    extend(path, [acquisition("a")])
    cube = Cube(path)
    reflectance, clear = cube.arrays["reflectance"], cube.arrays["clear"]
    assert (reflectance.shape, reflectance.dtype) == ((1, 12, 1024, 1024), np.uint16)
    assert (reflectance.chunks, reflectance.shards) == ((1, 12, 128, 128), (1, 12, 1024, 1024))
    assert (clear.chunks, clear.shards, clear.fill_value) == ((1, 128, 128), (1, 1024, 1024), 255)
    written_by_tasks = (
        "ingested", "masked", "masked_with", "valid_fraction", "clear_fraction", "offset_from", "left_out", "off_grid",
    )  # fmt: skip
    assert {cube.arrays[name].chunks for name in written_by_tasks} == {(1,)}
    assert cube.arrays["bands_present"].chunks == (1, 12)


def test_both_levels_have_the_same_variables_and_unwritten_ones_take_no_room(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "l1c.zarr"
    ensure_cell(other, CELL, "L1C", source="stac:somewhere", synthetic=False)
    extend(folder, [acquisition("a")])
    extend(other, [acquisition("a")])
    l2a, l1c = Cube(folder), Cube(other)
    assert l2a.arrays.keys() == l1c.arrays.keys() >= {"reflectance", "clear", "cloud_probability", "scl", "masked_with"}
    for cube in (l2a, l1c):
        assert np.unique(cube.read("scl", 0)).tolist() == [0]
        assert np.unique(cube.read("cloud_probability", 0)).tolist() == [255]
        assert not [
            file for name in ("scl", "cloud_probability") for file in (Path(str(cube.path)) / name).rglob("c/*")
        ]


@pytest.mark.parametrize(("level", "lacking"), [("L2A", "cloud_probability"), ("L1C", "scl")])
def test_a_cell_of_the_first_layout_opens_and_is_completed_when_extended(
    tmp_path: Path, level: Any, lacking: str
) -> None:
    path = tmp_path / f"{level}.zarr"
    ensure_cell(path, CELL, level, source="stac:somewhere", synthetic=False)
    extend(path, [acquisition("a")])
    slab = np.full((1024, 1024), 1, np.uint8)
    Cube(path, "r+").write_slab("clear", 0, slab)
    Cube(path, "r+").set(0, ingested=1, masked=1)
    for name in (lacking, "masked_with"):
        shutil.rmtree(path / name)

    older = Cube(path, "r+")
    assert older.flags("masked").tolist() == [True]
    assert int(older.read("clear", 0).min()) == 1
    with pytest.raises(StoreError, match=rf"older version and lacks {lacking}: order again"):
        older.read(lacking, 0)

    extend(path, [acquisition("b", time=TIME + timedelta(days=5))])
    cube = Cube(path)
    assert cube.acquisition_ids == ("a", "b")
    assert {array.shape[0] for array in cube.arrays.values()} == {2}
    assert cube.values("masked_with").tolist() == ["", ""]
    assert cube.read(lacking, 0).shape == (1024, 1024)
    assert int(cube.read("clear", 0).min()) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xarray.open_zarr(path, consolidated=False).sizes["time"] == 2


def test_a_cell_that_lacks_more_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "scl")  # never was absent from L2A
    with pytest.raises(StoreError, match="not a cell"):
        Cube(folder)


def test_arrays_are_made_when_somebody_asks_for_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extend(folder, [acquisition("a")])
    made_of: list[str] = []

    def counted(place: Any, metadata: Any) -> Any:
        made_of.append(place.path)
        return original(place, metadata)

    original = zarr.Array.from_dict
    monkeypatch.setattr(zarr.Array, "from_dict", counted)
    cube = Cube(folder)
    assert "clear" in cube.arrays
    assert "anything else" not in cube.arrays
    assert len(cube.arrays) == len(set(cube.arrays)) == 25
    assert made_of == []
    with ThreadPoolExecutor(8) as pool:
        lengths = list(pool.map(lambda _: len(cube.values("acquisition")), range(8)))
    assert lengths == [1] * 8
    assert set(made_of) == {"time", "acquisition"}
    assert cube.arrays["time"] is cube.arrays["time"]


def test_each_kind_of_array_has_its_codecs_whatever_is_asked_for_first(folder: Path) -> None:
    for names, block in product_of(
        (("clear", "time", "ingested"), ("ingested", "clear", "time")), (nullcontext, plain_codecs)
    ):
        arrays = Cube(folder).arrays
        with block():
            codecs = {name: type(arrays[name]._async_array.codec_pipeline).__name__ for name in names}
        assert codecs == {
            "clear": "ZarrsCodecPipeline",
            "time": "BatchedCodecPipeline",
            "ingested": "BatchedCodecPipeline",
        }


@pytest.mark.parametrize("name", ["reflectance", "time", "left_out", "ingested"])
@pytest.mark.parametrize("left", ["nothing", "a torn file", "a group"])
def test_a_cell_with_an_array_that_is_not_whole_is_refused(folder: Path, name: str, left: str) -> None:
    metadata = folder / name / "zarr.json"
    if left == "nothing":
        metadata.unlink()
    else:
        text = metadata.read_text()[:-40] if left == "a torn file" else (folder / "zarr.json").read_text()
        metadata.write_text(text)
    with pytest.raises(StoreError, match=r"not a cell of this project.*cells --repair` takes it away"):
        Cube(folder)


def test_an_array_of_something_else_is_refused_when_it_is_needed(folder: Path) -> None:
    metadata = folder / "clear" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"uint8"', '"a type of tomorrow"'))
    cube = Cube(folder)
    with pytest.raises(StoreError, match=r"clear: not an array of this project .*cells --repair` takes the cell away"):
        cube.read("clear", 0)


def test_xarray_opens_a_cell_with_its_dates_scale_and_crs(path: CellPath) -> None:
    extend(path, [acquisition("a", sun_zenith=41.5), acquisition("b", time=TIME + timedelta(days=5))])
    slab = np.zeros((12, 1024, 1024), np.uint16)
    slab[3, 0, 0], slab[3, 1023, 1023] = 1234, 65535
    Cube(path, "r+").write_slab("reflectance", 1, slab)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = as_a_user(path)
    assert opened.sizes == {"time": 2, "band": 12, "y": 1024, "x": 1024}
    assert opened.time.values[0] == np.datetime64("2019-04-01T10:56:58.024001")
    assert (float(opened.x[0]), float(opened.y[0])) == (573440 + 5, 5632000 - 5)
    assert opened.band.values.tolist()[7:9] == ["B08", "B8A"]
    assert opened.acquisition.values.tolist() == ["a", "b"]
    assert float(opened.sun_zenith[0]) == 41.5
    read = opened.reflectance.isel(time=1).sel(band="B04")
    assert float(read[0, 0]) == pytest.approx(0.1234)
    assert np.isnan(float(read[0, 1]))
    assert CRS.from_cf(opened.spatial_ref.attrs) == CRS.from_epsg(32631)
    assert opened.reflectance.attrs["grid_mapping"] == "spatial_ref"


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # odc-geo with affine 3
def test_odc_geo_finds_the_grid_of_a_cell(path: CellPath) -> None:
    import odc.geo.xr  # noqa: F401 - adds `.odc`

    extend(path, [acquisition("a")])
    box = as_a_user(path).reflectance.odc.geobox
    assert (box.crs.epsg, box.shape) == (32631, (1024, 1024))
    assert tuple(box.transform)[:6] == tuple(CELL.window.transform)[:6]


def test_the_attributes_follow_the_geozarr_conventions(path: CellPath) -> None:
    attributes = open_group(path, "r").attrs.asdict()
    zarr_cm.proj.validate(zarr_cm.proj.extract(attributes)[1])
    zarr_cm.spatial.validate(zarr_cm.spatial.extract(attributes)[1])
    assert attributes["proj:code"] == "EPSG:32631"
    assert attributes["spatial:dimensions"] == ["y", "x"]
    assert attributes["spatial:shape"] == [1024, 1024]
    assert attributes["spatial:transform"] == [10, 0, 573440, 0, -10, 5632000]
    assert attributes["spatial:bbox"] == [573440, 5621760, 583680, 5632000]
    assert [convention["name"] for convention in attributes["zarr_conventions"]] == ["proj", "spatial"]
    assert (attributes["synthetic"], attributes["source"]) == (False, "stac:somewhere")


def test_dates_arrive_in_order_and_known_ones_stay(path: CellPath) -> None:
    extend(path, [acquisition("b", time=TIME + timedelta(days=5))])
    Cube(path, "r+").set(0, ingested=1, valid_fraction=0.25)
    extend(path, [acquisition("a"), acquisition("b", time=TIME + timedelta(days=5))])
    cube = Cube(path)
    assert cube.acquisition_ids == ("b", "a")
    assert cube.times == (TIME + timedelta(days=5), TIME)
    assert cube.flags("ingested").tolist() == [True, False]
    assert cube.values("valid_fraction")[0] == 0.25
    assert [one.id for one in cube.products(1)] == ["a-p"]


def test_what_the_source_does_not_say_is_unknown(path: CellPath) -> None:
    extend(path, [acquisition("a", platform="unknown")])
    cube = Cube(path)
    for name in ("platform", "relative_orbit", "processing_baseline", "datatake"):
        assert cube.values(name).tolist() == ["unknown"], name
    assert np.isnan(cube.values("sun_zenith")).all()


def test_dates_without_a_datatake_are_matched_by_time_others_by_name(path: CellPath) -> None:
    named = product("n", datatake="20190401T105031_020000")
    extend(path, [acquisition("nameless"), acquisition("named", named, time=TIME + timedelta(days=1))])
    cube = Cube(path)
    minutes = timedelta(minutes=20)
    assert cube.index_of(acquisition("nameless", time=TIME + timedelta(days=9), platform="S2B")) == 0
    assert cube.index_of(acquisition("other", time=TIME + minutes, platform="S2A")) == 0
    assert cube.index_of(acquisition("other", time=TIME - minutes, platform="S2A")) == 0
    assert cube.index_of(acquisition("other", time=TIME + minutes + timedelta(seconds=1), platform="S2A")) is None
    assert cube.index_of(acquisition("other", time=TIME, platform="S2B")) is None
    later = acquisition("other", time=TIME + timedelta(days=1), platform="S2A")
    assert cube.index_of(later) is None  # the datatake of that date is known: another one


def test_a_newer_product_clears_the_flags_and_replaces_the_older(path: CellPath) -> None:
    old = product("old", baseline="02.11", datatake="d")
    south = product("south", tile="31UER", datatake="d")
    extend(path, [acquisition("a", old, south, baseline="02.11")])
    Cube(path, "r+").set(0, ingested=1, masked=1)
    extend(path, [acquisition("a", old)])  # a smaller area sees one of the two
    assert Cube(path).flags("masked").tolist() == [True]
    new = product("new", baseline="05.00", datatake="d")
    extend(path, [acquisition("a", new, baseline="05.00")])
    cube = Cube(path)
    assert (cube.flags("ingested").tolist(), cube.flags("masked").tolist()) == ([False], [False])
    assert [one.id for one in cube.products(0)] == ["new", "south"]  # the southern tile is still part of the date
    assert cube.values("product_ids").tolist() == ['["new", "south"]']
    assert cube.values("processing_baseline").tolist() == ["05.00"]
    assert len(cube) == 1


def test_a_grown_area_renews_a_date_whose_name_changed(path: CellPath) -> None:
    first = product("first")
    extend(path, [acquisition("S2A_105658", first)])
    earlier = product("earlier", tile="31UER", time=TIME - timedelta(minutes=1))
    extend(path, [acquisition("S2A_105558", first, earlier, time=TIME - timedelta(minutes=1))])
    cube = Cube(path)
    assert cube.acquisition_ids == ("S2A_105658",)
    assert [one.id for one in cube.products(0)] == ["earlier", "first"]


@pytest.mark.parametrize(
    ("place", "survived", "same"),  # of 25 arrays that grow and 10 that are then written
    [*product_of(("folder",), (2, 23, 25, 33), (True, False)), ("bucket", 23, True), ("bucket", 33, False)],
    indirect=["place"],
)
def test_growing_stopped_anywhere_leaves_a_readable_cell_that_heals(
    path: CellPath, place: CellPath, monkeypatch: pytest.MonkeyPatch, survived: int, same: bool
) -> None:
    acquisitions = [acquisition("b", time=TIME + timedelta(days=5)), acquisition("c", time=TIME + timedelta(days=9))]
    extend(path, [acquisition("a")])
    undisturbed = made(place / "undisturbed")
    extend(undisturbed, [acquisition("a")])
    extend(undisturbed, acquisitions)

    calls = 0

    def stop_after(original: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > survived:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        return counted

    with monkeypatch.context() as patched:
        patched.setattr(zarr.Array, "resize", stop_after(zarr.Array.resize))
        patched.setattr(zarr.Array, "__setitem__", stop_after(zarr.Array.__setitem__))
        with pytest.raises(KeyboardInterrupt):
            extend(path, acquisitions)
    assert Cube(path).acquisition_ids == ("a",)
    if same:
        extend(path, acquisitions)
        assert cube_kit.files_of(path) == cube_kit.files_of(undisturbed)
    else:  # others come next
        extend(path, acquisitions[1:])
        assert Cube(path).acquisition_ids == ("a", "c")
        assert {array.shape[0] for array in Cube(path).arrays.values()} == {2}


def test_a_cell_is_created_once_by_many(place: CellPath) -> None:
    path = place / f"{CELL.name}.zarr"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure_cell(path, CELL, "L1C", source="s", synthetic=True), range(8)))
    if isinstance(place, Path):
        assert [entry.name for entry in place.iterdir()] == [path.name]
    assert Cube(path).level == "L1C"


def test_a_cell_of_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"synthetic=False; expected .* synthetic=True"):
        ensure_cell(folder, CELL, "L2A", source="s", synthetic=True)
    with pytest.raises(StoreError, match="L2A"):
        ensure_cell(folder, CELL, "L1C", source="s", synthetic=False)
    (tmp_path / "junk.zarr").mkdir()
    with pytest.raises(StoreError, match=r"junk\.zarr: not a cell"):
        Cube(tmp_path / "junk.zarr")


def test_a_slab_without_data_takes_no_room_also_after_one_with_data(folder: Path) -> None:
    extend(folder, [acquisition("a")])
    cube = Cube(folder, "r+")
    slab = np.full((12, 1024, 1024), 7, np.uint16)
    cube.write_slab("reflectance", 0, slab)
    assert (folder / "reflectance" / "c").exists()
    cube.write_slab("reflectance", 0, np.zeros_like(slab))
    assert not [file for file in (folder / "reflectance").rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert int(cube.read("reflectance", 0).max()) == 0
    with pytest.raises(ValueError, match="written whole"):
        cube.write_slab("clear", 0, np.zeros((10, 10), np.uint8))


_FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from catalog.errors import StoreError
from processors.cube.cell import Cube
cube = Cube(Path(sys.argv[1]), "r+")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # the system then refuses to let a file grow
slab = np.random.default_rng(0).integers(1, 9000, (12, 1024, 1024)).astype(np.uint16)
try:
    cube.write_slab("reflectance", 0, slab)
except StoreError as error:
    print(error)
"""


def test_a_disk_that_fills_up_is_a_clear_error(folder: Path, repository: Path) -> None:
    extend(folder, [acquisition("a")])
    ran = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(folder)], cwd=repository, capture_output=True, text=True, check=True
    )
    assert f"can't write {folder}" in ran.stdout
    assert "Free some space" in ran.stdout
    assert Cube(folder).flags("ingested").tolist() == [False]


_WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
import numpy as np
from cube_kit import place_at
from processors.cube.cell import Cube
first = int(sys.argv[2])
cube = Cube(place_at(sys.argv[1]), "r+")
for index in range(first, len(cube), 2):
    slab = np.zeros((12, 1024, 1024), np.uint16)
    slab[:, :300, :300] = index + 1
    cube.write_slab("reflectance", index, slab)
    cube.set(index, valid_fraction=index / 64, offset_from=f"writer {first}", ingested=1)
"""


def test_two_processes_that_write_different_dates_lose_nothing(path: CellPath, repository: Path) -> None:
    dates = 12
    extend(path, [acquisition(f"a{number}", time=TIME + timedelta(days=number)) for number in range(dates)])
    kit, environment = str(Path(cube_kit.__file__).parent), cube_kit.environment_for(path)
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(first), kit], cwd=repository, env=environment)
        for first in (0, 1)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    cube = Cube(path)
    assert cube.flags("ingested").all()
    assert cube.values("valid_fraction").tolist() == [number / 64 for number in range(dates)]
    assert cube.values("offset_from").tolist() == [f"writer {number % 2}" for number in range(dates)]
    for number in range(dates):
        assert np.unique(cube.read("reflectance", number, slice(0, 300), slice(0, 300))).tolist() == [number + 1]
