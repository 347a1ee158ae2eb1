"""Segments and outlines: what is grouped, that outlines hold their pixels, and that neighbours keep sharing edges."""

from __future__ import annotations

from pathlib import Path

import delivery_kit
import numpy as np
import numpy.typing as npt
import pytest
import shapely
import views_kit
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from catalog.grid import Window, burnt
from processors.views import outlines, segments
from processors.views.outlines import outline, rough_outlines, simplified
from processors.views.segments import LEAST_PIXELS, MapBlocks, Segments, find_segments

VALUES = (1, 2, 5)


def found(folder: Path, values: npt.NDArray[np.uint8], block: int = 512, least: int = LEAST_PIXELS) -> Segments:
    """Segments of a map, read in blocks of that edge."""
    window = Window(32631, 56_000, 562_000, values.shape[1], values.shape[0])
    path = delivery_kit.write_raster(folder, delivery_kit.CROP_MAP, window, values)
    return find_segments(MapBlocks(path, window, tuple(window.blocks(block))), VALUES, folder / "numbers.tif", least)


def expected(
    values: npt.NDArray[np.uint8], least: int
) -> tuple[npt.NDArray[np.int32], list[tuple[int, int]], dict[int, int]]:
    """Numbers, (value, pixels) by number, and pixels of what is smaller: by one pass over the whole map."""
    numbers = np.zeros(values.shape, np.int32)
    about, below = [], {}
    for value in VALUES:
        labels, count = ndimage.label(values == value)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        small = int(sizes[1:][sizes[1:] < least].sum())
        if small:
            below[value] = small
        for label in range(1, count + 1):  # scipy counts row by row, as parcels are
            if sizes[label] >= least:
                about.append((value, int(sizes[label])))
                numbers[labels == label] = len(about)
    return numbers, about, below


def maps(seed: int, kind: str) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    shape = (int(random.integers(20, 90)), int(random.integers(20, 90)))
    if kind == "noise":
        return random.choice(np.array([0, 1, 2, 255], np.uint8), shape, p=(0.1, 0.6, 0.25, 0.05))
    values = views_kit.fields(shape, int(random.integers(2, 25)), seed, (0, 1, 2, 5, 255))
    noise = random.random(shape) < (0.03 if kind == "speckled fields" else 0)
    values[noise] = random.choice(VALUES, int(noise.sum()))
    return values


kinds = st.sampled_from(["fields", "speckled fields", "noise"])


@given(st.integers(0, 10_000), kinds, st.integers(7, 40), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_pixels_are_grouped_across_the_borders_of_blocks(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str, block: int, least: int
) -> None:
    values = maps(seed, kind)
    segments_found = found(tmp_path_factory.mktemp("map"), values, block, least)
    numbers, about, below = expected(values, least)
    np.testing.assert_array_equal(segments_found.numbers.read(segments_found.numbers.window), numbers)
    assert list(zip(segments_found.value.tolist(), segments_found.pixels.tolist(), strict=True)) == about
    assert segments_found.below == below


@given(st.integers(0, 10_000), kinds, st.integers(7, 40))
@settings(max_examples=15, deadline=None)
def test_outlines_hold_their_pixels_share_edges_and_are_valid(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str, block: int
) -> None:
    of_map = found(tmp_path_factory.mktemp("map"), maps(seed, kind), block)
    numbers = of_map.numbers.read(of_map.numbers.window)
    rough = rough_outlines(of_map.numbers, len(of_map.value))
    assert len(rough) == len(of_map.value)
    again = burnt(zip(rough, range(1, len(rough) + 1), strict=True), of_map.numbers.window)
    np.testing.assert_array_equal(again, numbers)
    smooth = outline(of_map)
    again = burnt(zip(smooth, range(1, len(smooth) + 1), strict=True), of_map.numbers.window)
    there = numbers > 0
    assert (again == numbers)[there].sum() >= 0.98 * there.sum()
    for number, pixels in enumerate(of_map.pixels.tolist(), start=1):
        assert ((again == number) & (numbers == number)).sum() >= 0.98 * pixels
    for value in VALUES:
        own = np.append(False, of_map.value == value)
        assert abs(int(own[again].sum()) - int(own[numbers].sum())) <= 0.01 * own[numbers].sum()
    for polygons in (rough, smooth):
        assert shapely.is_valid(polygons).all()
        assert shapely.coverage_is_valid(polygons)


def test_parcels_are_numbered_by_value_then_from_north_to_south_and_west_to_east(tmp_path: Path) -> None:
    values = np.zeros((60, 60), np.uint8)
    values[30:40, 0:10], values[5:15, 20:30], values[5:15, 0:10], values[45:55, 5:15] = 1, 1, 1, 2
    values[45:55, 20:30] = 5
    of_map = found(tmp_path, values, 16)
    numbers = of_map.numbers.read(of_map.numbers.window)
    assert (numbers[5, 0], numbers[5, 20], numbers[30, 0], numbers[45, 5], numbers[45, 20]) == (1, 2, 3, 4, 5)
    assert of_map.value.tolist() == [1, 1, 1, 2, 5]


def test_a_slanting_edge_is_a_straight_line(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:60, :60]
    of_map = found(tmp_path, np.where(rows + columns < 60, 1, 2).astype(np.uint8))
    for polygon in outline(of_map):
        assert shapely.get_num_coordinates(polygon) <= 9, polygon.wkt


def test_a_field_that_touches_itself_at_a_corner_has_one_valid_outline(tmp_path: Path) -> None:
    values = np.ones((20, 20), np.uint8)
    values[5:10, 5:10] = values[10:15, 10:15] = 2
    values[0, 0] = 0
    (polygon, *_) = outline(found(tmp_path, values, 8, 20))
    assert polygon.is_valid
    assert len(polygon.interiors) == 2


def test_small_segments_of_a_speckled_map_are_no_parcels(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:400, :400]
    values = np.choose((rows // 2 + columns // 3) % 3, VALUES).astype(np.uint8)
    of_map = found(tmp_path, values)
    assert len(of_map.value) == 0
    assert len(outline(of_map)) == 0
    assert sum(of_map.below.values()) == values.size


@pytest.mark.parametrize("tolerance", [40.0, 60.0, 200.0])
def test_where_smoothing_would_lose_pixels_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tolerance: float
) -> None:
    of_map = found(tmp_path, maps(3, "speckled fields"))
    numbers = of_map.numbers.read(of_map.numbers.window)
    monkeypatch.setattr(outlines, "TOLERANCE", tolerance)
    careless = simplified(rough_outlines(of_map.numbers, len(of_map.value)))

    def least(polygons: npt.NDArray[np.object_]) -> float:
        again = burnt(zip(polygons, range(1, len(polygons) + 1), strict=True), of_map.numbers.window)
        return float((np.bincount(numbers[again == numbers], minlength=len(polygons) + 1)[1:] / of_map.pixels).min())

    smooth = outline(of_map)
    assert least(careless) < 0.98, "what it is for"
    assert least(smooth) >= 0.98
    assert shapely.coverage_is_valid(smooth)


def test_a_map_of_no_class_has_no_segment(tmp_path: Path) -> None:
    of_map = found(tmp_path, np.full((30, 30), 255, np.uint8))
    assert (len(of_map.value), of_map.below) == (0, {})
    assert segments.LEAST_PIXELS == 50
