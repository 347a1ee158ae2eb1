"""Raw numbers to the cube's: the fast way for 16 bits against the formula, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catalog.products import Asset
from processors.ingest.cube_numbers import reflectance_numbers, repeat_into, write_reflectance

NUMBERS = st.one_of(st.sampled_from([0, 1, 999, 1000, 1001, 65534, 65535]), st.integers(0, 65535))


def by_formula(raw: int, nodata: float | None, offset: int) -> int:
    if raw == nodata:
        return 0
    return 65535 if raw == 65535 else min(65534, max(1, raw + offset))


@given(
    arrays(np.uint16, (3, 5), elements=NUMBERS),
    st.sampled_from([0, 0.0, 65535, 7, None, -1, 0.5, float("nan"), 70000]),
    st.one_of(st.sampled_from([0, -1000, 1000]), st.integers(-10_000, 10_000)),
)
def test_sixteen_bits_are_what_the_formula_says(raw: np.ndarray, nodata: float | None, offset: int) -> None:
    asset = Asset(href="x", nodata=nodata, offset=offset)
    out = np.full(raw.shape, 42, np.uint16)
    write_reflectance(raw, asset, out)
    expected = [[by_formula(int(number), nodata, offset) for number in row] for row in raw]
    np.testing.assert_array_equal(out, expected)
    values, valid = reflectance_numbers(raw, asset)
    np.testing.assert_array_equal(np.where(valid, values, 0), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
def test_other_types_are_rounded_and_clipped(dtype: type) -> None:
    raw = np.array([[0, 1, 100]], dtype)
    out = np.empty(raw.shape, np.uint16)
    write_reflectance(raw, Asset(href="x", offset=-50), out)
    assert out.tolist() == [[0, 1, 50]]


def test_not_a_number_is_no_data() -> None:
    out = np.empty((1, 3), np.uint16)
    write_reflectance(np.array([[np.nan, 12.5, 13.5]], np.float32), Asset(href="x", nodata=None), out)
    assert out.tolist() == [[0, 12, 14]]  # to the even neighbour


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5), st.data())
def test_pixels_are_repeated_from_any_start(
    step: int, height: int, width: int, first_row: int, first_column: int, data: st.DataObject
) -> None:
    values = np.arange(1, height * width + 1, dtype=np.uint16).reshape(height, width)
    first_row, first_column = first_row % (height * step), first_column % (width * step)
    rows = data.draw(st.integers(1, height * step - first_row))
    columns = data.draw(st.integers(1, width * step - first_column))
    out = np.zeros((rows, columns), np.uint16)
    repeat_into(values, step, first_row, first_column, out)
    expected = [
        [values[(first_row + row) // step, (first_column + column) // step] for column in range(columns)]
        for row in range(rows)
    ]
    np.testing.assert_array_equal(out, expected)
