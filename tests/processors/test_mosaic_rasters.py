"""The whole stage: results of patches in, one raster per variable out, the same bytes however it is computed."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mosaic_kit
import numpy as np
import numpy.typing as npt
import plug_kit
import pytest
import rasterio
from rasterio.windows import Window as RasterWindow
from shapely.geometry import MultiPolygon, Polygon, box

from catalog.area import Area
from catalog.errors import CroplineError, StoreError
from catalog.grid import Window, blocks_meeting, to_lonlat
from catalog.storage.store import sha256
from processors.engine.batches import IN_FLIGHT, in_batches
from processors.engine.opening import open_engine
from processors.engine.protocol import Engine
from processors.mosaic import mosaic
from processors.patches.cube_patches import PatchGrid, cover
from processors.rasters import TILE, Variable, copy_blocks
from processors.thematic.protocol import Fields, Job
from processors.thematic.results import open_results

LEFT, TOP = 56_000, 562_000
BOTH = Variable(name="both", title="Both", dtype="float32", bands=("wheat", "maize"), nodata=float("nan"))


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The processor `plain`, installed."""
    packages = tmp_path / "packages"
    plug_kit.install(packages, "plain-kit", plain="mosaic_kit:Plain")
    monkeypatch.syspath_prepend(packages)
    return mosaic_kit


def window(width: int, height: int) -> Window:
    return Window(32631, LEFT, TOP, width, height)


def whole(area_window: Window) -> Area:
    return to_lonlat(box(*area_window.bounds), area_window.epsg)  # type: ignore[return-value]


def job(**parameters: Any) -> Job:
    return Job(
        level="L2A", year=2019, months=(4, 5), days=(0, 9), bands=("B04",), synthetic=False, parameters=parameters
    )


def write_results(path: Path, array: Fields, area_window: Window, grid: PatchGrid) -> list[Window]:
    """Cut an array of the area into patches and store them as the runner does."""
    windows = cover(area_window, grid)
    results = open_results(path, (len(windows), len(array), grid.size, grid.size), "test")
    write = results.writer()
    for number, patch in enumerate(windows):
        values = np.full((len(array), *patch.shape), np.nan, np.float32)
        common = patch.intersection(area_window)
        assert common is not None
        rows, columns = patch.slices(common)
        values[:, rows, columns] = array[(slice(None), *area_window.slices(common))]
        write(number, values)
    return windows


def read(path: Path) -> npt.NDArray[Any]:
    with rasterio.open(path) as raster:
        values: npt.NDArray[Any] = raster.read()
    return values


def test_each_variable_becomes_a_raster_of_the_area(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(10, 9)
    array = np.zeros((2, 9, 10), np.float32)
    array[0] = np.linspace(0, 1, 10, dtype=np.float32)
    array[1] = 0.5
    array[:, 4, 3] = np.nan
    windows = write_results(tmp_path / "results", array, area_window, PatchGrid(8, 2))
    told: list[tuple[int, int]] = []
    with open_engine("threads", 2) as engine:
        paths = mosaic(
            "plain", job(), windows, tmp_path / "results", whole(area_window), area_window, tmp_path / "out", engine,
            progress=lambda done, count: told.append((done, count)),
        )  # fmt: skip

    assert told == [(1, 1)]
    assert list(paths) == ["kind", "both", "deviation", "count"]
    kind = read(paths["kind"])[0]
    # The first field is below 0.5 in the first five columns of ten.
    expected = np.where(np.arange(10) < 5, 7, 1) * np.ones((9, 1), int)
    expected[4, 3] = 255
    assert (kind == expected).all()
    np.testing.assert_allclose(read(paths["both"]), array, rtol=1e-6)
    mean = np.nanmean(array[0].astype(np.float64))
    np.testing.assert_allclose(read(paths["deviation"])[0], array[0] - mean, atol=1e-6)
    assert set(np.unique(read(paths["count"]))) == {-1, 89}  # the summary counted every pixel but one

    with rasterio.open(paths["kind"]) as raster:
        assert raster.crs.to_epsg() == 32631
        assert raster.transform == area_window.transform
        assert raster.nodata == 255
        assert raster.descriptions == ("Kind",)
        assert raster.colormap(1)[7] == (0xD0, 0x40, 0x60, 255)
        assert raster.profile["tiled"]
        assert raster.profile["compress"] == "deflate"
    with rasterio.open(paths["both"]) as raster:
        assert raster.descriptions == ("wheat", "maize")
        assert np.isnan(raster.nodata)
    with rasterio.open(paths["count"]) as raster:
        assert raster.units == ("dates",)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "both.tif", "count.tif", "deviation.tif", "kind.tif",
    ]  # fmt: skip


def test_pixels_whose_centre_is_outside_the_area_say_nothing(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(8, 8)
    west, south, east, north = area_window.bounds
    # The lower left triangle. Centres on its long edge are left to the rounding of longitude and latitude.
    triangle = to_lonlat(Polygon([(west, north + 4), (east + 4, south), (west, south)]), 32631)
    array = np.ones((2, 8, 8), np.float32)
    windows = write_results(tmp_path / "results", array, area_window, PatchGrid(8, 2))
    with open_engine("threads", 1) as engine:
        paths = mosaic("plain", job(), windows, tmp_path / "results", triangle, area_window, tmp_path / "out", engine)  # type: ignore[arg-type]
    inside = np.tril(np.ones((8, 8), bool))
    assert (read(paths["kind"])[0] == np.where(inside, 1, 255)).all()
    assert (np.isnan(read(paths["both"])[0]) == ~inside).all()
    assert (read(paths["count"])[0] == np.where(inside, 36, -1)).all()  # nor are they summarised


def test_blocks_between_far_apart_parts_are_neither_computed_nor_stored(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(40_000, 30_000)
    west, south, east, north = area_window.bounds
    parts = MultiPolygon([box(west, north - 80, west + 80, north), box(east - 80, south, east, south + 80)])
    windows = cover(area_window, PatchGrid(8, 2), zone_area=parts)
    assert len(windows) == 8
    write = open_results(tmp_path / "results", (8, 2, 8, 8), "test").writer()
    for number in range(8):
        write(number, np.full((2, 8, 8), 0.25, np.float32))
    told: list[tuple[int, int]] = []
    with open_engine("threads", 1) as engine:
        paths = mosaic(
            "plain", job(), windows, tmp_path / "results", to_lonlat(parts, 32631), area_window, tmp_path / "out", engine,
            progress=lambda done, count: told.append((done, count)),
        )  # fmt: skip
    assert told == [(1, 2), (2, 2)]
    for path in paths.values():
        assert path.stat().st_size < 500_000  # 1.2 thousand million pixels
        with rasterio.open(path) as raster:
            corner, empty = (raster.read(1, window=RasterWindow(at, at, 2, 2)) for at in (0, 20_000))
            assert raster.shape == (30_000, 40_000)
            assert np.array_equal(empty, np.full((2, 2), raster.nodata), equal_nan=True)
            assert not np.array_equal(corner, empty, equal_nan=True)
    copy_blocks(
        paths["both"], tmp_path / "copy.tif", BOTH, area_window, blocks_meeting(parts, area_window, TILE), {"A": "b"}
    )
    with rasterio.open(tmp_path / "copy.tif") as copied, rasterio.open(paths["both"]) as raster:
        assert copied.tags()["A"] == "b"
        for at in (RasterWindow(0, 0, 9, 9), RasterWindow(39_990, 29_990, 10, 10)):
            np.testing.assert_array_equal(copied.read(window=at), raster.read(window=at))


class LeftHalf:
    """A crop mask: cropland is west of a column of the zone."""

    def read(self, window: Window) -> npt.NDArray[np.bool_]:
        columns = window.left + np.arange(window.width)
        return np.broadcast_to(columns < LEFT + 4, window.shape)


def test_outside_a_crop_mask_a_class_is_background_and_all_else_says_nothing(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(8, 8)
    array = np.ones((2, 8, 8), np.float32)
    array[:, 0] = np.nan
    windows = write_results(tmp_path / "results", array, area_window, PatchGrid(8, 2))
    with open_engine("threads", 1) as engine:
        paths = mosaic(
            "plain", job(), windows, tmp_path / "results", whole(area_window), area_window, tmp_path / "out", engine,
            crop_mask=LeftHalf(),
        )  # fmt: skip
    kind, both, count = (read(paths[name])[0] for name in ("kind", "both", "count"))
    assert (kind[0, :4] == 255).all()
    assert (kind[1:, :4] == 1).all()
    assert (kind[:, 4:] == 0).all()  # the mask knows, also in the row that the season was too cloudy to map
    assert np.isnan(both[:, 4:]).all()
    assert (both[1:, :4] == 1).all()
    assert (count[:, 4:] == -1).all()


@pytest.fixture
def several_blocks(kit: ModuleType, tmp_path: Path) -> Callable[[str, Engine], dict[str, str]]:
    """Makes the mosaic of an area of four blocks and returns the checksums of its rasters."""
    area_window = window(600, 530)
    rng = np.random.default_rng(3)
    array = rng.random((2, 530, 600), dtype=np.float32)
    array[:, 100:140, 500:600] = np.nan
    grid = PatchGrid(128, 32)
    windows = write_results(tmp_path / "results", array, area_window, grid)

    def make(name: str, engine: Engine) -> dict[str, str]:
        paths = mosaic(
            "plain", job(size=128, overlap=32), windows, tmp_path / "results", whole(area_window), area_window,
            tmp_path / name, engine,
        )  # fmt: skip
        np.testing.assert_allclose(read(paths["both"]), array, rtol=1e-6, atol=1e-6)
        return {variable: sha256(path) for variable, path in paths.items()}

    return make


def test_the_bytes_are_the_same_for_any_number_of_workers(
    several_blocks: Callable[[str, Engine], dict[str, str]],
) -> None:
    found = []
    for workers in (1, 3):
        with open_engine("threads", workers) as engine:
            found.append(several_blocks(f"threads-{workers}", engine))
    with open_engine("local", 2) as engine:
        found.append(several_blocks("processes", engine))
    assert found[0] == found[1] == found[2]


def test_blocks_are_made_a_few_at_a_time_and_only_when_asked_for() -> None:
    alive, most = 0, 0

    def blocks() -> Iterator[int]:
        nonlocal alive, most
        for number in range(5 * IN_FLIGHT + 3):
            alive += 1
            most = max(most, alive)
            yield number

    with open_engine("threads", 4) as engine:
        results = in_batches(engine, str, blocks())
        assert alive == 0
        order = []
        for result in results:
            order.append(result)
            alive -= 1
    assert order == [str(number) for number in range(5 * IN_FLIGHT + 3)]
    assert most == IN_FLIGHT


class Reversed:
    """Computes the last item first."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return reversed([function(item) for item in reversed(list(items))])


def test_the_order_of_computing_does_not_show(several_blocks: Callable[[str, Engine], dict[str, str]]) -> None:
    with open_engine("threads", 1) as engine:
        assert several_blocks("backwards", Reversed()) == several_blocks("forwards", engine)


def test_a_map_with_holes_is_refused(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(20, 8)
    windows = cover(area_window, PatchGrid(8, 2))
    results = open_results(tmp_path / "results", (len(windows), 2, 8, 8), "test")
    write = results.writer()
    for number in (0, 2):
        write(number, np.ones((2, 8, 8), np.float32))
    with (
        open_engine("threads", 1) as engine,
        pytest.raises(StoreError, match=r"1 of 3 patches have no result yet.*it resumes"),
    ):
        mosaic("plain", job(), windows, results.path, whole(area_window), area_window, tmp_path / "out", engine)
    assert not (tmp_path / "out").exists()


def test_results_of_other_patches_are_refused(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(8, 8)
    windows = write_results(tmp_path / "results", np.ones((2, 8, 8), np.float32), area_window, PatchGrid(8, 2))
    with (
        open_engine("threads", 1) as engine,
        pytest.raises(StoreError, match="1 patches of 2 fields, where 2 patches of 2 fields"),
    ):
        mosaic(
            "plain",
            job(),
            windows * 2,
            tmp_path / "results",
            whole(area_window),
            area_window,
            tmp_path / "out",
            engine,
        )


def test_a_processor_that_breaks_its_word_is_named(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(8, 8)
    windows = write_results(tmp_path / "results", np.ones((2, 8, 8), np.float32), area_window, PatchGrid(8, 2))
    with (
        open_engine("threads", 1) as engine,
        pytest.raises(CroplineError, match=r"plain 3: variable count should be int16 \(1, 8, 8\).*int16 \(1, 7, 8\)"),
    ):
        mosaic(
            "plain", job(broken=True), windows, tmp_path / "results", whole(area_window), area_window,
            tmp_path / "out", engine,
        )  # fmt: skip
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_no_raster_behind(kit: ModuleType, tmp_path: Path) -> None:
    area_window = window(300, 300)
    array = np.random.default_rng(0).random((2, 300, 300), dtype=np.float32)
    windows = write_results(tmp_path / "results", array, area_window, PatchGrid(128, 32))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_engine("threads", 1) as engine:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(StoreError, match=r"can't write \w+\.tif in .*Free some space"):
                mosaic(
                    "plain", job(size=128, overlap=32), windows, tmp_path / "results", whole(area_window), area_window,
                    tmp_path / "out", engine,
                )  # fmt: skip
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "out").iterdir()) == []
