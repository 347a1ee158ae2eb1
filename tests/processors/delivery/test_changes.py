"""What a delivery tells of the one that it replaces, against counts made by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import delivery_kit
import numpy as np
import pytest
import rasterio
from PIL import Image

from catalog.legend import Legend, LegendClass
from catalog.season_state import SeasonState
from processors.delivery.changes import Changes, changed_variable
from processors.delivery.deliver import deliver
from processors.delivery.provenance import DeliveryFacts
from processors.rasters import Variable

AREA = delivery_kit.window(20, 10)
MAY = SeasonState.of(2019, (4, 6), datetime(2019, 6, 1, tzinfo=UTC))


def facts_of(used: int, **changed: Any) -> DeliveryFacts:
    """Facts of a map of the first so many acquisitions."""
    season = delivery_kit.season()
    kept = tuple(one.model_copy(update={"used": number < used}) for number, one in enumerate(season.acquisitions))
    return delivery_kit.facts(AREA, season=season.model_copy(update={"acquisitions": kept}), **changed)


def delivered(
    tmp_path: Path, name: str, values: np.ndarray, facts: DeliveryFacts, variable: Variable = delivery_kit.CROP_MAP
) -> list[Path]:
    folder = tmp_path / name
    folder.mkdir()
    path = delivery_kit.write_raster(folder, variable, AREA, values)
    return deliver(tmp_path / "map", {variable.name: path}, [variable], facts)


def changes_in(tmp_path: Path) -> Changes:
    return Changes.model_validate_json((tmp_path / "map" / "changes.json").read_bytes())


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Two maps of ten rows: no data, wheat x 3, maize x 3, beet x 2, not cropland; then five pixels of wheat are maize, two of maize
    beet, one of no data wheat, one of wheat no data."""
    before = delivery_kit.crop_map_values(AREA)
    after = before.copy()
    after[1, :5], after[4, :2], after[0, 0], after[2, 0] = 2, 5, 1, 255
    return before, after


def test_changed_pixels_and_hectares_are_counted_and_every_pair_is_listed(
    tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]
) -> None:
    before, after = maps
    assert "changes.json" not in {file.name for file in delivered(tmp_path, "1", before, facts_of(1, state=MAY))}
    files = {file.name: file for file in delivered(tmp_path, "2", after, facts_of(3))}
    assert {"changes.json", "changes.png", "changes.tif"} <= set(files)
    changes = changes_in(tmp_path)
    # 180 of 200 pixels said something before and 180 now, 179 in both.
    assert (changes.compared, changes.changed, changes.share) == (179, 7, 7 / 179)
    assert {(pair.before, pair.after): pair.pixels for pair in changes.moved} == {
        ("winter wheat", "maize"): 5, ("maize", "sugar beet"): 2, ("no data", "winter wheat"): 1, ("winter wheat", "no data"): 1,
    }  # fmt: skip
    assert {(pair.before, pair.after): pair.pixels for pair in changes.matrix}["sugar beet", "sugar beet"] == 40
    assert {row.name: (row.before, row.after, row.difference) for row in changes.hectares} == {
        "not cropland": (0.2, 0.2, 0.0), "winter wheat": (0.6, 0.55, -0.05), "maize": (0.6, 0.63, 0.03),
        "sugar beet": (0.4, 0.42, 0.02),
    }  # fmt: skip
    assert (changes.before.status, changes.before.acquisitions) == ("preliminary", 1)
    with rasterio.open(files["changes.tif"]) as raster:
        shown = raster.read(1)
    expected = np.full(AREA.shape, 255, np.uint8)
    expected[1, :5], expected[4, :2] = 2, 5
    np.testing.assert_array_equal(shown, expected)
    with Image.open(files["changes.png"]) as picture:
        assert picture.width > 900
    report = files["report.html"].read_text(encoding="utf-8")
    assert "<strong>7</strong> of 179 pixels with a class in both maps changed class: 3.9 %" in report
    item = json.loads(files["item.json"].read_text())
    assert item["properties"]["cropline:status"] == "final"
    assert item["properties"]["cropline:changes"]["changed"] == 7
    assert {"changes", "crop_map"} <= set(item["assets"])


def test_a_delivery_made_again_from_the_same_keeps_its_comparison(
    tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]
) -> None:
    """As after a kill between the swap and the run's own record: the next run makes the same once more."""
    before, after = maps
    delivered(tmp_path, "1", before, facts_of(1))
    files = {file.name: file for file in delivered(tmp_path, "2", after, facts_of(3))}
    told = [files[name].read_bytes() for name in ("changes.json", "changes.tif")]
    again = {file.name: file for file in delivered(tmp_path, "3", after, facts_of(3))}
    assert [again[name].read_bytes() for name in ("changes.json", "changes.tif")] == told
    assert again["changes.png"].is_file()


def test_the_same_map_of_more_acquisitions_changed_nothing(tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]) -> None:
    before, _ = maps
    delivered(tmp_path, "1", before, facts_of(1))
    delivered(tmp_path, "2", before, facts_of(3))
    changes = changes_in(tmp_path)
    assert (changes.compared, changes.changed, changes.share, changes.moved) == (180, 0, 0.0, ())


def test_other_pixels_from_the_same_acquisitions_are_compared(
    tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]
) -> None:
    """A crop mask may have become another one."""
    before, after = maps
    delivered(tmp_path, "1", before, facts_of(3))
    delivered(tmp_path, "2", after, facts_of(3))
    assert changes_in(tmp_path).changed == 7


def test_classes_are_the_same_by_name_whatever_their_values(tmp_path: Path) -> None:
    renumbered = Legend(
        entries=(
            LegendClass(value=3, name="winter wheat", colour="#e2b93b"),
            LegendClass(value=4, name="rye", colour="#d1495b"),
        )
    )
    other = delivery_kit.CROP_MAP.model_copy(update={"legend": renumbered})
    delivered(tmp_path, "1", np.full(AREA.shape, 1, np.uint8), facts_of(1))
    after = np.full(AREA.shape, 3, np.uint8)
    after[0] = 4
    delivered(tmp_path, "2", after, facts_of(2), other)
    assert {(pair.before, pair.after): pair.pixels for pair in changes_in(tmp_path).matrix} == {
        ("winter wheat", "winter wheat"): 180, ("winter wheat", "rye"): 20,
    }  # fmt: skip


def test_bands_without_classes_are_compared_by_their_means(tmp_path: Path) -> None:
    months = delivery_kit.NDVI.model_copy(update={"bands": ("2019-04", "2019-05")})
    before = np.stack([np.full(AREA.shape, 0.2, np.float32), np.full(AREA.shape, 0.5, np.float32)])
    after = np.stack([np.where(np.arange(20) < 10, 0.1, 0.5) + np.zeros(AREA.shape), before[1], before[1]]).astype("f4")
    after[1, 0] = np.nan
    delivered(tmp_path, "1", before, facts_of(1), months)
    files = delivered(tmp_path, "2", after, facts_of(2), delivery_kit.NDVI)
    april, may, june = changes_in(tmp_path).bands
    assert (april.pixels, april.before, april.after) == (200, pytest.approx(0.2), pytest.approx(0.3))
    assert (april.difference, april.absolute) == (pytest.approx(0.1), pytest.approx(0.2))
    assert (may.pixels, may.difference) == (180, pytest.approx(0))
    assert (june.pixels, june.before, june.after) == (200, None, pytest.approx(0.5)), "a month that is new"
    assert "changes.tif" not in {file.name for file in files}
    assert "mean absolute difference" in (tmp_path / "map" / "report.html").read_text()


def test_what_cannot_be_compared_is_told_and_the_map_is_delivered(
    tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]
) -> None:
    before, after = maps
    delivered(tmp_path, "1", before, facts_of(1))
    (tmp_path / "map" / "crop_map.tif").write_bytes(b"no raster")
    files = delivered(tmp_path, "2", after, facts_of(3))
    assert "crop_map.tif of the delivery before can't be read" in changes_in(tmp_path).not_comparable
    assert "changes.tif" not in {file.name for file in files}
    assert (
        "can&#39;t be compared" in (tmp_path / "map" / "report.html").read_text()
        or "can't be compared" in (tmp_path / "map" / "report.html").read_text()
    )


def test_the_delivery_of_another_request_is_nothing_to_compare_with(
    tmp_path: Path, maps: tuple[np.ndarray, np.ndarray]
) -> None:
    before, after = maps
    delivered(tmp_path, "1", before, facts_of(1, request_digest="ba9876543210"))
    raster = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, AREA, after)
    files = deliver(tmp_path / "map", {"crop_map": raster}, [delivery_kit.CROP_MAP], facts_of(3), replace=True)
    assert "changes.json" not in {file.name for file in files}


def test_the_raster_of_changes_is_named_for_itself() -> None:
    assert changed_variable(delivery_kit.CROP_MAP).name == "changes"
