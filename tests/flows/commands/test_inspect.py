"""`cropline inspect`: what is shown of products wherever they lie, and what is said where there is none."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safe_kit
from rich.console import Console
from typer.testing import CliRunner

from catalog.errors import CroplineError, ProductError, RequestError
from catalog.products import LEVEL_BANDS
from catalog.storage.credentials import Credentials, S3Access
from flows.commands.inspect import Inspection, inspect, print_inspection
from flows.commands.main import app

NOTHING = Credentials()


def shown(found: Inspection) -> str:
    console = Console(width=160, file=io.StringIO())
    print_inspection(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def same(one: Inspection, other: Inspection) -> None:
    """All but the places, and what each of them tells contents by."""
    for name in ("offset_from", "quantification", "granule", "datastrip", "epsg", "masks", "missing", "problems"):
        assert getattr(one, name) == getattr(other, name)
    place = {"href": "", "content": ""}
    assert one.product.model_copy(update=place) == other.product.model_copy(update=place)
    for first, second in zip(one.bands, other.bands, strict=True):
        assert first.model_copy(update={"href": ""}) == second.model_copy(update={"href": ""})
        assert first.href.rpartition("/")[2] == second.href.rpartition("/")[2]


@pytest.mark.parametrize(
    ("name", "expected", "problems"),
    [
        (
            "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042",
            (
                "L1C, 02.06",
                "56JMM, EPSG:32756",
                "2018-06-29 00:02:41 UTC",
                "zenith 59.52°, azimuth 28.98°",
                "0  (MTD_MSIL1C.xml has no RADIO_ADD_OFFSET)",
                "longitude 151.9541 to 152.9158, latitude -30.8197 to -29.8264",
                "DEFECT        defective                                 GML   13     1",
            ),
            ["off the grid, so that ingestion resamples: B02, B03, B04, B08 with pixels of 250.114 m"],
        ),
        (
            "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454",
            (
                "L2A, 04.00",
                "cloud cover      59.77 %",
                "bands missing    B08",
                "-1000  (BOA_ADD_OFFSET of MTD_MSIL2A.xml)",
                "B02   60 m   10 m    1830 x 1830  -1000   9.2° 289°",
            ),
            ["missing: B08", "not at their native pixel size: B02 at 60 m"],
        ),
        (
            "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF_20230823T120234",
            ("L1C, 05.09", "-1000  (RADIO_ADD_OFFSET of MTD_MSIL1C.xml)", "its metadata don't say", "bands missing    none"),
            [],
        ),
        (
            "S2B_MSIL2A_20230823T095559_N0509_R122_T34UCF_20230823T124759",
            ("L2A, 05.09", "20230823T095559_033753, R122", "CLD   20 m   20 m    5490 x 5490", "Nothing is wrong"),
            [],
        ),
    ],
)  # fmt: skip
def test_the_real_products(real_data: Path, name: str, expected: tuple[str, ...], problems: list[str]) -> None:
    found = inspect(str(real_data / "safe" / f"{name}.SAFE"), NOTHING)
    assert (found.kind, found.product.id) == ("SAFE folder", name)
    text = shown(found)
    for part in expected:
        assert part in text
    assert len(found.problems) == len(problems)
    for problem, start in zip(found.problems, problems, strict=True):
        assert problem.startswith(start)
    assert all(band.header is not None for band in found.bands)


def test_a_product_is_the_same_as_folder_archive_and_in_a_bucket(
    tmp_path: Path, s3_server: S3Access, s3_bucket: tuple[str, Any]
) -> None:
    path = safe_kit.Kit().write(tmp_path)
    archive = safe_kit.pack(path, tmp_path / "zips" / f"{path.name}.zip")
    of_folder = inspect(str(path), NOTHING)
    assert of_folder.problems == ()
    assert {band.header.bounds for band in of_folder.bands if band.header} == {(573440, 5629600, 575840, 5632000)}
    assert "(synthetic)" in shown(of_folder)
    name, filesystem = s3_bucket
    filesystem.put(str(path), f"{name}/year/{path.name}", recursive=True)
    filesystem.put(str(archive), f"{name}/zips/{archive.name}")
    credentials = Credentials(s3=s3_server)
    for place, kind in (
        (str(archive), "SAFE archive"),
        (f"s3://{name}/year/{path.name}", "SAFE folder"),
        (f"s3://{name}/zips/{archive.name}", "SAFE archive"),
    ):
        found = inspect(place, credentials)
        assert (found.kind, found.product.href) == (kind, place)
        same(found, of_folder)
        assert "the-s3-" not in found.model_dump_json() + shown(found) + repr(found)


def test_a_tile_of_the_aws_archive(tmp_path: Path) -> None:
    folder = safe_kit.write_aws(tmp_path, safe_kit.Kit(level="L1C"))
    found = inspect(str(folder), NOTHING)
    assert (found.kind, found.offset_from) == ("AWS tile", "RADIO_ADD_OFFSET of metadata.xml")
    assert [band.name for band in found.bands] == list(LEVEL_BANDS["L1C"])
    assert found.problems == ()


def test_stac_items(real_data: Path) -> None:
    folder = real_data / "flanders-2019" / "sentinel-2-l2a" / "S2_31UES_20190220T105655_L2A"
    found = inspect(str(folder / f"{folder.name}.json"), NOTHING)
    assert (found.kind, found.product.tile, found.missing) == ("STAC item", "31UES", ("B01", "B09"))
    assert found.problems == ("missing: B01, B09",)
    assert found.masks == ()
    header = next(band.header for band in found.bands if band.name == "B8A")
    assert header is not None
    assert (header.pixel, header.width, header.epsg) == (20, 32, 32631)


def test_headers_that_do_not_fit_are_said(tmp_path: Path) -> None:
    kit = safe_kit.Kit(level="L1C")
    path = kit.write(tmp_path)
    elsewhere = safe_kit.Kit(level="L1C", west=kit.west + 600)
    elsewhere.write_jp2(next(path.rglob("*_B02.jp2")), kit.raw("B02"), 10)
    other_zone = safe_kit.Kit(level="L1C", epsg=32632)
    other_zone.write_jp2(next(path.rglob("*_B03.jp2")), kit.raw("B03"), 10)
    kit.write_jp2(next(path.rglob("*_B04.jp2")), np.ones((240, 240), np.uint8), 10)
    kit.write_jp2(next(path.rglob("*_B05.jp2")), kit.raw("B01"), 20)
    next(path.rglob("*_B08.jp2")).write_bytes(b"torn")
    problems = inspect(str(path), NOTHING).problems
    for said in (
        r"B02 covers 574040 5629600 576440 5632000, the tile 573440 5629600 575840 5632000",
        r"B03 lies in EPSG:32632, the tile in EPSG:32631",
        r"B04 has numbers of type uint8, not uint16",
        r"B05 covers 573440 5631200 574240 5632000, the tile",
        r"B08 can't be opened: .*_B08.jp2",
    ):
        assert any(re.match(said, problem) for problem in problems), said
    assert len(problems) == 5


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("nowhere.SAFE", RequestError, "there is no such folder"),
        ("nowhere/a.SAFE", RequestError, "no folder .*nowhere"),
        ("empty", RequestError, "is no product: it holds nothing. Give a .SAFE folder"),
        ("archive", RequestError, r"is a folder of products, not one. Name one, e.g. .*/archive/S2A_.*\.SAFE"),
        ("archive/none.zip", ProductError, "no file .*none.zip"),
        ("archive/empty.SAFE", ProductError, "it has no granule"),
        ("catalog.json", RequestError, "is no STAC item"),
        ("none.json", RequestError, "there is no such file"),
        ("broken.json", ProductError, "is not JSON"),
        ("https://user:word@example.org/item.json", RequestError, "example.org carries a user name or a query"),
    ],
)
def test_what_is_no_product(
    place: str,
    error: type[CroplineError],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "archive" / "empty.SAFE").mkdir(parents=True)
    (tmp_path / "archive" / safe_kit.Kit().name).with_suffix(".SAFE").mkdir()
    (tmp_path / "catalog.json").write_text('{"type": "Catalog"}')
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(error, match=said) as caught:
        inspect(place, NOTHING)
    assert "word" not in str(caught.value)


def test_the_command(tmp_path: Path) -> None:
    path = safe_kit.Kit(baseline="02.11", offset=None).write(tmp_path)
    done = CliRunner().invoke(app, ["inspect", str(path), "--json"])
    assert done.exit_code == 0
    document = json.loads(done.stdout.splitlines()[-1])
    assert (document["product"]["baseline"], document["offset_from"]) == (
        "02.11",
        "MTD_MSIL2A.xml has no BOA_ADD_OFFSET",
    )
    assert {band["offset"] for band in document["bands"]} == {0}
    done = CliRunner().invoke(app, ["inspect", str(path)])
    assert done.exit_code == 0
    assert "L2A, 02.11" in done.stdout
    assert isinstance(CliRunner().invoke(app, ["inspect", str(tmp_path / "none")]).exception, RequestError)
