"""Blending: patches give back what they were cut from, and disagree gently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.grid import Window
from processors.mosaic import blend, ramp
from processors.patches.cube_patches import PatchGrid, cover
from processors.thematic.protocol import Fields

NAN = np.nan


def patch(left: int, *columns: float, top: int = 4) -> tuple[Window, Fields]:
    """A patch of 4 x 4 pixels of one field, whose four columns hold these values."""
    return Window(32631, left, top, 4, 4), np.tile(np.array(columns, np.float32), (1, 4, 1))


def test_the_weight_rises_over_the_overlap() -> None:
    assert ramp(6, 2).tolist() == [0.25, 0.75, 1.0, 1.0, 0.75, 0.25]
    assert ramp(3, 0).tolist() == [1.0, 1.0, 1.0]


@given(size=st.integers(1, 40), data=st.data())
def test_no_pixel_of_a_patch_is_without_weight(size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    assert (ramp(size, overlap) > 0).all()
    if overlap and 2 * overlap <= size:
        shared = ramp(size, overlap)[-overlap:] + ramp(size, overlap)[:overlap]
        np.testing.assert_allclose(shared, 1.0, rtol=1e-6)


def test_disagreeing_neighbours_pass_into_each_other() -> None:
    blended = blend(Window(32631, 0, 4, 6, 4), [patch(0, 10, 10, 10, 10), patch(2, 20, 20, 20, 20)], 1, overlap=2)
    # weights in the shared columns: 0.75 and 0.25 of the left patch, 0.25 and 0.75 of the right one
    np.testing.assert_allclose(blended[0], np.tile([10, 10, 12.5, 17.5, 20, 20], (4, 1)), rtol=1e-6)


def test_a_patch_that_says_nothing_has_no_weight() -> None:
    patches = [patch(0, 10, NAN, NAN, 10), patch(2, 20, NAN, 20, 20)]
    blended = blend(Window(32631, 0, 4, 6, 4), patches, 1, overlap=2)
    np.testing.assert_allclose(blended[0], np.tile([10, NAN, 20, 10, 20, 20], (4, 1)), rtol=1e-6)


def test_fields_are_blended_each_for_itself() -> None:
    window, values = patch(0, 1, 1, 1, 1)
    both = np.concatenate([values, np.full_like(values, NAN)])
    blended = blend(window, [(window, both)], 2, overlap=2)
    assert (blended[0] == 1).all()
    assert np.isnan(blended[1]).all()


def test_where_no_patch_is_nothing_is_said() -> None:
    blended = blend(Window(32631, 0, 4, 6, 4), [patch(0, 1, 1, 1, 1), patch(100, 1, 1, 1, 1)], 1, overlap=0)
    assert np.isnan(blended[0, :, 4:]).all()
    assert not np.isnan(blended[0, :, :4]).any()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 45),
    width=st.integers(1, 45),
    size=st.integers(2, 17),
    block=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_the_patches_of_any_array_give_it_back(
    height: int, width: int, size: int, block: int, seed: int, data: st.DataObject
) -> None:
    grid = PatchGrid(size, data.draw(st.integers(0, size - 1)))
    shift = data.draw(st.tuples(*[st.integers(0, size - grid.overlap - 1)] * 2))
    area = Window(32631, 56_000, 562_000, width, height)
    rng = np.random.default_rng(seed)
    # Steps of 1/1024, so that rounding can't make a tie of two classes.
    array = (rng.integers(0, 1024, (3, height, width)) / 1024).astype(np.float32)
    array[:, rng.random((height, width)) < 0.1] = NAN
    patches = [(window, cut(array, area, window)) for window in cover(area, grid, shift)]

    for part in area.blocks(block):
        rows, columns = area.slices(part)
        expected = array[:, rows, columns]
        blended = blend(part, patches, 3, grid.overlap)
        np.testing.assert_allclose(blended, expected, rtol=1e-6, atol=1e-6)
        known = ~np.isnan(expected[0])
        assert (blended[:, known].argmax(axis=0) == expected[:, known].argmax(axis=0)).all()


def cut(array: Fields, area: Window, window: Window) -> Fields:
    """What a patch sees of an array of the area; noise where it reaches out."""
    seen = np.full((array.shape[0], *window.shape), 9.0, np.float32)
    common = window.intersection(area)
    assert common is not None
    rows, columns = window.slices(common)
    area_rows, area_columns = area.slices(common)
    seen[:, rows, columns] = array[:, area_rows, area_columns]
    return seen


def test_windows_of_another_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="different zones"):
        blend(Window(32632, 0, 4, 4, 4), [patch(0, 1, 1, 1, 1)], 1, overlap=2)
