"""The four real SAFE products: read against their own documents, their names, and GDAL's driver for them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from shapely.geometry import Point, box, shape

from catalog.grid import to_lonlat
from catalog.products import BANDS, LEVEL_BANDS
from catalog.sources.registry import open_source
from catalog.sources.safe.masks import mask_features
from catalog.sources.safe.product import SafeProduct, read_product
from catalog.sources.safe.sizes import check_sizes
from catalog.storage.file_trees import LocalFiles

JMM = "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042"
UNU = "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454"
UCF1 = "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF_20230823T120234"
UCF2 = "S2B_MSIL2A_20230823T095559_N0509_R122_T34UCF_20230823T124759"

QUALITY_LAYERS: tuple[str, ...] = (
    "ancillary data lost",
    "ancillary data degraded",
    "instrument data lost",
    "instrument data degraded",
    "defective pixels",
    "no data",
    "partially corrected crosstalk",
    "saturated before correction (L1A)",
)
"""Of ``MSK_QUALIT_B…jp2``, 1 where it holds (Products Specification 14.9, ESA 2021)."""


def read(real_data: Path, name: str) -> SafeProduct:
    return read_product(LocalFiles(real_data / "safe"), f"{name}.SAFE")


@pytest.mark.parametrize(
    ("name", "baseline", "offset", "datatake", "datastrip", "time"),
    [
        (JMM, "02.06", 0, "20180629T000241_015757", "S20180629T000241", (2018, 6, 29, 0, 2, 41, 461000)),
        (UNU, "04.00", -1000, "20221005T115411_038058", "S20221005T115407", (2022, 10, 5, 11, 56, 49, 581767)),
        (UCF1, "05.09", -1000, "20230823T095559_033753", "S20230823T095553", (2023, 8, 23, 10, 5, 35, 271949)),
        (UCF2, "05.09", -1000, "20230823T095559_033753", "S20230823T095553", (2023, 8, 23, 10, 5, 35, 271949)),
    ],
)
def test_what_is_known_of_them(
    real_data: Path, name: str, baseline: str, offset: int, datatake: str, datastrip: str, time: tuple[int, ...]
) -> None:
    tile, level, orbit = name[39:44], name[7:10], name[33:37]
    safe = read(real_data, name)
    product = safe.product
    assert (product.id, product.level, product.tile, product.baseline) == (name, level, tile, baseline)
    assert (product.platform, product.datatake, product.datastrip) == (name[:3], datatake, datastrip)
    assert (product.relative_orbit, product.time) == (orbit, datetime(*time, tzinfo=UTC))  # type: ignore[misc, arg-type]
    assert set(safe.offsets.values()) == {offset}
    assert not product.synthetic
    # The tile's name is that of its zone, its footprint lies in the tile, and most of the tile's corners have data.
    assert safe.tile.epsg % 100 == int(tile[:2])
    square = to_lonlat(box(*safe.tile.bounds), safe.tile.epsg)
    footprint = shape(product.footprint)
    assert footprint.is_valid
    assert footprint.intersection(square).area > 0.99 * footprint.area
    assert safe.tile.bounds[2] - safe.tile.bounds[0] == 109_800


def test_their_files(real_data: Path) -> None:
    for name, missing, problems in ((JMM, (), 0), (UNU, ("B08",), 2), (UCF1, (), 0), (UCF2, (), 0)):
        safe = read(real_data, name)
        assert (safe.missing, len(safe.problems)) == (missing, problems)
        bands = [band for band in LEVEL_BANDS[safe.product.level] if band not in missing]
        assert [asset for asset in safe.assets if asset in BANDS] == bands
        assert ("SCL" in safe.assets, "CLD" in safe.assets) == (safe.product.level == "L2A",) * 2
        for asset, path in safe.paths.items():
            assert (real_data / "safe" / path).is_file()
            band = {"SCL": "SCL", "CLD": "CLDPRB"}.get(asset, asset)
            assert re.search(rf"_{band}(_{safe.resolutions[asset]}m)?\.jp2$", path)
    unu = read(real_data, UNU)
    assert {unu.resolutions[band] for band in unu.assets if band in BANDS} == {60}
    assert (unu.resolutions["SCL"], unu.resolutions["CLD"]) == (20, 20)
    assert "B02 at 60 m" in unu.problems[1]
    ucf = read(real_data, UCF2)
    assert {band: ucf.resolutions[band] for band in ucf.assets if band in BANDS} == {
        name: BANDS[name].resolution for name in LEVEL_BANDS["L2A"]
    }


def test_their_rasters_are_of_the_size_they_should_be_or_shrunk_alike(real_data: Path) -> None:
    sizes = check_sizes(read(real_data, JMM))
    assert (sizes["B02"], sizes["B05"], sizes["B01"]) == ((439, 439), (219, 219), (73, 73))
    unu = read(real_data, UNU)
    sizes = check_sizes(unu)
    assert (sizes["B02"], sizes["SCL"]) == ((1830, 1830), (5490, 5490))
    for asset, size in sizes.items():
        with rasterio.open(unu.assets[asset].href) as file:
            assert file.shape == size
            assert file.crs.to_epsg() == unu.tile.epsg
            assert (file.transform.c, file.transform.f) == unu.tile.upper_left
            assert file.transform.a == unu.resolutions[asset]


def test_angles_are_those_of_the_document(real_data: Path) -> None:
    for name in (JMM, UNU, UCF2):
        safe = read(real_data, name)
        root = ET.parse(next((real_data / "safe" / f"{name}.SAFE").rglob("MTD_TL.xml"))).getroot()
        mean = root.find(".//Mean_Sun_Angle")
        assert mean is not None
        assert safe.sun is not None
        assert safe.sun.zenith == float(mean.findtext("ZENITH_ANGLE", ""))
        assert safe.sun.azimuth == float(mean.findtext("AZIMUTH_ANGLE", ""))
        assert safe.sun.zenith_grid.shape == safe.sun.azimuth_grid.shape == (23, 23)
        # The mean is taken over the tile: that of the grid is near it.
        assert np.nanmean(safe.sun.zenith_grid) == pytest.approx(safe.sun.zenith, abs=0.05)
        assert np.nanmean(safe.sun.azimuth_grid) == pytest.approx(safe.sun.azimuth, abs=0.1)
        # 8 of the real document is B8A: bandId counts the instrument's bands.
        views = {int(entry.get("bandId", "")): entry for entry in root.iterfind(".//Mean_Viewing_Incidence_Angle")}
        for band, number in (("B01", 0), ("B08", 7), ("B8A", 8), ("B09", 9), ("B12", 12)):
            assert safe.view[band][0] == float(views[number].findtext("ZENITH_ANGLE", ""))
            assert 0 < safe.view[band][0] < 12
    assert read(real_data, UCF1).sun is None  # this copy of the document has no angles


@pytest.mark.parametrize("name", [JMM, UNU, UCF1, UCF2])
def test_gdals_own_driver_agrees(real_data: Path, name: str) -> None:
    safe = read(real_data, name)
    level = safe.product.level
    document = real_data / "safe" / f"{name}.SAFE" / f"MTD_MSI{level}.xml"
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        whole = rasterio.open(document)
    with whole:
        assert whole.driver == "SENTINEL2"
        subdatasets, tags = whole.subdatasets, whole.tags()
    assert tags["PROCESSING_BASELINE"] == safe.product.baseline
    assert tags["PRODUCT_URI"] == f"{safe.product.id}.SAFE"
    assert float(tags["SPECIAL_VALUE_NODATA"]) == safe.assets["B02"].nodata
    assert tags.get("BOA_QUANTIFICATION_VALUE", tags.get("QUANTIFICATION_VALUE")) == str(safe.quantification)
    footprint = shape(safe.product.footprint)
    outline = re.findall(r"(-?[\d.]+) (-?[\d.]+)", tags["FOOTPRINT"])
    np.testing.assert_allclose(np.array(outline, float), np.array(footprint.exterior.coords), atol=1e-6)
    seen = {}
    for metres in (10, 20, 60):
        (address,) = [address for address in subdatasets if f":{metres}m:" in address]
        with rasterio.open(address) as file:
            assert file.crs.to_epsg() == safe.tile.epsg
            assert (file.transform.c, file.transform.f) == safe.tile.upper_left
            assert file.transform.a == metres
            assert file.shape == safe.tile.sizes[metres]
            for description in file.descriptions:
                band = (description or "").partition(",")[0]
                if re.fullmatch(r"B\d+A?", band):
                    seen[band if len(band) == 3 else f"B0{band[1:]}"] = metres
    assert seen == {band: BANDS[band].resolution for band in LEVEL_BANDS[level]}


def test_quality_masks_of_both_forms(real_data: Path) -> None:
    jmm, unu = read(real_data, JMM), read(real_data, UNU)
    kinds = {(mask.kind, mask.form) for mask in jmm.masks}
    assert kinds == {("CLOUDS", "GML")} | {(kind, "GML") for kind in ("DEFECT", "DETFOO", "NODATA", "SATURA", "TECQUA")}
    assert {mask.band for mask in jmm.masks if mask.kind == "DEFECT"} == set(BANDS)
    features = {mask.path[-14:]: mask_features(jmm.files, mask, jmm.product.id) for mask in jmm.masks}
    (defect,) = features["DEFECT_B10.gml"]
    assert defect.type == "QT_DEFECTIVE_PIXELS"
    assert box(*jmm.tile.bounds).buffer(1).contains(defect.polygon)
    assert 0 < defect.polygon.area < 2 * 30 * 120_000  # two columns of one detector
    (partial,) = features["NODATA_B11.gml"]
    assert partial.type == "QT_PARTIALLY_CORRECTED_PIXELS"
    assert [feature.id for feature in features["DETFOO_B02.gml"]][:2] == [
        "detector_footprint-B02-09-0",
        "detector_footprint-B02-10-1",
    ]
    assert features["DEFECT_B02.gml"] == []
    assert {(mask.kind, mask.form) for mask in unu.masks} == {
        (kind, "JP2") for kind in ("CLASSI", "CLDPRB", "DETFOO", "QUALIT", "SNWPRB")
    }
    masks = {(mask.kind, mask.band): unu.files.gdal(mask.path) for mask in unu.masks}
    # The same detector's pixels of B10 and B11 as in the polygons of four years before.
    for band, layer in (("B10", "defective pixels"), ("B11", "partially corrected crosstalk")):
        with rasterio.open(masks["QUALIT", band]) as file:
            assert file.count == len(QUALITY_LAYERS)
            shares = file.read(out_shape=(8, 1830, 1830)).astype(bool).mean(axis=(1, 2))
        assert {QUALITY_LAYERS[number] for number in np.flatnonzero(shares)} == {layer}
    with rasterio.open(masks["DETFOO", "B01"]) as file:
        detectors = file.read(1)
    with rasterio.open(unu.assets["B01"].href) as file:
        raw = file.read(1)
    # Outside of the swath nothing but the number 0 tells that there is no data.
    assert np.mean((raw == 0) == (detectors == 0)) > 0.999
    assert np.mean(raw == 0) == pytest.approx(unu.tile.nodata_share / 100, abs=0.001)  # type: ignore[operator]


def test_swath_edges_clip_the_footprint(real_data: Path) -> None:
    """Where the footprint ends, so do the pixels: latitude and longitude aren't swapped."""
    unu = read(real_data, UNU)
    footprint = shape(unu.product.footprint)
    with rasterio.open(unu.assets["B01"].href) as file:
        raw = file.read(1)
        inside, outside = 0, 0
        for row in range(40, 1830, 97):
            for column in range(40, 1830, 97):
                x, y = file.transform @ (column + 0.5, row + 0.5)
                point = to_lonlat(Point(x, y), unu.tile.epsg)
                if footprint.buffer(-0.01).contains(point):
                    inside += 1
                    assert raw[row, column] > 0
                elif not footprint.buffer(0.01).contains(point):
                    outside += 1
                    assert raw[row, column] == 0
    assert inside > 150
    assert outside > 50


def test_they_are_found_as_an_archive(real_data: Path) -> None:
    source = open_source(f"safe:{real_data / 'safe'}")
    always = datetime(2015, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    world = box(-180, -80, 180, 80)
    assert [product.id for product in source.search(world, always, "L1C").products] == [JMM, UCF1]
    found = source.search(world, always, "L2A")
    assert [product.id for product in found.products] == [UNU, UCF2]
    assert found.left_out == ()
    assert found.holds == "the source holds 4 products from 2018-06-29 to 2023-08-23 (2 of the other level)"
