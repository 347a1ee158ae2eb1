"""What is read of SAFE products, and how bad ones are refused. All products here are synthetic."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safe_kit
from shapely.geometry import MultiPolygon, box, shape

from catalog.errors import ProductError
from catalog.products import LEVEL_BANDS
from catalog.sources.product_name import parse_name
from catalog.sources.safe.aws_tile import read_tile
from catalog.sources.safe.masks import mask_features
from catalog.sources.safe.product import find_files, granules, read_product
from catalog.sources.safe.sizes import check_sizes
from catalog.storage.file_trees import LocalFiles

NAME = "{}_MSI{}_20230601T105621_N0509_R094_T{}_20230601T160000.SAFE"


def edit(path: Path, pattern: str, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    after = re.sub(pattern, text, before, flags=re.DOTALL)
    assert after != before
    path.write_text(after, encoding="utf-8")


@pytest.fixture
def l2a(tmp_path: Path) -> Path:
    path: Path = safe_kit.Kit().write(tmp_path)
    return path


def test_a_compact_product(tmp_path: Path) -> None:
    kit = safe_kit.Kit()
    path = kit.write(tmp_path)
    safe = read_product(LocalFiles(tmp_path), path.name)
    product = safe.product
    assert product.id == kit.name
    assert product.href == str(path)
    assert (product.level, product.tile, product.platform) == ("L2A", "31UES", "S2A")
    assert product.time == datetime(2023, 6, 1, 11, 1, 21, 461000, tzinfo=UTC)
    assert (product.datatake, product.datastrip) == ("20230601T105621_041478", "S20230601T105913")
    assert (product.relative_orbit, product.baseline) == ("R094", "05.09")
    assert product.generation_time == datetime(2023, 6, 1, 16, tzinfo=UTC)
    assert (product.cloud_cover, product.sun_zenith, product.sun_azimuth) == (12.5, 30.25, 155.5)
    assert product.synthetic
    assert shape(product.footprint).symmetric_difference(kit.outline).area < 1e-12
    assert tuple(safe.assets) == (*LEVEL_BANDS["L2A"], "SCL", "CLD")
    assert {(asset.offset, asset.nodata) for name, asset in safe.assets.items() if name[0] == "B"} == {(-1000, 0)}
    assert {asset.offset_from for name, asset in safe.assets.items() if name[0] == "B"} == {
        "BOA_ADD_OFFSET of MTD_MSIL2A.xml"
    }
    assert (safe.assets["SCL"].offset, safe.assets["SCL"].nodata) == (0, 0)
    assert safe.assets["CLD"].nodata is None  # 0 % is a probability
    assert safe.view["B8A"] == (3.8, 104.5)  # the instrument's eighth, before B09
    assert safe.view["B09"] == (3.9, 104.5)
    assert safe.sun is not None
    np.testing.assert_array_equal(safe.sun.zenith_grid, np.float32([[29.5, 30.5], [29.6, np.nan]]))
    assert (safe.missing, safe.problems, safe.orbit_direction) == ((), (), "descending")


@pytest.mark.parametrize(
    ("level", "baseline", "offset", "expected", "said"),
    [
        ("L1C", "05.09", -1000, -1000, "RADIO_ADD_OFFSET of MTD_MSIL1C.xml"),
        ("L2A", "02.11", None, 0, "MTD_MSIL2A.xml has no BOA_ADD_OFFSET"),
        ("L1C", "02.06", None, 0, "MTD_MSIL1C.xml has no RADIO_ADD_OFFSET"),
        ("L2A", "00.01", -1000, -1000, "BOA_ADD_OFFSET of MTD_MSIL2A.xml"),
        ("L2A", "00.01", None, 0, "MTD_MSIL2A.xml has no BOA_ADD_OFFSET"),
        ("L1C", "99.99", -1000, -1000, "RADIO_ADD_OFFSET of MTD_MSIL1C.xml"),
        ("L2A", "02.11", -7, -7, "BOA_ADD_OFFSET of MTD_MSIL2A.xml"),  # the document, never the date or baseline
        ("L2A", "05.10", None, -1000, "baseline 05.10"),
    ],
)
def test_where_an_offset_comes_from(
    tmp_path: Path, level: str, baseline: str, offset: int | None, expected: int, said: str
) -> None:
    path = safe_kit.Kit(level=level, baseline=baseline, offset=offset).write(tmp_path)
    safe = read_product(LocalFiles(tmp_path), path.name)
    assert set(safe.offsets.values()) == {expected}
    assert safe.assets["B04"].offset == expected
    assert safe.assets["B04"].offset_from == said
    assert any("says nothing about its age" in problem for problem in safe.problems) == (baseline in ("00.01", "99.99"))
    assert any("though its baseline" in problem for problem in safe.problems) == (said == "baseline 05.10")


def test_offsets_are_of_their_bands(l2a: Path) -> None:
    edit(l2a / "MTD_MSIL2A.xml", r'<BOA_ADD_OFFSET band_id="8">-1000', '<BOA_ADD_OFFSET band_id="8">-500')
    safe = read_product(LocalFiles(l2a.parent), l2a.name)
    assert {band: offset for band, offset in safe.offsets.items() if offset != -1000} == {"B8A": -500}


def test_what_is_missing_or_coarse_is_used_and_said(tmp_path: Path) -> None:
    kit = safe_kit.Kit(leave_out=("B02", "B8A", "B09"), check="FAILED")
    path = kit.write(tmp_path)
    images = path / "GRANULE" / kit.granule / "IMG_DATA"
    kit.write_jp2(images / "R20m" / "T31UES_20230601T105621_B02_20m.jp2", np.full((120, 120), 7, np.uint16), 20)
    kit.write_jp2(images / "R60m" / "T31UES_20230601T105621_B02_60m.jp2", np.full((40, 40), 7, np.uint16), 60)
    kit.write_jp2(images / "R20m" / "T31UES_20230601T105621_B01_20m.jp2", np.full((120, 120), 7, np.uint16), 20)
    safe = read_product(LocalFiles(tmp_path), path.name)
    assert (safe.resolutions["B02"], safe.resolutions["B01"], safe.resolutions["SCL"]) == (20, 60, 20)
    assert safe.missing == ("B8A", "B09")
    assert safe.problems == (
        "its own quality check failed: GEOMETRIC_QUALITY FAILED",
        "missing: B8A, B09",
        "not at their native pixel size: B02 at 20 m",
    )


def test_long_names_and_several_granules(tmp_path: Path) -> None:
    start = datetime(2016, 5, 3, 10, 10, 33, tzinfo=UTC)
    about: dict[str, Any] = {"level": "L1C", "baseline": "02.01", "offset": None, "start": start, "edge": 120}
    west = safe_kit.Kit(**about)
    east = safe_kit.Kit(**about, tile="31UFS", west=west.west + 1200)
    both = west.outline.union(east.outline).envelope.exterior.coords
    west.footprint = " ".join(f"{latitude} {longitude}" for longitude, latitude in both)
    path = safe_kit.write_long(tmp_path, [west, east])
    files = LocalFiles(tmp_path)
    with pytest.raises(ProductError, match=r"has 2 granules: .*Name one"):
        read_product(files, path.name)
    paths = granules(files, path.name)
    assert paths == [f"{path.name}/GRANULE/{kit.granule_id}" for kit in (west, east)]
    for kit, granule in zip((west, east), paths, strict=True):
        safe = read_product(files, granule)
        assert (safe.product.id, safe.product.tile, safe.product.baseline) == (kit.granule_id, kit.tile, "02.01")
        assert tuple(safe.assets) == LEVEL_BANDS["L1C"]
        assert all(kit.tile in path for path in safe.paths.values())
        outline = shape(safe.product.footprint)
        assert outline.symmetric_difference(kit.outline).area < 0.02 * kit.outline.area
        (mask,) = safe.masks
        assert (mask.kind, mask.band, mask.form) == ("DEFECT", "B03", "GML")
    archive = safe_kit.pack(path, tmp_path / "zips" / f"{path.name}.zip")
    inside = granules(LocalFiles(archive.parent), archive.name)
    assert inside == [f"{archive.name}/{granule}" for granule in paths]
    assert read_product(LocalFiles(archive.parent), inside[1]).product.tile == "31UFS"


@pytest.mark.parametrize("top", [True, False])
def test_an_archive_is_read_as_its_folder_is(l2a: Path, tmp_path: Path, top: bool) -> None:
    archive = safe_kit.pack(l2a, tmp_path / "zips" / f"{l2a.name}.zip", top=top)
    of_folder = read_product(LocalFiles(tmp_path), l2a.name)
    of_archive = read_product(LocalFiles(archive.parent), archive.name)
    assert of_archive.product.href == str(archive)
    # An archive's files have other times than those they were packed from: to the cube it is another content.
    where = {"href": of_folder.product.href, "content": of_folder.product.content}
    assert of_archive.product.model_copy(update=where) == of_folder.product
    assert of_archive.offsets == of_folder.offsets
    assert [mask.kind for mask in of_archive.masks] == [mask.kind for mask in of_folder.masks]
    assert check_sizes(of_archive) == check_sizes(of_folder)
    assert of_archive.assets["B02"].href.startswith(f"/vsizip/{{{archive}}}/")


@pytest.mark.parametrize("document", [True, False])
@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_a_tile_of_the_aws_archive(tmp_path: Path, level: str, document: bool) -> None:
    kit = safe_kit.Kit(level=level, edge=120)
    folder = safe_kit.write_aws(tmp_path, kit, product_document=document)
    safe = read_tile(LocalFiles(tmp_path), str(folder.relative_to(tmp_path)))
    safe_dir = read_product(LocalFiles(tmp_path / "safe"), kit.write(tmp_path / "safe").name)
    changes = {
        "href": str(folder),
        "footprint": safe.product.footprint,
        "synthetic": False,
        "content": safe.product.content,
    }
    assert safe.product == safe_dir.product.model_copy(update=changes)
    assert shape(safe.product.footprint).symmetric_difference(kit.outline).area < 1e-12
    assert safe.offsets == safe_dir.offsets
    element = "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"
    assert safe.offset_from == (f"{element} of metadata.xml" if document else "baseline 05.09")
    assert "preview" not in "".join(safe.paths.values())
    assert set(safe.paths) == {*LEVEL_BANDS[level], *(("SCL",) if level == "L2A" else ())}
    assert [mask.kind for mask in safe.masks] == ["DEFECT"]
    edit(folder / "metadata.xml", "_T31UES_", "_T31UFS_")
    with pytest.raises(ProductError, match=r"its path is of tile 31UES, its metadata.xml of tile 31UFS"):
        read_tile(LocalFiles(tmp_path), str(folder.relative_to(tmp_path)))


def test_polygons_of_a_mask(l2a: Path) -> None:
    safe = read_product(LocalFiles(l2a.parent), l2a.name)
    mask = next(mask for mask in safe.masks if mask.kind == "DEFECT")
    (feature,) = mask_features(safe.files, mask, safe.product.id)
    assert (feature.type, feature.id) == ("QT_DEFECTIVE_PIXELS", "QT_DEFECTIVE_PIXELS-D10.0")
    assert feature.polygon.area == 100 * 100 / 2


def test_a_footprint_across_the_antimeridian_is_cut_there(tmp_path: Path) -> None:
    path = safe_kit.Kit(footprint="50 179 51 179 51 -179 50 -179 50 179").write(tmp_path)
    product = read_product(LocalFiles(path.parent), path.name).product
    assert shape(product.footprint).equals(MultiPolygon([box(179, 50, 180, 51), box(-180, 50, -179, 51)]))


def refused(path: Path) -> str:
    with pytest.raises(ProductError) as caught:
        check_sizes(read_product(LocalFiles(path.parent), path.name))
    assert path.name.partition(".")[0] in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantification": 1000}, "BOA_QUANTIFICATION_VALUE is 1000, only 10000 is understood"),
        ({"saturated": 4095}, "saturated pixels have the number 4095"),
        ({"footprint": "88 0 88 120 88 -120 88 0"}, "it goes round a pole"),
        ({"footprint": "50 3 51 3 51"}, "no latitudes and longitudes of a polygon"),
        ({"footprint": "3 95 3 96 4 96 3 950"}, "not on the Earth"),
        ({"footprint": "3 95 3 96 4 nan 3 95"}, "not finite"),
        ({"footprint": "3 95 3 96 4 x 3 95"}, "is no number"),
        ({"folder_name": NAME.format("S2A", "L2A", "31UFS")}, "its name says tile 31UFS, MTD_TL.xml says 31UES"),
        ({"folder_name": NAME.format("S2A", "L1C", "31UES")}, "its name says level L1C, MTD_MSIL2A.xml says L2A"),
        ({"folder_name": NAME.format("S2B", "L2A", "31UES")}, "its name says platform S2B"),
    ],
)  # fmt: skip
def test_products_whose_metadata_cannot_be_used(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in refused(safe_kit.Kit(**changes).write(tmp_path))


@pytest.mark.parametrize(
    ("file", "pattern", "text", "said"),
    [
        ("MTD_MSIL2A.xml", r"</n1:Level-2A_User_Product>", "", "MTD_MSIL2A.xml is no XML, it may be truncated"),
        ("MTD_MSIL2A.xml", r"^.*$", "", "MTD_MSIL2A.xml is no XML"),
        ("MTD_MSIL2A.xml", r'encoding="UTF-8"', 'encoding="klingon"', "MTD_MSIL2A.xml is no XML"),
        ("MTD_MSIL2A.xml", r"<n1:Level-2A_User", "<!DOCTYPE x [<!ENTITY a 'b'>]><n1:Level-2A_User", "defines entities or a document type"),
        ("MTD_MSIL2A.xml", r'<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET>', "", "MTD_MSIL2A.xml has no BOA_ADD_OFFSET of B04"),
        ("MTD_MSIL2A.xml", r'="3">-1000', '="3">-0.5', "BOA_ADD_OFFSET is '-0.5': it is no whole number"),
        ("MTD_MSIL2A.xml", r"Level-2A</PROC", "Level-1B</PROC", "only Level-1C and Level-2A are read"),
        ("MTD_MSIL2A.xml", r"_T31UES_N05.09", "_T32UMC_N05.09", "lists no granule of tile 31UES"),
        ("MTD_TL.xml", r"EPSG:32631", "EPSG:4326", "it is no UTM zone"),
        ("MTD_TL.xml", r"<SENSING_TIME.*?</SENSING_TIME>", "", "SENSING_TIME is None"),
        ("MTD_TL.xml", r"<n1:Geometric_Info>.*</n1:Geometric_Info>", "", "MTD_TL.xml says no HORIZONTAL_CS_CODE"),
        ("MTD_TL.xml", r"<ZENITH_ANGLE unit=\"deg\">30.25", "<ZENITH_ANGLE>high", "Mean_Sun_Angle is 'high': it is no number"),
        ("MTD_TL.xml", r"Level-2A_Tile_ID", "Level-1C_Tile_ID", "MTD_TL.xml says level L1C, MTD_MSIL2A.xml says L2A"),
    ],
)  # fmt: skip
def test_documents_that_cannot_be_used(l2a: Path, file: str, pattern: str, text: str, said: str) -> None:
    (path,) = l2a.rglob(file)
    edit(path, pattern, text)
    assert said in refused(l2a)


def test_parts_that_are_missing(l2a: Path, tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(l2a, tmp_path / str(number) / l2a.name)) for number in range(4)]
    (next(copies[0].rglob("MTD_TL.xml"))).unlink()
    assert re.search(r"GRANULE/.*/MTD_TL.xml is missing", refused(copies[0]))
    (copies[1] / "MTD_MSIL2A.xml").unlink()
    assert "MTD_MSIL1C.xml or MTD_MSIL2A.xml is missing" in refused(copies[1])
    shutil.rmtree(copies[2] / "GRANULE")
    assert "it has no granule" in refused(copies[2])
    shutil.rmtree(next(copies[3].rglob("IMG_DATA")))
    assert "none of its bands is there" in refused(copies[3])


def test_a_band_of_another_size_is_named(tmp_path: Path) -> None:
    kit = safe_kit.Kit()
    path = kit.write(tmp_path)
    kit.write_jp2(next(path.rglob("*_B03_10m.jp2")), np.ones((120, 240), np.uint16), 10)
    said = refused(path)
    assert re.search(r"B03 \(.*_B03_10m.jp2\) has 240 x 120 pixels, at 10 m the product has 240 x 240", said)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"<VRTDataset rasterXSize='1' rasterYSize='1'/>"])
def test_a_file_that_is_no_jp2_is_named(l2a: Path, content: bytes) -> None:
    next(l2a.rglob("*_B03_10m.jp2")).write_bytes(content)
    assert re.search(r"_B03_10m.jp2 is no JP2, it may be truncated", refused(l2a))


def test_a_product_shrunk_as_a_whole_is_no_error(tmp_path: Path) -> None:
    kit = safe_kit.Kit(level="L1C")
    path = kit.write(tmp_path)
    for band, metres in (("B02", 10), ("B03", 10), ("B04", 10), ("B08", 10)):
        kit.write_jp2(next(path.rglob(f"*_{band}.jp2")), np.ones((60, 60), np.uint16), metres * 4)
    assert check_sizes(read_product(LocalFiles(tmp_path), path.name))["B03"] == (60, 60)


def test_archives_that_hold_no_product(l2a: Path, tmp_path: Path) -> None:
    inner = safe_kit.pack(l2a, tmp_path / "one" / f"{l2a.name}.zip")
    nested = safe_kit.pack(inner.parent, tmp_path / "outer" / f"{l2a.name}.zip", top=False)
    assert "holds another archive" in refused(nested)
    (tmp_path / "empty" / "readme").mkdir(parents=True)
    (tmp_path / "empty" / "readme" / "a.txt").write_text("a")
    assert "holds no SAFE product" in refused(
        safe_kit.pack(tmp_path / "empty", tmp_path / f"{l2a.stem}.zip", top=False)
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2A_MSIL2A_20230601T105621_N0509_R094_T31UES_20230601T160000.SAFE.zip", ("L2A", "31UES", "05.09")),
        ("S2C_MSIL1C_20250601T105621_N9999_R094_T31UES_20250601T160000", ("L1C", "31UES", "99.99")),
        ("S2A_OPER_PRD_MSIL1C_PDMC_20160504T175001_R079_V20160503T101033_20160503T101512.SAFE", ("L1C", "unknown", "unknown")),
        ("S2A_USER_PRD_MSIL2A_PDMC_20160504T175001_R079_V20160503T101033_20160503T101512.SAFE", ("L2A", "unknown", "unknown")),
        ("S2A_MSIL2A_20231301T105621_N0509_R094_T31UES_20230601T160000.SAFE", None),
        ("S2A_MSIL1B_20230601T105621_N0509_R094_T31UES_20230601T160000.SAFE", None),
        ("holiday.zip", None),
    ],
)  # fmt: skip
def test_names(name: str, expected: tuple[str, str, str] | None) -> None:
    parsed = parse_name(name)
    assert (None if parsed is None else (parsed.level, parsed.tile, parsed.baseline)) == expected


def test_files_are_known_by_all_the_names_that_bands_have_had(tmp_path: Path) -> None:
    for folder, names in {
        "R10m": ["L2A_T32TQR_20170401T101021_B02_10m.jp2", "T31UES_20230601T105621_TCI_10m.jp2"],
        "R20m": ["S2A_USER_MSI_L2A_TL_EPA__20160605T113933_A000734_T32TQR_B8A_20m.jp2", "SCL.jp2", "B11.jp2"],
        "R60m": ["T31UES_20230601T105621_SCL_60m.jp2", "B01.jp2", "T31UES_20230601T105621_AOT_60m.jp2"],
        "QI_DATA": [
            "S2A_USER_CLD_L2A_TL_EPA__20160605T113933_A000734_T32TQR_20m.jp2",
            "MSK_CLDPRB_60m.jp2",
            "MSK_SNWPRB_20m.jp2",
            "MSK_DETFOO_B03.jp2",
            "MSK_QUALIT_B04.jp2",
        ],
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    found = find_files(LocalFiles(tmp_path), ["R10m", "R20m", "R60m", "QI_DATA", "none"], "L2A")
    assert {name: (file.path.partition("/")[0], file.resolution) for name, file in found.items()} == {
        "B01": ("R60m", 60),
        "B02": ("R10m", 10),
        "B8A": ("R20m", 20),
        "B11": ("R20m", 20),
        "SCL": ("R20m", 20),
        "CLD": ("QI_DATA", 20),
    }
