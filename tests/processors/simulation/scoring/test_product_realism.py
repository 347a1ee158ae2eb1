"""Simulated products beside real ones: what is counted, worked out by hand, and a square simulated from end to end."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.grid import Window
from catalog.products import CROP_BANDS
from processors.simulation.scoring.land_realism import Series
from processors.simulation.scoring.product_realism import (
    described,
    distributions,
    draw,
    overpasses_on,
    simulate,
    square_around,
    summary,
    usual_mask,
    write_record,
)

SQUARE = Window(32631, 57_450, 562_206, 120, 120)
DAYS = (date(2019, 4, 1), date(2019, 4, 21))


def series(red: float, infrared: float, count: int = 25) -> Series:
    """Pixels of winter wheat, all alike, on two days; nothing is clear on the second."""
    values = np.full((2, len(CROP_BANDS), count), 0.1, np.float32)
    values[:, CROP_BANDS.index("B04")] = red
    values[:, CROP_BANDS.index("B08")] = infrared
    values[1] = 9
    clear = np.array([[True], [False]]).repeat(count, axis=1)
    return Series(DAYS, values, clear, np.zeros(count, np.int64), np.zeros(count, np.int64))


def test_distances_are_how_far_values_have_to_be_moved() -> None:
    (row,) = distributions(series(0.1, 0.3), series(0.1, 0.4))
    assert (row["crop"], row["month"], row["real_pixels"]) == ("winter wheat", 4, 25)
    assert row["B08"]["distance"] == pytest.approx(0.1)
    assert row["B04"]["distance"] == 0
    # NDVI of 0.5 and 0.6; one band of ten differs by 0.1.
    assert row["NDVI"]["distance"] == pytest.approx(0.1)
    assert row["NDVI"]["real"] == pytest.approx([0.5, 0, 0.5, 0.5, 0.5], abs=1e-4)
    assert row["distance_of_bands"] == pytest.approx(0.01)
    told = summary([row])
    assert told["by_band"]["B08"] == pytest.approx(0.1)
    assert told["differs_most"][0]["worst_band"] == "B08"


def test_few_pixels_are_no_distribution() -> None:
    assert distributions(series(0.1, 0.3), series(0.1, 0.3, count=19)) == []


def test_numbers_that_describe_are_those_of_numpy_by_hand() -> None:
    # 0 to 20: mean 10, variance (21² - 1) / 12.
    assert described(np.arange(21, dtype=np.float32)) == pytest.approx([10, 6.0553, 1, 10, 19], abs=1e-4)


def test_the_mask_is_the_one_that_maps_are_made_with() -> None:
    scl = np.full((20, 20), 4, np.uint8)
    scl[10, 10] = 9
    clear = usual_mask(scl)
    assert not clear[10, 4:17].any()  # 60 m each way
    assert clear[10, [3, 17]].all()


def test_real_days_are_flown_and_others_are_not() -> None:
    real = (date(2019, 2, 20), date(2019, 4, 1))
    assert [one.sensed.date() for one in overpasses_on(real, SQUARE)] == list(real)
    with pytest.raises(LookupError, match="2019-04-02"):
        overpasses_on((date(2019, 4, 1), date(2019, 4, 2)), SQUARE)


def test_simulated_products_are_those_of_the_cube_and_are_drawn(tmp_path: Path) -> None:
    days = (date(2019, 4, 1), date(2019, 5, 21))
    made = simulate(days, SQUARE, seeds=(1,))
    assert made.values.shape == (2, 10, len(made.label))
    assert made.clear.shape == (2, len(made.label))
    # Whole numbers of 1e-4 reflectance, at least one of them.
    numbers = made.values * 1e4
    assert np.abs(numbers - np.rint(numbers)).max() < 0.01
    assert numbers.min() >= 1 - 1e-3
    again = simulate(days, SQUARE, seeds=(1,))
    assert np.array_equal(made.values, again.values)
    draw(tmp_path / "figure.png", made, again)
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.info["Synthetic"] == "yes"


def test_the_record_is_read_back(tmp_path: Path) -> None:
    rows = distributions(series(0.1, 0.3), series(0.1, 0.4))
    record = {"caveat": "SYNTHETIC", "distributions": rows}
    write_record(tmp_path / "record.json", record)
    assert json.loads((tmp_path / "record.json").read_text()) == record


def test_the_square_lies_around_the_real_one(real_data: Path) -> None:
    window = square_around(real_data / "flanders-2019" / "labels" / "crop_type.tif")
    # The real square: 574680 to 575320 m east, 5621800 to 5622440 m north.
    assert abs((window.bounds[0] + window.bounds[2]) / 2 - 575_000) <= 30
    assert abs((window.bounds[1] + window.bounds[3]) / 2 - 5_622_120) <= 30
    assert all(value % 6 == 0 for value in (window.left, window.top, window.width, window.height))
