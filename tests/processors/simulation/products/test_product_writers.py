"""Simulated products: read back by GDAL's own SAFE driver, by this project's readers of SAFE and STAC, and honest about what they are."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element

import geopandas
import numpy as np
import pytest
import rasterio
from defusedxml.ElementTree import parse
from rasterio.errors import NotGeoreferencedWarning
from scene_kit import joined
from shapely.geometry import box, shape

from catalog.errors import RequestError, StoreError
from catalog.grid import Window
from catalog.legend import read_legend
from catalog.orbits.angles import Angles
from catalog.products import BANDS, LEVEL_BANDS, SATURATED
from catalog.sources.registry import open_source
from catalog.sources.safe.masks import mask_features
from catalog.sources.safe.product import SafeProduct, read_product
from catalog.sources.safe.sizes import check_sizes
from catalog.storage.archives import open_files
from catalog.storage.credentials import Credentials
from processors.simulation.instrument.instrument import Instrument
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.land.growth_state import Stage
from processors.simulation.land.land import Field
from processors.simulation.mission.granule import Granule
from processors.simulation.mission.scene import Scene, blocks_of, observe, with_margin
from processors.simulation.products.safe_writer import write_safe
from processors.simulation.products.stac_writer import write_catalogue, write_items
from processors.simulation.products.truth_writer import (
    acquisition_truth,
    clear,
    crops_path,
    write_crops,
    write_parcels,
    write_values,
)
from processors.simulation.sky.atmosphere import Atmosphere
from processors.simulation.sky.sky import CloudLayer, Sky

START = datetime(2023, 6, 1, 10, 0, 31, 24_000, tzinfo=UTC)
ANGLES = Angles(30, 150, 6, 100)
L1C = Granule(
    level="L1C", platform="S2A", tile="33TWM", epsg=32633, upper_left=(499_980, 5_100_000), datatake_start=START,
    datastrip_start=START + timedelta(seconds=170), sensed=START + timedelta(minutes=5), generated=START + timedelta(hours=2),
    absolute_orbit=41_478, relative_orbit=122, baseline="05.09", angles=ANGLES, edge=600,
    sun_grid=(np.linspace(30, 31, 23 * 23).reshape(23, 23), np.full((23, 23), 150.0)),
)  # fmt: skip
L2A = L1C.at("L2A", START + timedelta(hours=4))
SKY = Sky(Atmosphere(), (CloudLayer("cumulus", 0.3, 1300, 20, 900), CloudLayer("cirrus", 0.4, 9500, 0.8, 9000)))
AREA = Window(32633, 49_998 + 130, 510_000 - 70, 300, 240)


def make(granule: Granule, area: Window = AREA, size: int = 240) -> Iterator[Scene]:
    for window in blocks_of(granule.window, area, size):
        wide = with_margin(window)
        rows = (wide.top - np.arange(wide.height))[:, None] // 24
        columns = (wide.left + np.arange(wide.width))[None] // 24
        green = ((rows * 7 + columns * 3) % 5 / 5).astype(np.float32)
        surface = np.stack([0.08 + (0.3 if number in range(5, 10) else 0.02) * green for number in range(13)])
        seen = (columns * 24 + rows * 0 - AREA.left) < 220
        yield observe(
            surface, window, granule.angles, SKY, instrument=Instrument(granule.platform, 152), baseline=granule.baseline, seed=5,
            seen=seen[12:-12, 12:-12],
        )  # fmt: skip


@pytest.fixture(scope="module")
def scene() -> Scene:
    blocks = blocks_of(L1C.window, AREA, 240)
    around = Window(32633, blocks[0].left, blocks[0].top, 306, 246)
    return joined(make(L1C), around)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safe")
    write_safe(folder, make(L1C), (L1C, L2A))
    return folder


def read(archive: Path, granule: Granule) -> SafeProduct:
    return read_product(open_files(str(archive), Credentials()), f"{granule.name}.SAFE")


def document(path: Path) -> Element:
    root: Element = parse(path).getroot()
    return root


def test_blocks_are_aligned_inside_the_tile_and_agree_with_one_look(scene: Scene) -> None:
    for window in blocks_of(L1C.window, AREA, 240):
        assert window.intersection(L1C.window) == window
        assert not any(value % 6 for value in (window.left, window.top, window.width, window.height))
    (at_once,) = make(L1C, AREA, 600)
    assert at_once.window == scene.window
    for band in BANDS:
        assert np.array_equal(at_once.l1c[band], scene.l1c[band]), band
    assert np.array_equal(at_once.scl, scene.scl)
    assert np.array_equal(at_once.sky, scene.sky)
    assert blocks_of(L1C.window, Window(32633, 0, 100, 10, 10)) == []


@pytest.mark.parametrize("granule", [L1C, L2A])
def test_the_projects_reader_finds_nothing_wrong(archive: Path, granule: Granule, scene: Scene) -> None:
    safe = read(archive, granule)
    assert safe.problems == ()
    assert safe.missing == ()
    assert safe.product.synthetic
    assert (safe.product.platform, safe.product.relative_orbit, safe.product.tile) == ("S2A", "R122", "33TWM")
    assert (safe.product.baseline, safe.product.datastrip) == ("05.09", "S20230601T100321")
    assert safe.product.datatake == "20230601T100031_041478"
    assert safe.product.time == L1C.sensed
    assert (safe.granule, safe.datastrip) == (granule.granule, granule.datastrip)
    assert "_SYNT_" in safe.granule
    assert safe.sun is not None
    assert safe.sun.zenith_grid[0, :2] == pytest.approx([30, 30 + 1 / 528], abs=1e-4)
    assert safe.view["B8A"] == (6, 100)
    check_sizes(safe)
    numbers = scene.l1c if granule.level == "L1C" else scene.l2a
    for band in LEVEL_BANDS[granule.level]:
        with rasterio.open(safe.assets[band].href) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"
            whole = file.read(1)
        factor = BANDS[band].resolution // 10
        rows, columns = L1C.window.slices(scene.window)
        inside = np.s_[rows.start // factor : rows.stop // factor, columns.start // factor : columns.stop // factor]
        assert np.array_equal(whole[inside], numbers[band]), band
        whole[inside] = 0
        assert not whole.any()
        assert safe.assets[band].offset == -1000
    footprint = shape(safe.product.footprint)
    assert footprint.is_valid
    cloudy = np.isin(scene.scl, (8, 9, 10)).sum() / (scene.scl > 0).sum()
    assert safe.product.cloud_cover == pytest.approx(100 * cloudy, abs=1e-4)


def test_masks_of_l2a_are_what_was_classified(archive: Path, scene: Scene) -> None:
    safe = read(archive, L2A)
    rows, columns = L1C.window.slices(scene.window)
    inside = np.s_[rows.start // 2 : rows.stop // 2, columns.start // 2 : columns.stop // 2]
    for name, values in (("SCL", scene.scl), ("CLD", scene.cloud_probability)):
        with rasterio.open(safe.assets[name].href) as file:
            assert np.array_equal(file.read(1)[inside], values)
    assert {mask.kind for mask in safe.masks} == {"DETFOO", "QUALIT", "CLASSI", "CLDPRB", "SNWPRB"}
    with rasterio.open(archive / f"{L2A.name}.SAFE/GRANULE/{L2A.folder}/QI_DATA/MSK_QUALIT_B02.jp2") as file:
        assert (file.count, file.shape) == (8, (600, 600))


@pytest.mark.parametrize("granule", [L1C, L2A])
def test_gdals_own_driver_opens_all_of_it(archive: Path, granule: Granule) -> None:
    path = archive / f"{granule.name}.SAFE" / f"MTD_MSI{granule.level}.xml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of the container, which has no pixels
        with rasterio.open(path) as container:
            assert container.driver == "SENTINEL2"
            assert container.tags()["PROCESSING_BASELINE"] == "05.09"
            subdatasets = container.subdatasets
    assert len(subdatasets) == 4
    for name in subdatasets:
        with rasterio.open(name) as file:
            assert file.transform[2::3][:2] == (499_980, 5_100_000)
            assert all(
                file.read(number).any() or "confidence" in str(file.descriptions[number - 1]) for number in file.indexes
            )
    with (
        rasterio.open(next(name for name in subdatasets if ":10m:" in name)) as file,
        rasterio.open(read(archive, granule).assets["B04"].href) as band,
    ):
        assert np.array_equal(file.read(1), band.read(1))


def test_everything_says_that_it_is_synthetic(archive: Path) -> None:
    for granule in (L1C, L2A):
        product = archive / f"{granule.name}.SAFE"
        texts = [path for path in product.rglob("*") if path.suffix in (".xml", ".safe")]
        assert len(texts) == 5
        assert all("SYNTHETIC: made by Cropline" in path.read_text() for path in texts)
        assert "SYNTHETIC S2A_MSI" in (product / "INSPIRE.xml").read_text()


def test_the_manifest_lists_every_file_with_its_checksum(archive: Path) -> None:
    product = archive / f"{L1C.name}.SAFE"
    listed = document(product / "manifest.safe").findall(".//byteStream")
    files = {path.relative_to(product).as_posix() for path in product.rglob("*") if path.is_file()} - {"manifest.safe"}
    assert {stream.find("fileLocation").get("href", "")[2:] for stream in listed} == files  # type: ignore[union-attr]
    for stream in listed[:4]:
        content = (product / stream.find("fileLocation").get("href", "")).read_bytes()  # type: ignore[union-attr]
        assert stream.find("checksum").text == hashlib.sha3_256(content).hexdigest().upper()  # type: ignore[union-attr]
        assert int(stream.get("size", "")) == len(content)


def test_documents_have_the_elements_of_real_ones(archive: Path, real_data: Path) -> None:
    """Each element of ours stands under the same parents as in real products of the same baseline, or is ours on purpose."""
    for granule in (L1C, L2A):
        real = next((real_data / "safe").glob(f"S2B_MSI{granule.level}_*"))
        other = next((real_data / "safe").glob("S2A_MSIL2A_*T29UNU*"))
        for ours, theirs in (
            (f"MTD_MSI{granule.level}.xml", [real]),
            (f"GRANULE/{granule.folder}/MTD_TL.xml", [real, other]),
        ):
            known = set().union(*(paths(document(next(product.glob(like(ours))))) for product in theirs))
            extra = {path for path in paths(document(archive / f"{granule.name}.SAFE" / ours)) if path not in known}
            assert {path.rpartition("/")[2] for path in extra} <= {"SYNTHETIC"}, extra


def like(path: str) -> str:
    return path if path.startswith("MTD") else "GRANULE/*/MTD_TL.xml"


def paths(element: Element, above: str = "") -> set[str]:
    name = element.tag.rpartition("}")[2].replace("Level-1C", "Level-X").replace("Level-2A", "Level-X")
    here = f"{above}/{name}"
    return {here}.union(*(paths(child, here) for child in element if isinstance(child.tag, str)))


def test_the_same_arguments_make_the_same_bytes_and_nothing_is_written_twice(archive: Path, tmp_path: Path) -> None:
    (again,) = write_safe(tmp_path, make(L1C), (L1C,))
    for path in sorted(again.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (archive / f"{L1C.name}.SAFE" / path.relative_to(again)).read_bytes(), path.name
    assert write_safe(tmp_path, iter(()), (L1C,)) == [again]
    assert [path.name for path in tmp_path.iterdir()] == [again.name]


def test_nothing_half_done_stays_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[Scene]:
        yield next(make(L1C))
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        write_safe(tmp_path, broken(), (L1C,))
    with pytest.raises(StoreError, match="nothing of the tile was seen"):
        write_safe(tmp_path, iter(()), (L1C,))
    assert list(tmp_path.iterdir()) == []


def test_products_before_04_have_no_offset_and_masks_in_gml(tmp_path: Path) -> None:
    old = replace(L1C, baseline="02.06")
    write_safe(tmp_path, make(old), (old,))
    safe = read(tmp_path, old)
    assert safe.problems == ()
    assert {(mask.kind, mask.form) for mask in safe.masks} == {
        (kind, "GML") for kind in ("DETFOO", "NODATA", "SATURA", "DEFECT", "TECQUA", "CLOUDS")
    }
    assert {asset.offset for asset in safe.assets.values()} == {0}
    footprint = next(mask for mask in safe.masks if mask.kind == "DETFOO")
    (feature,) = mask_features(safe.files, footprint, "test")
    assert feature.polygon.area == pytest.approx(220 * 246 * 100, rel=0.1)
    clouds = mask_features(safe.files, next(mask for mask in safe.masks if mask.kind == "CLOUDS"), "test")
    assert sum(cloud.polygon.area for cloud in clouds) > 0
    scene = next(make(old))
    rows, columns = L1C.window.slices(scene.window)
    with rasterio.open(safe.assets["B02"].href) as file:
        assert np.array_equal(file.read(1)[rows, columns], scene.l1c["B02"])


def test_saturated_pixels_are_said_so(tmp_path: Path, scene: Scene) -> None:
    bright = {band: values.copy() for band, values in scene.l1c.items()}
    bright["B8A"][5:8, 5:8] = SATURATED
    (product,) = write_safe(tmp_path, [replace(scene, l1c=bright)], (L1C,))
    folder = product / "GRANULE" / L1C.folder / "QI_DATA"
    with rasterio.open(folder / "MSK_QUALIT_B8A.jp2") as file:
        assert file.read(8).sum() == 9
    with rasterio.open(folder / "MSK_QUALIT_B05.jp2") as file:
        assert file.read(8).sum() == 0


def test_the_safe_source_orders_them_as_any_other(archive: Path) -> None:
    source = open_source(f"safe:{archive}")
    area = shape(read(archive, L2A).product.footprint)
    found = source.search(area, (START - timedelta(days=1), START + timedelta(days=1)), "L2A")
    assert [product.id for product in found.products] == [L2A.name]
    assert found.products[0].synthetic
    assert set(source.assets(found.products[0])) == {*LEVEL_BANDS["L2A"], "SCL", "CLD"}


@pytest.mark.parametrize("baseline", ["05.09", "02.06"])
def test_stac_items_are_read_back_with_the_same_numbers(tmp_path: Path, scene: Scene, baseline: str) -> None:
    granules = [replace(granule, baseline=baseline) for granule in (L1C, L2A)]
    items = write_items(tmp_path, [scene], granules, scene.window)
    catalog = write_catalogue(tmp_path, items, {"seed": 5})
    source = open_source(f"stac:{catalog}")
    area = shape(json.loads(items[0].read_bytes())["geometry"])
    for granule in granules:
        (product,) = source.search(area, (START - timedelta(days=1), START + timedelta(days=1)), granule.level).products
        assert product.synthetic
        assert product.id == granule.name
        assert (product.tile, product.platform, product.relative_orbit) == ("33TWM", "S2A", "R122")
        assert (product.baseline, product.datatake) == (baseline, "20230601T100031_041478")
        assert (product.sun_zenith, product.sun_azimuth) == (30, 150)
        assets = source.assets(product)
        assert set(assets) == {*LEVEL_BANDS[granule.level], *(("SCL", "CLD") if granule.level == "L2A" else ())}
        numbers = scene.l1c if granule.level == "L1C" else scene.l2a
        for band in LEVEL_BANDS[granule.level]:
            assert assets[band].offset == (-1000 if baseline == "05.09" else 0)
            with rasterio.open(assets[band].href) as file:
                assert np.array_equal(file.read(1), numbers[band])
                assert file.tags()["synthetic"] == "true"
                assert file.bounds[:1] == (scene.window.left * 10,)


def test_items_over_more_than_was_seen_are_empty_there_and_left_as_they_are(tmp_path: Path, scene: Scene) -> None:
    around = Window(32633, scene.window.left - 60, scene.window.top + 60, 480, 420)
    (item,) = write_items(tmp_path, make(L1C), (L2A,), around)  # two blocks
    rows, columns = around.slices(scene.window)
    for band, factor in (("B02", 1), ("B05", 2), ("B01", 6), ("SCL", 2), ("CLD", 2)):
        with rasterio.open(item.with_name(f"{band}.tif")) as file:
            values = file.read(1)
            nodata = file.nodata
        part = np.s_[rows.start // factor : rows.stop // factor, columns.start // factor : columns.stop // factor]
        expected = {"SCL": scene.scl, "CLD": np.where(scene.scl > 0, scene.cloud_probability, 255)}
        assert np.array_equal(values[part], expected.get(band, scene.l2a.get(band)))
        values[part] = nodata
        assert (values == nodata).all()
    described = json.loads(item.read_bytes())["properties"]
    cloudy = np.isin(scene.scl, (8, 9, 10)).sum() / (scene.scl > 0).sum()
    assert described["eo:cloud_cover"] == pytest.approx(100 * cloudy, abs=1e-4)
    assert write_items(tmp_path, iter(()), (L2A,), around) == [item]
    with pytest.raises(StoreError, match="nothing of the tile was seen"):
        write_items(tmp_path, iter(()), (L1C, L2A), around)
    assert [path.name for path in tmp_path.iterdir()] == ["sentinel-2-l2a"]


def test_the_truth_lies_beside_them(tmp_path: Path, scene: Scene) -> None:
    around = Window(32633, scene.window.left - 6, scene.window.top, scene.window.width + 6, scene.window.height)
    stages = np.full(scene.window.shape, Stage.GROWN, np.uint8)
    with acquisition_truth(tmp_path, "one", around) as add:
        add(scene, stages)
    for name, inside in (("sky", scene.sky), ("clear", clear(scene)), ("stages", stages)):
        with rasterio.open(tmp_path / f"one_{name}.tif") as file:
            values = file.read(1)
            assert file.transform == around.transform
            assert file.tags()["synthetic"] == "true"
        assert np.array_equal(values[:, 6:], inside), name
        assert (values[:, :6] == 255).all()
    assert set(np.unique(clear(scene))) == {0, 1, 255}
    assert ((clear(scene) == 1) == (scene.sky == 0)).all()
    codes = np.arange(scene.sky.size).reshape(scene.sky.shape).astype(np.uint8)
    write_crops(tmp_path, 2023, [(scene.window, codes)], around)
    path = crops_path(tmp_path, 2023)
    with rasterio.open(path) as file:
        values = file.read(1)
        assert file.transform == around.transform
    assert np.array_equal(values[:, 6:], codes)
    assert (values[:, :6] == 255).all()
    legend = read_legend(path.with_suffix(".legend.csv"))
    assert {entry.name for entry in legend.classes} == {crop.name for crop in CROPS.values() if is_crop(crop.code)}
    assert legend.background is not None
    outline = box(*scene.window.bounds)
    write_parcels(tmp_path / "parcels.parquet", [Field(7, outline, 3), Field(2, outline, 20)], 2023, 32633)
    back = geopandas.read_parquet(tmp_path / "parcels.parquet")
    assert back.crs == "EPSG:32633"
    assert back.geometry[0].equals(outline)
    assert back[["field", "code", "crop", "year"]].to_numpy().tolist()[1] == [7, 3, "corn", 2023]
    assert back["synthetic"].all()
    write_values(tmp_path)
    values = json.loads((tmp_path / "values.json").read_bytes())
    assert (values["sky"]["0"], values["stages"]["3"]) == ("clear", "grown")


def test_no_truth_of_what_failed(tmp_path: Path, scene: Scene) -> None:
    def fail() -> None:
        with acquisition_truth(tmp_path, "one", scene.window) as add:
            add(scene, np.zeros(scene.window.shape, np.uint8))
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tile": "33III"}, "33III"),
        ({"baseline": "new"}, "'new'"),
        ({"upper_left": (5, 0)}, "60 m"),
        ({"edge": 100}, "not 100"),
    ],
)
def test_impossible_granules_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        replace(L1C, **wrong)  # type: ignore[arg-type]
