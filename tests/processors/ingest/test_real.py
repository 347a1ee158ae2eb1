"""Ingestion, masks and seasons of real products, against their files read by rasterio alone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cube_kit
import numpy as np
import pytest
import rasterio
from shapely.geometry import box, shape

from catalog.errors import ProductError
from catalog.grid import Cell, Window, cells_meeting, to_lonlat, to_zone
from catalog.order import make_order
from catalog.products import LEVEL_BANDS, Asset, Order
from catalog.sources.registry import open_source
from catalog.storage.store import Store, open_store
from processors.cube.cell import Cube
from processors.engine.opening import open_engine
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition
from processors.ingest.opening import GDAL_ENVIRONMENT
from processors.ingest.reading import BandReader
from processors.mask.acquisition import mask_acquisition
from processors.season import choose_season

L2A = LEVEL_BANDS["L2A"]


def ingest(store: Store, order: Order, cells: list[Cell]) -> list[IngestResult]:
    extended = extend_cells(store, order, cells)
    results = []
    for one in order.acquisitions:
        results.append(ingest_acquisition(store, order, one.id, extended, order.source))
        mask_acquisition(store, order, one.id, extended)
    return results


def test_all_acquisitions_of_flanders_are_in_the_cube_as_in_their_files(real_data: Path, store: Store) -> None:
    folder = real_data / "flanders-2019"
    area = shape(json.loads((folder / "aoi.geojson").read_text(encoding="utf-8"))["features"][0]["geometry"])
    source = open_source(f"stac:{folder / 'catalog.json'}")
    cells = cells_meeting(to_zone(area, 32631), 32631)
    order_2018 = make_order(source, area, 2018, (8, 12), "L2A", 100)
    order_2019 = make_order(source, area, 2019, (1, 12), "L2A", 100)
    for order in (order_2018, order_2019):
        for result in ingest(store, order, cells):
            assert (result.written, result.dropped) == (("32631_0056_0549",), ())
    (cell,) = cells
    cube = Cube(store.cube(order.source_id, "L2A", cell))
    assert len(cube) == 72
    assert cube.flags("masked").all()
    assert (cube.values("off_grid") == "").all()
    window = Window(32631, 57468, 562244, 64, 64)
    rows, columns = cube.window.slices(window)
    for order in (order_2018, order_2019):
        for one in order.acquisitions[::6]:
            index = cube.index_of(one)
            assert index is not None
            read = cube.read("reflectance", index, rows, columns)
            for name in ("B04", "B8A", "B12"):
                with rasterio.open(folder / "sentinel-2-l2a" / one.products[0].id / f"{name}.tif") as file:
                    raw = file.read(1)
                raw = raw.repeat(64 // len(raw), axis=0).repeat(64 // len(raw), axis=1)
                np.testing.assert_array_equal(read[L2A.index(name)], raw)
            assert cube.read("reflectance", index).astype(bool).sum() <= 10 * 64 * 64  # nothing beside it

    # In Flanders the sun stands lower than 20° from November to January; the items say by how much.
    low = {}
    for order in (order_2018, order_2019):
        for candidate in choose_season(store, order, area, 32631, 0, 1).acquisitions:
            item = folder / "sentinel-2-l2a" / candidate.products[0] / f"{candidate.products[0]}.json"
            said = json.loads(item.read_text(encoding="utf-8"))["properties"]["s2:mean_solar_zenith"]
            assert candidate.low_sun == (said > 70)
            low[candidate.time.date()] = candidate.low_sun
    assert 0 < sum(low.values()) < len(low) / 4
    assert {day.month for day, is_low in low.items() if is_low} <= {11, 12, 1, 2}
    season = make_order(source, area, 2019, (1, 7), "L2A", 100)
    chosen = choose_season(store, season, area, 32631, 0.5, 5)
    assert len(chosen.acquisitions) == 30
    assert chosen.bands == tuple(name for name in L2A if name not in ("B01", "B09"))
    assert len(chosen.used) == 18  # 20 are over half clear before clouds are widened by 60 m
    assert all(one.valid_fraction > 0.97 for one in chosen.used)  # the area is a little wider than the files


def test_overlapping_tiles_are_merged_and_what_is_out_of_reach_is_said(
    real_data: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.ingest.opening.PATIENCE", 0.0)
    source = open_source(f"stac:{real_data / 'tiles-33TWL-33TWM' / 'catalog.json'}")
    # 33TWM ends at northing 5,090,220, 33TWL begins at 5,100,000: the cell lies across the northern tile's edge.
    cell = Cell(32633, 52, 497)
    area = to_lonlat(box(*cell.window.bounds).buffer(-100), 32633)
    order = make_order(source, area, 2023, (8, 8), "L2A", 100)
    assert [len(one.products) for one in order.acquisitions] == [2, 2]
    results = ingest(store, order, [cell])
    for result in results:
        assert result.written == (cell.name,)
        # blue, green, red, nir and scl are on disk; every other band is listed in a bucket that nobody reaches
        missing = {one.product.rpartition(" ")[2] for one in result.dropped}
        assert missing == set(L2A) - {"B02", "B03", "B04", "B08"}
    cube = Cube(store.cube(order.source_id, "L2A", cell))
    assert [name for name, there in zip(L2A, cube.values("bands_present")[0], strict=True) if there] == [
        "B02", "B03", "B04", "B08",
    ]  # fmt: skip
    assert (cube.values("valid_fraction") > 0.95).all()  # neither tile covers all of it
    assert json.loads(cube.values("off_grid")[0])[0].startswith("EPSG:32633, 120 m")
    read = cube.read("reflectance", 0)[L2A.index("B04")]
    one = next(one for one in order.acquisitions if one.id == cube.acquisition_ids[0])
    first = min(one.products, key=lambda product: product.id)
    west, _, _, north = cell.window.bounds
    with rasterio.open(source.assets(first)["B04"].href) as file:
        raw, left, top = file.read(1), file.transform.c, file.transform.f
    # At the centre of a source's pixel interpolation gives its number, within the 5 m between centres.
    rows = np.floor((north - top + 120 * (np.arange(915) + 0.5)) / 10).astype(int)
    columns = np.floor((left - west + 120 * (np.arange(915) + 0.5)) / 10).astype(int)
    there = np.ix_((rows >= 0) & (rows < 1024), (columns >= 0) & (columns < 1024))
    part = raw[there].astype(float)
    found = read[np.ix_(rows[(rows >= 0) & (rows < 1024)], columns[(columns >= 0) & (columns < 1024)])]
    assert part.size > 4000
    assert np.corrcoef(part[part > 0], found[part > 0])[0, 1] > 0.99
    assert found[part > 0].mean() == pytest.approx(part[part > 0].mean(), rel=0.01)


def test_slovenia_off_the_grid_with_its_two_cloudy_dates(real_data: Path, store: Store) -> None:
    source = open_source(f"stac:{real_data / 'slovenia-l1c-2015' / 'catalog.json'}")
    cells = [Cell(32633, 45, 496), Cell(32633, 46, 496)]
    area = to_lonlat(box(465300, 5079400, 466100, 5080200), 32633)
    order = make_order(source, area, 2015, (7, 9), "L1C", 100)
    ingest(store, order, cells)
    chosen = choose_season(store, order, area, 32633, 0.5, 3)
    used = {one.time.strftime("%m-%d"): one.used for one in chosen.acquisitions}
    assert used == {"07-11": True, "07-31": False, "08-20": False, "08-30": True, "09-09": True}
    assert all(one.valid_fraction == 1 for one in chosen.acquisitions)
    assert chosen.bands == LEVEL_BANDS["L1C"]
    cube = Cube(store.cube(order.source_id, "L1C", cells[0]))
    assert all("EPSG:32633, 9.99479222 m" in note for note in cube.values("off_grid"))


def test_processes_of_a_dask_cluster_write_the_same_bytes_as_threads(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "flanders-2019"
    area = shape(json.loads((folder / "aoi.geojson").read_text(encoding="utf-8"))["features"][0]["geometry"])
    order = make_order(open_source(f"stac:{folder / 'catalog.json'}"), area, 2019, (6, 6), "L2A", 100)
    cells = cells_meeting(to_zone(area, 32631), 32631)
    files = []
    for address in ("threads", "local"):
        store = open_store(str(tmp_path / address))
        extend_cells(store, order, cells)
        with open_engine(address, 2) as engine:
            names = [one.id for one in order.acquisitions]
            ingesting = partial(ingest_acquisition, store, order, cells=cells, source_address=order.source)
            assert all(result.written for result in engine.map(ingesting, names))
            assert all(
                result.masked for result in engine.map(partial(mask_acquisition, store, order, cells=cells), names)
            )
        files.append(cube_kit.files_of(store.root))
    assert len(order.acquisitions) == 5
    assert files[0] == files[1]


def jp2_of(real_data: Path) -> Path:
    return next((real_data / "safe").glob("S2A_MSIL2A_*/GRANULE/*/IMG_DATA/R60m/*_B04_60m.jp2"))


def test_a_real_jp2_of_60_m_is_repeated_on_the_grid(real_data: Path) -> None:
    path = jp2_of(real_data)
    with rasterio.open(path) as file:
        raw, transform, epsg = file.read(1), file.transform, file.crs.to_epsg()
        reader = BandReader(file, Asset(href=str(path), offset=-1000))
        left, top = round(transform.c) // 10, round(transform.f) // 10
        window = Window(epsg, left + 601, top - 3605, 512, 300)
        read = reader.read(window)
        assert reader.off_grid(epsg) is None
    assert read is not None
    rows, columns = (3605 + np.arange(300)) // 6, (601 + np.arange(512)) // 6
    part = raw[np.ix_(rows, columns)].astype(int)
    assert part.max() > 0
    np.testing.assert_array_equal(read, np.where(part == 0, 0, np.maximum(1, part - 1000)))


def test_a_truncated_jp2_is_noticed(real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.jp2"
    whole = jp2_of(real_data).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with rasterio.Env(**GDAL_ENVIRONMENT), rasterio.open(path) as file:
        reader = BandReader(file, Asset(href=str(path)))
        left, top = round(file.transform.c) // 10, round(file.transform.f) // 10
        window = Window(file.crs.to_epsg(), left, top, file.width * 6, file.height * 6)
        with pytest.raises(ProductError, match="may be truncated"):
            reader.read(window)
