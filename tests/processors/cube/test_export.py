"""Cells listed, found by name, and written in forms that other software reads."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray

from catalog.errors import RequestError, StoreError
from catalog.grid import Cell
from catalog.products import LEVEL_BANDS, Acquisition, Level, Product
from catalog.storage.store import CellPath, Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.cube.codecs import plain_codecs
from processors.cube.export import export_cell
from processors.cube.listing import find_cell, summaries

CELL = Cell(32631, 56, 549)
DAY = datetime(2019, 4, 1, 10, 56, 58, tzinfo=UTC)


def filled(store: Store, source: str = "stac-a", level: Level = "L2A", synthetic: bool = True) -> CellPath:
    """Three dates, the latest first; the third has no pixels. B02 and B8A alone are there; the first one is not masked."""
    path = store.cube(source, level, CELL)
    ensure_cell(path, CELL, level, source=f"stac:{source}", synthetic=synthetic)
    acquisitions = []
    for name, days in (("late", 5), ("early", 0), ("empty", 9)):
        time = DAY + timedelta(days=days)
        product = Product(id=f"{name}-p", href="", level=level, time=time, footprint={"type": "Point"})
        acquisitions.append(
            Acquisition(id=name, time=time, platform="S2A", baseline="05.00", sun_zenith=40, products=(product,))
        )
    extend(path, acquisitions)
    cube = Cube(path, "r+")
    bands = LEVEL_BANDS[level]
    present = np.array([band in ("B02", "B8A") for band in bands], np.uint8)
    for index, shift in ((0, 500), (1, 0)):
        slab = np.zeros((len(bands), 1024, 1024), np.uint16)
        slab[bands.index("B02"), :200, :300] = np.arange(300) + 1 + shift
        slab[bands.index("B8A"), :200, :300] = np.arange(200)[:, np.newaxis] + 1001 + shift
        slab[bands.index("B8A"), 0, 0] = 65535
        cube.write_slab("reflectance", index, slab)
        cube.set(index, bands_present=present, ingested=1)
    clear = np.full((1024, 1024), 255, np.uint8)
    clear[:200, :300] = np.arange(300) % 2
    cube.write_slab("clear", 1, clear)
    cube.set(1, masked=1)
    return path


def test_a_cog_of_each_date_says_all_that_is_known(place: CellPath, tmp_path: Path) -> None:
    path = filled(Store(tmp_path / "store", place))
    seen: list[tuple[int, int]] = []
    files = export_cell(path, tmp_path / "out", progress=lambda done, of: seen.append((done, of)))
    stem = "32631_0056_0549_20190401T105658_S2A"
    assert [file.name for file in files] == [
        f"{stem}.tif",
        f"{stem}_clear.tif",
        "32631_0056_0549_20190406T105658_S2A.tif",
    ]
    assert sorted(tmp_path.joinpath("out").iterdir()) == sorted(files)
    assert seen == [(0, 2), (1, 2), (2, 2)]
    with rasterio.open(files[0]) as raster:
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (raster.crs.to_epsg(), raster.transform, raster.shape) == (32631, CELL.window.transform, (1024, 1024))
        assert (raster.descriptions, raster.dtypes, raster.nodata) == (("B02", "B8A"), ("uint16", "uint16"), 0)
        assert (raster.scales, raster.offsets) == ((1e-4, 1e-4), (0, 0))
        np.testing.assert_array_equal(raster.read(1)[:200, :300], np.broadcast_to(np.arange(300) + 1, (200, 300)))
        assert raster.read(2)[0, 0] == 65535
        assert not raster.read(1)[200:].any()
        assert raster.overviews(1) == [2]
        tags = raster.tags()
    expected = {
        "acquisition": "early",
        "time": "2019-04-01T10:56:58+00:00",
        "products": "early-p",
        "bands_present": "B02 B8A",
        "processing_baseline": "05.00",
        "saturated": "65535",
        "synthetic": "yes",
        "licence": "Synthetic data: simulated, nothing real",
    }
    assert {name: tags[name] for name in expected} == expected
    with rasterio.open(files[1]) as raster:
        assert (raster.dtypes, raster.nodata) == (("uint8",), 255)
        assert raster.read(1)[0, :4].tolist() == [0, 1, 0, 1]
        assert raster.read(1)[500, 500] == 255


def test_one_date_and_some_bands_go_into_one_file(tmp_path: Path) -> None:
    path = filled(Store(tmp_path), synthetic=False)
    files = export_cell(path, tmp_path / "one.tif", dates=[date(2019, 4, 6)], bands=["B8A"])
    assert files == [tmp_path / "one.tif"]
    with rasterio.open(files[0]) as raster:
        assert raster.descriptions == ("B8A",)
        assert raster.read(1)[7, 9] == 7 + 1001 + 500
        assert raster.tags()["licence"] == "Contains modified Copernicus Sentinel data 2019"
    with pytest.raises(StoreError, match=r"one\.tif is there already and is not overwritten"):
        export_cell(path, tmp_path / "one.tif", dates=[date(2019, 4, 6)])
    with pytest.raises(RequestError, match="is one file, for one date; 2 are meant"):
        export_cell(path, tmp_path / "two.tif")


def test_the_zarr_copy_is_read_by_gdal_and_xarray(place: CellPath, tmp_path: Path) -> None:
    path = filled(Store(tmp_path / "store", place))
    (copy,) = export_cell(path, tmp_path / "copy.zarr", "zarr", bands=["B8A", "B02"])
    with rasterio.open(f'ZARR:"{copy}":/reflectance:1:0') as raster:  # the second date, the first band
        assert (raster.crs.to_epsg(), raster.transform) == (32631, CELL.window.transform)
        assert (raster.dtypes, raster.nodata, raster.scales) == (("uint16",), 0, (1e-4,))
        assert raster.read(1)[7, 9] == 7 + 1001 + 500
        assert not raster.read(1)[300:].any()
    with rasterio.open(f'ZARR:"{copy}":/clear:0') as raster:
        assert raster.read(1)[0, :4].tolist() == [0, 1, 0, 1]
        assert raster.nodata == 255
    with plain_codecs():  # those that other programs have
        opened = xarray.open_zarr(copy)
    assert opened.acquisition.values.tolist() == ["early", "late"]
    assert opened.time.values.astype("datetime64[D]").astype(str).tolist() == ["2019-04-01", "2019-04-06"]
    assert opened.bands_present.values.tolist() == [[1, 1], [1, 1]]
    assert float(opened.reflectance.sel(band="B02")[0, 0, 9]) == pytest.approx(10e-4)
    assert opened.attrs["synthetic"] is True
    assert opened.platform.values.tolist() == ["S2A", "S2A"]
    with pytest.raises(StoreError, match=r"copy\.zarr is there already"):
        export_cell(path, copy, "zarr")


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # affine 3
def test_rioxarray_finds_the_crs_of_a_copy_and_of_a_cell(tmp_path: Path) -> None:
    import rioxarray  # noqa: F401 - adds `.rio`

    path = filled(Store(tmp_path))
    (copy,) = export_cell(path, tmp_path / "copy.zarr", "zarr")
    with plain_codecs():
        both = xarray.open_zarr(copy), xarray.open_zarr(str(path), consolidated=False)
    for opened in both:
        assert opened.rio.crs.to_epsg() == 32631
        assert opened.reflectance.rio.transform() == CELL.window.transform
        assert (opened.reflectance.rio.width, opened.reflectance.rio.height) == (1024, 1024)


def test_a_copy_is_whole_or_absent(tmp_path: Path) -> None:
    path = filled(Store(tmp_path / "store"))

    def stop(done: int, of: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_cell(path, tmp_path / "out" / "copy.zarr", "zarr", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        export_cell(path, tmp_path / "cogs", progress=stop)
    assert len(list((tmp_path / "cogs").iterdir())) == 2  # those of the first date, both whole
    assert len(export_cell(path, tmp_path / "cogs")) == 3


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    path = filled(Store(tmp_path))
    with pytest.raises(RequestError, match=r"holds no date 2019-04-10\. Dates that are whole: 2019-04-01, 2019-04-06"):
        export_cell(path, tmp_path / "out", dates=[date(2019, 4, 10)])
    with pytest.raises(RequestError, match="bands B03: these dates hold B02, B8A"):
        export_cell(path, tmp_path / "out", bands=["B03"])
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't write"):
        export_cell(path, tmp_path / "file" / "out")
    assert not (tmp_path / "out").exists()


def test_cells_are_listed_and_found_by_name(place: CellPath, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", place)
    assert list(summaries(store)) == []
    with pytest.raises(StoreError, match="no cell 32631_0056_0549 in "):
        find_cell(store, CELL.name)
    filled(store)
    level: Level = "L1C"
    ensure_cell(store.cube("stac-b", level, CELL), CELL, level, source="stac:b", synthetic=False)
    first, second = summaries(store)
    assert (first.cell, first.level, first.source) == (CELL.name, "L2A", "stac-a")
    assert (first.dates, first.ingested, first.masked, first.synthetic) == (3, 2, 1, True)
    assert (first.first, first.last) == (DAY, DAY + timedelta(days=9))
    assert first.size > 100_000
    assert (second.level, second.dates, second.first, second.problem) == ("L1C", 0, None, "")
    with pytest.raises(
        StoreError, match=r"2 times; say which is meant:\n  --source stac-a --level L2A\n  --source stac-b"
    ):
        find_cell(store, CELL.name)
    assert find_cell(store, CELL.name, level="L1C") == store.cube("stac-b", "L1C", CELL)
    assert find_cell(store, CELL.name, source="stac-a") == store.cube("stac-a", "L2A", CELL)
    with pytest.raises(StoreError, match=r"no cell 1_2_3 of source x .* There are 32631_0056_0549\. `cropline cells`"):
        find_cell(store, "1_2_3", source="x")


def test_a_broken_cell_is_listed_as_such(tmp_path: Path) -> None:
    store = Store(tmp_path)
    broken = filled(store)
    assert isinstance(broken, Path)
    (broken / "zarr.json").write_text("{}")
    (one,) = summaries(store)
    assert "not a cell of this project" in one.problem
