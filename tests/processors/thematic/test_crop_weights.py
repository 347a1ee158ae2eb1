"""What a map may name: weights of classes, and probabilities under them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import RequestError
from catalog.legend import Legend, LegendClass
from processors.thematic.crop_weights import weighted, weights_of

LEGEND = Legend(
    entries=(
        LegendClass(value=0, name="background", colour="#000000", role="background"),
        LegendClass(value=1, name="Winter wheat", colour="#111111", hcat="3301010101"),
        LegendClass(value=2, name="Spring barley", colour="#222222", hcat="3301010402"),
        LegendClass(value=3, name="Meadow", colour="#333333", hcat="3302000000"),
    )
)


def test_crops_are_named_by_name_or_taxonomy() -> None:
    assert weights_of(LEGEND, {}) is None
    assert weights_of(LEGEND, {"winter  WHEAT": 1, "Meadow": 0.5}).tolist() == [1, 1, 0, 0.5]  # type: ignore[union-attr]
    assert weights_of(LEGEND, {"3301000000": 2}).tolist() == [1, 2, 2, 0], "all cereals"  # type: ignore[union-attr]
    assert weights_of(LEGEND, {"3301010402": 1, "background": 0.1}).tolist() == pytest.approx([0.1, 0, 1, 0])  # type: ignore[union-attr]
    other = Legend(entries=(*LEGEND.entries, LegendClass(value=4, name="Rice", colour="#444444", hcat="3315000000")))
    with pytest.raises(RequestError, match="names no '3310000000'"):  # a level is two digits
        weights_of(other, {"3310000000": 1})
    for strange in ("maize", "33", "3399000000", "0000000000"):
        with pytest.raises(
            RequestError, match=r"crops: the model names no .*It has background, Winter wheat \(3301010101\)"
        ):
            weights_of(LEGEND, {strange: 1})


def test_a_place_of_the_talk_of_bayes() -> None:
    """A test that is right in 90 % of cases, for what stands ten times more often elsewhere (Bayes' rule, worked by hand)."""
    probabilities = np.array([0.9, 0.1], np.float32).reshape(2, 1, 1)
    np.testing.assert_allclose(
        weighted(probabilities, np.array([0.1, 1], np.float32)).ravel(), [9 / 19, 10 / 19], rtol=1e-6
    )


def test_unknown_pixels_stay_and_nothing_left_is_the_weights() -> None:
    probabilities = np.array([[0.0, 1.0], [1.0, 0.0], [np.nan] * 2], np.float32).T[:, None]
    made = weighted(probabilities, np.array([0.0, 2.0], np.float32))
    np.testing.assert_array_equal(made[:, 0, :2], [[0, 0], [1, 1]])
    assert np.isnan(made[:, 0, 2]).all()
    only = weighted(np.array([1.0, 0, 0], np.float32).reshape(3, 1, 1), np.array([0, 1, 3], np.float32))
    np.testing.assert_allclose(only.ravel(), [0, 0.25, 0.75])


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), st.lists(st.floats(0.01, 100), min_size=3, max_size=3))
def test_probabilities_sum_to_one_and_equal_weights_change_nothing(shares: list[float], weights: list[float]) -> None:
    probabilities = (np.array(shares) / sum(shares)).astype(np.float32).reshape(3, 1, 1)
    made = weighted(probabilities, np.array(weights, np.float32))
    assert made.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(weighted(probabilities, np.full(3, 7, np.float32)), probabilities, rtol=1e-5)
