"""Sizes of samples: the example of the paper, and that strata get what they need and no more than they have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.evaluation.allocation import allocate, reached, sample_size

SIZES = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_the_example_of_olofsson_2014() -> None:
    """Section 5.1.1: user's accuracies of .70, .60, .90 and .95 and a standard error of .01 take 641 units."""
    assert sample_size(SIZES, np.array([0.7, 0.6, 0.9, 0.95]), 0.01) == 641


def test_the_standard_error_that_a_sample_leads_to_is_that_of_the_paper() -> None:
    """Of the sample that the paper drew, with the user's accuracies that it found: 0.0094."""
    users = np.array([66 / 75, 55 / 75, 153 / 165, 313 / 325])
    assert reached(SIZES, np.array([74, 74, 164, 324]), users) == pytest.approx(0.00943, abs=1e-5)


def test_a_small_area_takes_less_than_its_pixels() -> None:
    assert sample_size(np.array([50, 50]), np.array([0.5, 0.5]), 0.001) <= 100


def test_rare_classes_get_the_minimum_and_the_rest_is_shared_by_size() -> None:
    counts = allocate(SIZES, 641, 75)
    assert counts.tolist() == [75, 75, 163, 328]
    assert allocate(np.array([12, 30, 1000]), 100, 50).tolist() == [12, 30, 58]
    assert allocate(np.array([5, 5]), 100, 50).tolist() == [5, 5]
    with pytest.raises(ValueError, match="100 units are the least"):
        allocate(np.array([1000, 1000]), 60, 50)


@given(
    st.lists(st.integers(1, 100_000), min_size=1, max_size=12).map(np.array), st.integers(1, 5000), st.integers(1, 100)
)
def test_counts_are_what_was_asked_for(sizes: np.ndarray, total: int, minimum: int) -> None:
    total = max(total, int(np.minimum(sizes, minimum).sum()))
    counts = allocate(sizes, total, minimum)
    assert counts.sum() == min(total, sizes.sum())
    assert (counts <= sizes).all()
    assert (counts >= np.minimum(sizes, minimum)).all()
