"""From SAFE products to the cube, the whole path: synthetic products on the real grid with numbers computed by hand, and real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import safe_kit
from rasterio.warp import transform
from scipy.ndimage import map_coordinates
from shapely.geometry import Polygon, box, shape

from catalog.grid import Cell, cells_meeting, to_lonlat, to_zone
from catalog.orbits.sun import sun_angles
from catalog.order import make_order
from catalog.products import BANDS, LEVEL_BANDS, Level, Order
from catalog.sources.registry import open_source
from catalog.sources.safe.product import read_product
from catalog.storage.file_trees import LocalFiles
from catalog.storage.store import Store, open_store
from processors.cube.cell import Cube
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition

CELL = Cell(32631, 56, 549)
AREA = to_lonlat(box(573_440, 5_629_600, 575_840, 5_632_000), 32631)


def ingested(store: Store, address: str, level: Level, area: Any = AREA) -> tuple[Order, list[IngestResult], Cube]:
    source = open_source(address)
    order = make_order(source, area, 2023, (6, 6), level, 100)
    cells = extend_cells(store, order, [CELL])
    results = [ingest_acquisition(store, order, one.id, cells, address) for one in order.acquisitions]
    return order, results, Cube(store.cube(source.id, level, CELL))


def raw_numbers(edge: int) -> dict[str, npt.NDArray[np.uint16]]:
    """Every band its own numbers: 0, the darkest, ordinary, the brightest and saturated ones."""
    random = np.random.default_rng(7)
    raw = {}
    for name, band in BANDS.items():
        size = edge * 10 // band.resolution
        # few below 1000: numbers that an offset takes far below zero are refused
        numbers = random.integers(850, 12_000, (size, size)).astype(np.uint16)
        numbers[:4, 0] = (0, 1, 65_534, 65_535)
        numbers[:3, 1] = (999, 1000, 1001)
        raw[name] = numbers
    return raw


def by_hand(raw: npt.NDArray[np.uint16], offset: int, metres: int) -> npt.NDArray[np.uint16]:
    """max(1, number + offset) where there is data; 0 and 65535 as they are; repeated to 10 m."""
    expected = np.zeros(raw.shape, np.uint16)
    for index, number in np.ndenumerate(raw):
        expected[index] = number if number in (0, 65_535) else max(1, int(number) + offset)
    return np.kron(expected, np.ones((metres // 10, metres // 10), np.uint16))


@pytest.mark.parametrize(
    ("level", "baseline", "offset"),
    [("L2A", "05.09", -1000), ("L2A", "02.11", None), ("L1C", "05.09", -1000), ("L1C", "02.06", None)],
)
def test_numbers_of_the_cube_are_those_computed_by_hand(
    tmp_path: Path, store: Store, level: Level, baseline: str, offset: int | None
) -> None:
    kit = safe_kit.Kit(level=level, baseline=baseline, offset=offset, bands=raw_numbers(safe_kit.EDGE))
    kit.write(tmp_path / "archive")
    order, (result,), cube = ingested(store, f"safe:{tmp_path / 'archive'}", level)
    assert (result.written, result.dropped) == (("32631_0056_0549",), ())
    assert order.acquisitions[0].id == "S2A_20230601T105621_R094"
    read = cube.read("reflectance", 0)
    for number, name in enumerate(LEVEL_BANDS[level]):
        expected = by_hand(kit.raw(name), offset or 0, BANDS[name].resolution)
        np.testing.assert_array_equal(read[number, :240, :240], expected, err_msg=name)
        assert not read[number, 240:].any()
        assert not read[number, :, 240:].any()
    assert cube.values("bands_present")[0].all()
    assert cube.values("off_grid")[0] == ""
    element = "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"
    document = f"MTD_MSI{level}.xml"
    assert cube.values("offset_from")[0] == (f"{element} of {document}" if offset else f"{document} has no {element}")
    assert cube.values("sun_zenith")[0] == pytest.approx(30.25)
    if level == "L2A":
        assert np.unique(cube.read("scl", 0)[:240, :240]).tolist() == [4]


def test_large_rasters_are_tiled_as_real_ones_are(tmp_path: Path, store: Store) -> None:
    numbers = np.arange(1200, dtype=np.uint16)[:, None] * 7 + np.arange(1200, dtype=np.uint16)[None, :] + 1001
    kit = safe_kit.Kit(edge=1200, bands={"B04": numbers}, level="L1C")
    path = kit.write(tmp_path / "archive")
    with rasterio.open(next(path.rglob("*_B04.jp2"))) as file:
        assert file.block_shapes == [(1024, 1024)]
    _, _, cube = ingested(store, f"safe:{tmp_path / 'archive'}", "L1C")
    np.testing.assert_array_equal(cube.read("reflectance", 0)[3], (numbers - 1000)[:1024, :1024])


def test_a_folder_and_its_archive_make_the_same_cube(tmp_path: Path) -> None:
    kit = safe_kit.Kit(bands=raw_numbers(safe_kit.EDGE))
    path = kit.write(tmp_path / "archive")
    archive = safe_kit.pack(path, tmp_path / "zips" / f"{path.name}.zip")
    cubes = []
    for number, place in enumerate((path.parent, archive.parent)):
        _, (result,), cube = ingested(open_store(str(tmp_path / f"store{number}")), f"safe:{place}", "L2A")
        assert result.dropped == ()
        cubes.append(cube)
    for variable in ("reflectance", "scl"):
        np.testing.assert_array_equal(cubes[0].read(variable, 0), cubes[1].read(variable, 0))
    assert cubes[0].read("reflectance", 0).any()


def test_files_of_an_archive_have_the_numbers_of_the_folder(tmp_path: Path) -> None:
    kit = safe_kit.Kit(bands=raw_numbers(safe_kit.EDGE))
    path = kit.write(tmp_path / "archive")
    archive = safe_kit.pack(path, tmp_path / "zips" / f"{path.name}.zip")
    of_folder = read_product(LocalFiles(path.parent), path.name).assets
    of_archive = read_product(LocalFiles(archive.parent), archive.name).assets
    assert of_folder.keys() == of_archive.keys()
    for name, asset in of_folder.items():
        with rasterio.open(asset.href) as one, rasterio.open(of_archive[name].href) as other:
            np.testing.assert_array_equal(one.read(1), other.read(1))
            assert (one.transform, one.crs) == (other.transform, other.crs)


def test_both_parts_of_a_tile_split_at_a_datastrip_border_are_used(tmp_path: Path, store: Store) -> None:
    def part(datastrip: str, northern: bool, value: int) -> Any:
        bands = {}
        for name, band in BANDS.items():
            size = safe_kit.EDGE * 10 // band.resolution
            numbers = np.zeros((size, size), np.uint16)
            rows = slice(0, size // 2) if northern else slice(size // 2, size)
            numbers[rows] = value
            bands[name] = numbers
        west, south, east, north = box(573_440, 5_629_600, 575_840, 5_632_000).bounds
        half = box(west, 5_630_800, east, north) if northern else box(west, south, east, 5_630_800)
        outline = to_lonlat(half, 32631)
        assert isinstance(outline, Polygon)
        footprint = " ".join(f"{latitude} {longitude}" for longitude, latitude in outline.exterior.coords)
        return safe_kit.Kit(
            datastrip=datastrip,
            bands=bands,
            footprint=footprint,
            generated=datetime(2023, 6, 1, 16, northern, tzinfo=UTC),
        )

    part("S20230601T105913", True, 3000).write(tmp_path / "archive")
    part("S20230601T110055", False, 4000).write(tmp_path / "archive")
    order, (result,), cube = ingested(store, f"safe:{tmp_path / 'archive'}", "L2A")
    (acquisition,) = order.acquisitions
    assert (len(acquisition.products), order.left_out, result.dropped) == (2, (), ())
    read = cube.read("reflectance", 0)
    assert np.unique(read[:, :120, :240]).tolist() == [2000]
    assert np.unique(read[:, 120:240, :240]).tolist() == [3000]


def test_a_torn_band_drops_its_product_and_keeps_the_others(tmp_path: Path, store: Store) -> None:
    archive = tmp_path / "archive"
    good = safe_kit.Kit(start=datetime(2023, 6, 11, 10, 56, 21, tzinfo=UTC))
    good.write(archive)
    bad = safe_kit.Kit(bands=raw_numbers(safe_kit.EDGE))
    torn = next(bad.write(archive).rglob("*_B08_10m.jp2"))
    torn.write_bytes(torn.read_bytes()[:3000])
    _, results, cube = ingested(store, f"safe:{archive}", "L2A")
    (left,) = results[0].dropped
    assert left.product == bad.name
    assert torn.name in left.reason
    assert results[1].written == ("32631_0056_0549",)
    assert cube.flags("ingested").tolist().count(True) == 1


def test_the_real_l2a_product_of_60_m(real_data: Path, store: Store) -> None:
    name = "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454"
    address = f"safe:{real_data / 'safe'}"
    cell = Cell(32629, 54, 568)  # half of it lies outside of the swath, the rest is mostly vegetation
    area = to_lonlat(box(*cell.window.bounds), 32629)
    order = make_order(open_source(address), area, 2022, (10, 10), "L2A", 95)
    assert [product.id for one in order.acquisitions for product in one.products] == [name]
    extend_cells(store, order, [cell])
    result = ingest_acquisition(store, order, order.acquisitions[0].id, [cell], address)
    assert (result.written, result.dropped) == ((cell.name,), ())
    cube = Cube(store.cube(order.source_id, "L2A", cell))
    present = {band for band, there in zip(LEVEL_BANDS["L2A"], cube.values("bands_present")[0], strict=True) if there}
    assert present == set(LEVEL_BANDS["L2A"]) - {"B08"}
    assert cube.values("off_grid")[0] == ""
    assert cube.values("offset_from")[0] == "BOA_ADD_OFFSET of MTD_MSIL2A.xml"
    images = next((real_data / "safe" / f"{name}.SAFE" / "GRANULE").iterdir()) / "IMG_DATA"
    top, left = (5_900_040 - cell.window.top * 10) // 10, (cell.window.left * 10 - 499_980) // 10
    reflectance = {}
    for band in ("B04", "B8A", "B12"):
        with rasterio.open(next((images / "R60m").glob(f"*_{band}_60m.jp2"))) as file:
            raw = file.read(1)[top // 6 : top // 6 + 172, left // 6 : left // 6 + 172].astype(int)
        fine = np.kron(np.where(raw == 0, 0, np.maximum(1, raw - 1000)), np.ones((6, 6), int))
        reflectance[band] = cube.read("reflectance", 0)[LEVEL_BANDS["L2A"].index(band)].astype(int)
        np.testing.assert_array_equal(reflectance[band], fine[top % 6 :, left % 6 :][:1024, :1024])
    with rasterio.open(next((images / "R20m").glob("*_SCL_20m.jp2"))) as file:
        classes = np.kron(file.read(1), np.ones((2, 2), np.uint8))[top : top + 1024, left : left + 1024]
    np.testing.assert_array_equal(cube.read("scl", 0), classes)
    assert cube.values("valid_fraction")[0] == pytest.approx(np.mean(classes > 0), abs=0.01)
    assert 0.4 < cube.values("valid_fraction")[0] < 0.6
    red, near_infrared = (reflectance[band][classes == 4] for band in ("B04", "B8A"))
    assert np.median((near_infrared - red) / (near_infrared + red)) > 0.6  # Sen2Cor calls it vegetation


def test_the_real_l1c_product_shrunk_25_times_is_warped_and_said_so(real_data: Path, store: Store) -> None:
    address = f"safe:{real_data / 'safe'}"
    cell = Cell(32756, 44, 649)
    area = to_lonlat(box(*cell.window.bounds), 32756)
    order = make_order(open_source(address), area, 2018, (6, 6), "L1C", 95)
    extend_cells(store, order, [cell])
    (acquisition,) = order.acquisitions
    result = ingest_acquisition(store, order, acquisition.id, [cell], address)
    assert (result.written, result.dropped) == ((cell.name,), ())
    cube = Cube(store.cube(order.source_id, "L1C", cell))
    assert cube.values("bands_present")[0].all()
    off_grid = cube.values("off_grid")[0]
    for metres in ("250.113", "501.369", "1504.10"):
        assert f"EPSG:32756, {metres}" in off_grid
    read = cube.read("reflectance", 0)
    (product,) = acquisition.products
    images = next((Path(product.href) / "GRANULE").iterdir()) / "IMG_DATA"
    for band in ("B02", "B8A", "B10"):
        values = read[LEVEL_BANDS["L1C"].index(band)]
        assert (values > 0).all()
        with rasterio.open(next(images.glob(f"*_{band}.jp2"))) as file:
            raw, place = file.read(1).astype(float), file.transform
        easting = cell.window.bounds[0] + 10 * np.arange(1024) + 5
        northing = cell.window.bounds[3] - 10 * np.arange(1024) - 5
        columns, rows = (easting - place.c) / place.a - 0.5, (northing - place.f) / place.e - 0.5
        expected = map_coordinates(raw, np.meshgrid(rows, columns, indexing="ij"), order=1)
        assert np.abs(values - expected).max() <= 1  # another library's bilinear interpolation
        assert 5 < np.median(values) < 5000
    assert cube.values("offset_from")[0] == "MTD_MSIL1C.xml has no RADIO_ADD_OFFSET"


def test_the_suns_angles_in_the_documents_are_those_of_the_formula(real_data: Path) -> None:
    for name in (
        "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042",
        "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454",
        "S2B_MSIL2A_20230823T095559_N0509_R122_T34UCF_20230823T124759",
    ):
        safe = read_product(LocalFiles(real_data / "safe"), f"{name}.SAFE")
        assert safe.sun is not None
        west, south, east, north = safe.tile.bounds
        (longitude,), (latitude,) = transform(
            f"EPSG:{safe.tile.epsg}", "EPSG:4326", [(west + east) / 2], [(south + north) / 2]
        )
        # Before 2019 the sensing time of a granule is the start of its datastrip: the swath took minutes to get there.
        time = safe.product.time + timedelta(seconds=147 if "56JMM" in name else 0)
        zenith, azimuth = sun_angles(time, longitude, latitude)
        assert zenith == pytest.approx(safe.sun.zenith, abs=0.01)
        assert azimuth == pytest.approx(safe.sun.azimuth, abs=0.02)
        # Node by node: the grid starts at the tile's upper left corner, its rows go south.
        for row, column in ((0, 0), (0, 20), (20, 0), (20, 20)):
            (longitude,), (latitude,) = transform(
                f"EPSG:{safe.tile.epsg}", "EPSG:4326", [west + column * safe.sun.step], [north - row * safe.sun.step]
            )
            zenith, azimuth = sun_angles(time, longitude, latitude)
            assert zenith == pytest.approx(float(safe.sun.zenith_grid[row, column]), abs=0.03)
            assert azimuth == pytest.approx(float(safe.sun.azimuth_grid[row, column]), abs=0.06)


def test_the_area_of_the_kit_is_one_cell() -> None:
    assert cells_meeting(to_zone(AREA, 32631), 32631) == [CELL]
    assert shape(AREA.__geo_interface__).area > 0
