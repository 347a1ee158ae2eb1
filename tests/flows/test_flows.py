"""What the flows add to the stages: artifacts, subscriptions, retraining's command line."""

from __future__ import annotations

import base64
import io
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.grid import Window
from catalog.promotions import Compared, Decision, Figure, decided
from catalog.scores import ClassScore, Score
from flows.reporting.artifacts import (
    PICTURE_BYTES,
    acquisition_rows,
    decision_rows,
    picture_address,
    score_rows,
    summary,
)
from flows.reporting.delivery import AcquisitionShown, Delivery, read_delivered
from flows.run_folder import RunFolder
from flows.training import patch_size, training_command
from flows.web_folder import web_folder
from processors.delivery.areas import read_areas


def _delivery(folder: Path) -> Delivery:
    return Delivery(
        delivery=str(folder),
        files=(str(folder / "crop_map.tif"), str(folder / "overview.png")),
        scores=(Score(split="hold-out", oa=0.5, miou=0.25, dice=0.4, n_pixels=10),),
        acquisitions=(),
        seconds={"order": 0.1},
        notes=("Not masked to cropland.",),
        synthetic=True,
    )


def test_large_picture_is_made_small_enough(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), dtype=np.uint8)  # nothing compresses worse
    Image.fromarray(noise).save(tmp_path / "overview.png")
    address = picture_address(tmp_path / "overview.png")
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert len(data) <= PICTURE_BYTES
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.width / picture.height == pytest.approx(2000 / 1500, rel=0.02)


def test_acquisition_row_says_unknown_where_the_source_does() -> None:
    time = datetime(2019, 3, 1, 10, 50, tzinfo=UTC)
    shown = AcquisitionShown(
        id="a",
        time=time,
        cloud_cover=None,
        valid_fraction=1,
        clear_fraction=0.456,
        low_sun=True,
        used=False,
        reason="too cloudy",
    )
    assert acquisition_rows([shown]) == [
        {
            "date": "2019-03-01 10:50",
            "cloud (tile, %)": "unknown",
            "valid": "1.00",
            "clear": "0.46",
            "low sun": "yes",
            "used": "no",
            "reason": "too cloudy",
        }
    ]


def test_hectares_are_read_with_their_heading(tmp_path: Path) -> None:
    file = tmp_path / "areas.csv"
    file.write_text("# counts pixels\nvalue,name,hectares\n1,maize,2.5\n")
    assert read_areas(file) == (["counts pixels"], [{"value": "1", "name": "maize", "hectares": "2.5"}])


def test_summary_links_files_and_never_hides_what_it_is(tmp_path: Path) -> None:
    text = summary(_delivery(tmp_path), "Contains modified Copernicus Sentinel data 2019")
    assert text.startswith("**Synthetic data.**\n\n**Not masked to cropland.**")
    assert f"Folder: {tmp_path}" in text.replace("\\", "")
    assert "- crop_map.tif" in text.replace("\\", "")
    assert "](" not in text, "browsers follow no link from a server's page to a file"
    assert "| hold-out | 0.500 | 0.250 | 0.400 | 10 |" in text
    assert text.endswith("Contains modified Copernicus Sentinel data 2019")


def test_files_that_are_reachable_by_web_are_linked_and_the_report_first(tmp_path: Path) -> None:
    delivery = _delivery(tmp_path / "maps" / "a b")
    delivery = delivery.model_copy(update={"files": (*delivery.files, str(tmp_path / "maps" / "a b" / "report.html"))})
    web = web_folder(f"{tmp_path}/maps=https://maps.example.org/cropline/")
    text = summary(delivery, "Notice", web)
    assert "each place](https://maps.example.org/cropline/a%20b/report.html)**" in text
    assert "[overview.png](https://maps.example.org/cropline/a%20b/overview.png)" in text.replace("\\", "")
    elsewhere = web_folder(f"{tmp_path}/other=https://maps.example.org")
    assert "](" not in summary(delivery, "Notice", elsewhere)


def test_scores_are_shown_by_class() -> None:
    score = Score(
        split="hold-out", oa=0.5, miou=0.25, dice=0.4, n_pixels=10,
        per_class=(ClassScore(name="wheat", iou=0.25, dice=0.4, n_pixels=10),),
    )  # fmt: skip
    assert score_rows([score]) == [
        {"split": "hold-out", "class": "all", "OA": "0.500", "IoU": "0.250", "Dice": "0.400", "pixels": "10"},
        {"split": "hold-out", "class": "wheat", "OA": "", "IoU": "0.250", "Dice": "0.400", "pixels": "10"},
    ]


def test_a_decision_is_shown_with_both_figures() -> None:
    miou = Figure(candidate=0.6, in_use=0.5, difference=0.1, low=0.02, high=0.18)
    oa = Figure(candidate=0.7, in_use=0.7, difference=0.0)
    compared = Compared(miou=miou, oa=oa, fields={"wheat": 20, "maize": 9}, resamples=2000, seed=0)
    rows = decision_rows(decided("new", Decision.BETTER, "", "old", "hold-out", compared))
    assert [tuple(row.values()) for row in rows] == [
        ("new", "0.600", "0.700", "better"),
        ("old", "0.500", "0.700", "was in use"),
        ("difference on 29 fields", "+0.100 (+0.020 to +0.180)", "+0.000", ""),
    ]
    assert [row["decision"] for row in decision_rows(decided("new", Decision.FIRST, ""))] == ["first"]


def test_run_without_delivery_remembers_nothing(tmp_path: Path) -> None:
    assert read_delivered(RunFolder(tmp_path)) is None
    (tmp_path / "delivered.json").write_text("{}")
    assert read_delivered(RunFolder(tmp_path)) is None


def test_one_process_trains_plainly_and_several_through_torchrun(tmp_path: Path) -> None:
    one = training_command(tmp_path / "p", tmp_path / "c", "quick", 1)
    assert one[:4] == [sys.executable, "-m", "agrunet", "train"]
    three = training_command(tmp_path / "p", tmp_path / "c", "quick", 3)
    assert three[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    assert three[-len(one) + 1 :] == one[1:]


@pytest.mark.parametrize(("edge", "size"), [(20, 32), (64, 64), (65, 96), (128, 128), (2000, 128)])
def test_small_areas_are_trained_on_smaller_patches(edge: int, size: int) -> None:
    assert patch_size(Window(32631, 0, 5000, edge, 10)) == size
