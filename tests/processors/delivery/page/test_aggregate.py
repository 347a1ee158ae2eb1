"""Pixels made fewer for a page: by majority or mean, as plain loops over the squares would have it."""

from __future__ import annotations

from pathlib import Path

import delivery_kit
import numpy as np
import pytest
from page_kit import majority_by_hand
from shapely.geometry import box

from processors.delivery.page.aggregate import majority, mean, squares_read


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_the_majority_is_that_of_a_loop_over_squares(factor: int) -> None:
    random = np.random.default_rng(factor)
    values = random.choice(np.array([0, 1, 2, 7, 254, 255], np.uint8), (6 * factor, 8 * factor))
    np.testing.assert_array_equal(majority(values, factor, 255), majority_by_hand(values, factor))


def test_of_equally_frequent_values_the_lowest_is_taken_and_gaps_do_not_count() -> None:
    tied = np.array([[9, 3], [3, 9]], np.uint8)
    assert majority(tied, 2, 255).tolist() == [[3]]
    assert majority(np.array([[255, 255], [255, 4]], np.uint8), 2, 255).tolist() == [[4]]
    assert majority(np.array([[0, 0], [4, 255]], np.uint8), 2, 255).tolist() == [[0]], (
        "background is a value like any other"
    )
    assert majority(np.full((2, 2), 255, np.uint8), 2, 255).tolist() == [[255]]


def test_the_mean_is_of_what_is_there() -> None:
    values = np.array([[[1, 3, np.nan, np.nan], [np.nan, 2, np.nan, np.nan]]], np.float32)
    np.testing.assert_array_equal(mean(values, 2), np.array([[[2, np.nan]]], np.float32))


def test_squares_begin_at_the_raster_s_corner_and_end_with_it(tmp_path: Path) -> None:
    area = delivery_kit.window(700, 530)
    values = np.random.default_rng(2).integers(0, 9, area.shape).astype(np.uint8)
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, area, values)
    found = np.full((512 * 2, 512 * 2), 255, np.uint8)
    for row, column, pixels in squares_read(path, box(*area.bounds), 3):
        found[row : row + 512, column : column + 512] = majority(pixels[0], 3, 255)
    expected = majority_by_hand(values, 3)
    np.testing.assert_array_equal(found[: expected.shape[0], : expected.shape[1]], expected)


def test_only_what_the_area_touches_is_read(tmp_path: Path) -> None:
    area = delivery_kit.window(1100, 600)
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, area, np.ones(area.shape, np.uint8))
    west, _, _, north = area.bounds
    assert [(row, column) for row, column, _ in squares_read(path, box(west, north - 50, west + 50, north), 1)] == [
        (0, 0)
    ]
