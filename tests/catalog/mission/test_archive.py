"""Archives of the mission: read back by the project's own sources, the same pixels as on demand, with the truth beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from shapely.geometry import box

from catalog.errors import RequestError, StoreError
from catalog.grid import Window, to_lonlat
from catalog.legend import read_legend
from catalog.mission.archive import Archive, write_archive
from catalog.mission.crops import CROPS, is_crop
from catalog.mission.mission import Mission
from catalog.mission.overpass import Overpass
from catalog.mission.products import Granule
from catalog.mission.tiles import Tile
from catalog.mission.timeline import Timeline
from catalog.products import BANDS, LEVEL_BANDS, Level
from catalog.sources import open_source
from catalog.sources.mission import MissionSource

WINDOW = Window(32631, 57_504, 562_002, 60, 48)
AREA = to_lonlat(box(*WINDOW.bounds).buffer(-5), WINDOW.epsg)
PERIOD = datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 5, 17, tzinfo=UTC)
MISSION = Mission(3)
TILE = Tile.from_name("31UES")
LEVELS: tuple[Level, ...] = ("L1C", "L2A")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    told: list[tuple[int, int]] = []
    made = write_archive(
        tmp_path_factory.mktemp("archive") / "new", MISSION, AREA, PERIOD, levels=LEVELS,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    return made


def test_its_products_are_those_that_the_mission_gives_on_demand(archive: Archive, tmp_path: Path) -> None:
    written, live = open_source(archive.source), MissionSource("seed=3")
    assert archive.window == WINDOW
    for level in LEVELS:
        found, expected = (
            sorted(source.search(AREA, PERIOD, level).products, key=lambda product: product.time)
            for source in (written, live)
        )
        assert [product.id for product in found] == [product.id for product in expected]
        assert all(product.synthetic for product in found)
        assets = written.assets(found[1])
        others = live.download(expected[1], [WINDOW], tmp_path / level)
        for band in LEVEL_BANDS[level]:
            with rasterio.open(assets[band].href) as one, rasterio.open(others[band].href) as other:
                row, column = other.index(one.bounds.left + 1, one.bounds.top - 1)
                place = ((row, row + one.height), (column, column + one.width))
                np.testing.assert_array_equal(one.read(1), other.read(1, window=place))
                assert one.res[0] == BANDS[band].resolution
            assert assets[band].offset == others[band].offset == -1000


def test_other_stac_clients_open_it(archive: Archive) -> None:
    catalog = pystac.Catalog.from_file(archive.source.removeprefix("stac:"))
    assert {child.id for child in catalog.get_children()} == {"sentinel-2-l1c", "sentinel-2-l2a"}
    items = {item.id: item for item in catalog.get_items(recursive=True)}
    assert set(items) == {path.stem for path in archive.products}
    assert all(Path(item.get_self_href() or "").is_file() for item in items.values())
    for item in items.values():
        level: Level = item.properties["processing:level"]
        assert set(item.assets) == {*LEVEL_BANDS[level], *(("SCL", "CLD") if level == "L2A" else ())}
        assert all(Path(asset.get_absolute_href() or "").is_file() for asset in item.assets.values())


def test_everything_says_that_it_is_synthetic(archive: Archive) -> None:
    documents = list((archive.folder / "products").rglob("*.json"))
    assert len(documents) == len(archive.products) + 3
    assert all("SYNTHETIC" in path.read_text() for path in documents)
    for path in archive.folder.rglob("*.tif"):
        with rasterio.open(path) as file:
            assert file.tags()["synthetic"] == "true"


def test_the_truth_lies_beside_it(archive: Archive) -> None:
    truth = archive.labels.parent
    legend = read_legend(archive.legend)
    assert {entry.name for entry in legend.classes} == {crop.name for crop in CROPS.values() if is_crop(crop.code)}
    with rasterio.open(archive.labels) as file:
        codes = file.read(1)
        assert file.tags()["synthetic"] == "true"
        assert file.shape == WINDOW.shape
    np.testing.assert_array_equal(codes, MISSION.land(TILE).truth(WINDOW, 2019).crop)
    parcels = geopandas.read_parquet(archive.parcels)
    assert parcels.crs.to_epsg() == WINDOW.epsg
    assert parcels["synthetic"].all()
    assert set(np.unique(codes)) - {20, 21, 22, 23, 24, 25} <= set(parcels["code"])
    assert not parcels["field"].duplicated().any()
    clear = sorted(truth.glob("*_clear.tif"))
    assert len(clear) == 4
    assert len(list(truth.glob("*_stages.tif"))) == 4
    for path in clear:
        with rasterio.open(path) as file:
            assert set(np.unique(file.read(1))) <= {0, 1}


def test_it_goes_on_from_what_is_there_and_refuses_other_settings(archive: Archive) -> None:
    whole = {path: path.read_bytes() for path in archive.folder.rglob("*") if path.is_file()}
    lost = archive.products[2]
    lost.unlink()  # killed before the item was written, which is last
    again = write_archive(archive.folder, MISSION, AREA, PERIOD, levels=LEVELS)
    assert again == archive
    assert {path: path.read_bytes() for path in archive.folder.rglob("*") if path.is_file()} == whole
    with pytest.raises(StoreError, match="other settings"):
        write_archive(archive.folder, Mission(4), AREA, PERIOD, levels=LEVELS)
    with pytest.raises(StoreError, match="something else"):
        write_archive(archive.folder / "truth", MISSION, AREA, PERIOD)


def test_a_period_without_passes_is_said(tmp_path: Path) -> None:
    hour = datetime(2019, 5, 1, 1, tzinfo=UTC), datetime(2019, 5, 1, 2, tzinfo=UTC)
    with pytest.raises(RequestError, match="nothing is sensed"):
        write_archive(tmp_path / "new", MISSION, AREA, hour)
    assert not (tmp_path / "new").exists()


@pytest.mark.filterwarnings(
    "ignore::rasterio.errors.NotGeoreferencedWarning"
)  # of the container: its subdatasets are georeferenced
def test_safe_products_are_read_by_gdal_and_by_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A tile no larger than the area: a real one takes a quarter of a minute.
    original = Overpass.granule

    def small(self: Overpass, level: Level, timeline: Timeline) -> Granule:
        corner = WINDOW.left * 10, WINDOW.top * 10
        return replace(original(self, level, timeline), upper_left=corner, edge=120)

    monkeypatch.setattr(Overpass, "granule", small)
    two = PERIOD[0], datetime(2019, 5, 4, tzinfo=UTC)
    made = write_archive(tmp_path / "new", MISSION, AREA, two, levels=("L1C",), form="safe")
    (product,) = made.products
    assert product.name.endswith(".SAFE")
    with rasterio.open(product / "MTD_MSIL1C.xml") as file:
        assert len(file.subdatasets) > 2
    (found,) = open_source(made.source).search(AREA, PERIOD, "L1C").products
    assert found.synthetic
    assert found.tile == "31UES"
    assert write_archive(tmp_path / "new", MISSION, AREA, two, levels=("L1C",), form="safe").products == made.products
