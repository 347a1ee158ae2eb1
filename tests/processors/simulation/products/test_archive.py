"""Archives of simulated products: ordered as any other, with the truth beside them, gone on with where they were left."""

from __future__ import annotations

import os
import pickle
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from scene_kit import joined
from shapely.geometry import box

from catalog.area import as_geojson
from catalog.errors import RequestError, StoreError, WorkerError
from catalog.grid import Window, to_lonlat
from catalog.orbits.tiles import Tile
from catalog.products import LEVEL_BANDS, Level
from catalog.sources.registry import open_source
from processors.patches.labels import open_labels
from processors.simulation.claimed_folder import checked, claimed, write_pieces
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.mission.overpass import Overpass
from processors.simulation.mission.scene import aligned
from processors.simulation.products.archive import ProductSettings, acquisition_name, write_acquisition, write_products

TILE = Tile.from_name("31UES")
WEST, _, _, NORTH = TILE.bounds
# In the corner, where four tiles overlap.
FIELD = Window(TILE.epsg, WEST // 10 + 103, NORTH // 10 - 101, 40, 30)
AREA = to_lonlat(box(*FIELD.bounds).buffer(-4), TILE.epsg)
START, END = datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 5, 7, tzinfo=UTC)
SETTINGS = ProductSettings(area=as_geojson(AREA), start=START, end=END, levels=("L1C", "L2A"), seed=8)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products") / "archive"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("processors.simulation.products.archive.write_pieces", in_this_process)
        write_products(folder, SETTINGS, 1)
    return folder


def in_this_process(work: Any, pieces: Any, processes: int, progress: Any) -> None:
    for number, piece in enumerate(pieces, start=1):
        work(*pickle.loads(pickle.dumps(piece)))  # as it comes to another process
        progress(number)


def overpasses_of(archive: Path, level: Level) -> dict[str, Overpass]:
    products = open_source(f"stac:{archive / 'products' / 'catalog.json'}").search(AREA, (START, END), level).products
    return {
        product.id: Overpass.at(
            product.platform, int(product.relative_orbit[1:]), Tile.from_name(product.tile), product.time
        )
        for product in products
    }


def read(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read(1)


def test_the_pixels_are_the_missions_over_the_area(archive: Path) -> None:
    source = open_source(f"stac:{archive / 'products' / 'catalog.json'}")
    for level in ("L1C", "L2A"):
        products = source.search(AREA, (START, END), level).products
        found = overpasses_of(archive, level)
        assert len(products) >= 3
        assert {one.tile.name for one in found.values()} >= {"31UES"}
        for product in products:
            overpass = found[product.id]
            part = aligned(FIELD).intersection(overpass.tile.window)
            assert part is not None
            scene = joined(SETTINGS.mission.scenes(overpass, part), part)
            numbers = scene.l1c if level == "L1C" else scene.l2a
            assets = source.assets(product)
            for band in LEVEL_BANDS[level]:
                np.testing.assert_array_equal(read(Path(assets[band].href)), numbers[band])
            assert product.synthetic


def test_the_truth_is_that_of_land_and_sky(archive: Path) -> None:
    truth = archive / "truth"
    mission = SETTINGS.mission
    found = overpasses_of(archive, "L2A").values()
    assert {path.name.removesuffix("_sky.tif") for path in truth.glob("*_sky.tif")} == {*map(acquisition_name, found)}
    for overpass in found:
        part = aligned(FIELD).intersection(overpass.tile.window)
        assert part is not None
        name = acquisition_name(overpass)
        sky = mission.sky_classes(overpass, part)
        np.testing.assert_array_equal(read(truth / f"{name}_sky.tif"), sky)
        np.testing.assert_array_equal(read(truth / f"{name}_clear.tif"), np.where(sky == 255, 255, sky == 0))
        stages = mission.land(overpass.tile).stages(part, overpass.sensed.date())
        np.testing.assert_array_equal(read(truth / f"{name}_stages.tif"), stages)
    land = mission.land(TILE)
    crops = read(truth / "crops_2019.tif")
    np.testing.assert_array_equal(crops, land.truth(aligned(FIELD), 2019).crop)
    parcels = geopandas.read_parquet(truth / "parcels_2019.parquet")
    fields = sorted(land.fields(aligned(FIELD), 2019), key=lambda field: field.number)
    assert parcels["code"].tolist() == [field.crop for field in fields]
    assert parcels.geometry.tolist() == [field.polygon for field in fields]
    assert parcels["synthetic"].all()
    labels = open_labels(truth / "crops_2019.tif")
    names = np.array([entry.name for entry in labels.legend.mapped])[labels.read(aligned(FIELD))]
    expected = [[CROPS[code].name if is_crop(code) else "background" for code in row] for row in crops]
    assert names.tolist() == expected


def test_an_archive_is_gone_on_with_where_it_was_left(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.simulation.products.archive.write_pieces", in_this_process)
    other = tmp_path / "other"
    one = next(iter(overpasses_of(archive, "L1C").values()))
    with claimed(other, SETTINGS):
        write_acquisition(other, SETTINGS, one.platform, one.relative_orbit, one.tile.name, one.sensed)
        (other / ".writing-ab12_9xy").mkdir()  # of one that was killed
    told: list[tuple[int, int]] = []
    made = write_products(other, SETTINGS, 2, lambda done, total: told.append((done, total)))
    assert told[0] == (1, made.acquisitions)
    assert told[-1] == (made.acquisitions, made.acquisitions)
    assert (made.made, made.products) == (made.acquisitions - 1, 2 * made.acquisitions)
    assert made.labels == (other / "truth" / "crops_2019.tif",)
    assert made.source == f"stac:{other / 'products' / 'catalog.json'}"
    files = sorted(path.relative_to(archive) for path in archive.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for path in files:
        assert (archive / path).read_bytes() == (other / path).read_bytes(), path
    assert write_products(other, SETTINGS, 2).made == 0


def test_safe_products_are_read_by_gdal_and_by_the_safe_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    granule = Overpass.granule
    # Tiles of 2.4 km: encoding what is empty of a whole one takes most of the time.
    small = Window(TILE.epsg, WEST // 10 + 60, NORTH // 10 - 60, 240, 240)
    corner = small.left * 10, small.top * 10
    monkeypatch.setattr(Overpass, "granule", lambda *given: replace(granule(*given), edge=240, upper_left=corner))
    monkeypatch.setattr("processors.simulation.products.archive.write_pieces", in_this_process)
    settings = SETTINGS.model_copy(
        update={"format": "safe", "levels": ("L2A",), "end": datetime(2019, 5, 5, tzinfo=UTC)}
    )
    made = write_products(tmp_path / "safe", settings, 1)
    source = open_source(made.source)
    result = source.search(AREA, (START, END), "L2A")
    assert (len(result.products), result.left_out) == (made.products, ())
    (product, *_) = [one for one in result.products if one.tile == "31UES"]
    overpass = Overpass.at(product.platform, int(product.relative_orbit[1:]), TILE, product.time)
    scene = joined(settings.mission.scenes(overpass, FIELD), aligned(FIELD))
    rows, columns = small.slices(scene.window)
    whole = read(Path(source.assets(product)["B04"].href))
    np.testing.assert_array_equal(whole[rows, columns], scene.l2a["B04"])
    whole[rows, columns] = 0
    assert not whole.any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of the container, which has no pixels
        with rasterio.open(tmp_path / "safe" / "products" / f"{product.id}.SAFE" / "MTD_MSIL2A.xml") as container:
            assert (container.driver, len(container.subdatasets)) == ("SENTINEL2", 4)
            (ten, *_) = [name for name in container.subdatasets if ":10m:" in name]
    with rasterio.open(ten) as file:
        np.testing.assert_array_equal(file.read(1)[rows, columns], scene.l2a["B04"])
    assert (tmp_path / "safe" / "truth" / f"{acquisition_name(overpass)}_stages.tif").is_file()


def test_other_settings_are_refused_and_named(archive: Path) -> None:
    for change, said in (
        ({"seed": 9}, "seed 8 there, 9 wanted"),
        ({"levels": ("L2A",)}, "levels"),
        ({"end": datetime(2019, 5, 14, tzinfo=UTC)}, "end '2019-05-07T00:00:00Z' there, '2019-05-14T00:00:00Z' wanted"),
    ):
        with (
            pytest.raises(StoreError, match=f"other settings: {said}"),
            claimed(archive, SETTINGS.model_copy(update=change)),
        ):
            pass


def test_a_folder_has_one_writer(archive: Path) -> None:
    with claimed(archive, SETTINGS), pytest.raises(StoreError, match="another process writes into"):
        write_products(archive, SETTINGS, 1)
    assert not [path for path in archive.rglob(".*") if path.name != ".lock"]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^the end, 2019-05-01 00:00, is not after the start, 2019-05-07"):
        checked(ProductSettings, area=SETTINGS.area, start=END, end=START)
    with pytest.raises(RequestError, match=r"farming: one of france, flanders, .*not 'mars'"):
        checked(ProductSettings, area=SETTINGS.area, start=START, end=END, farming="mars")
    with pytest.raises(RequestError, match="no product from 2019-05-01 00:00 to 2019-05-01 01:00 UTC"):
        write_products(tmp_path / "none", SETTINGS.model_copy(update={"end": datetime(2019, 5, 1, 1, tzinfo=UTC)}), 1)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_piece_that_fails_ends_the_others(processes: int) -> None:
    told: list[int] = []
    with pytest.raises(RequestError, match="31XXX"):
        write_pieces(Tile.from_name, [("31XXX",), ("31XXX",)], processes, told.append)
    assert told == []


def test_processes_that_are_killed_are_told_of() -> None:
    with pytest.raises(WorkerError, match=r"a process was killed .* Run again to do the rest"):
        write_pieces(os._exit, [(9,), (9,)], 2, lambda done: None)  # noqa: ARG005
