"""The estimators against what was not written here: the examples of both papers, scikit-learn, and maps whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics

from processors.evaluation.estimators import Estimate, confusion, stratified, unmeasured, unweighted

MATRIX = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
"""Olofsson et al. (2014), table 8: deforestation, forest gain, stable forest, stable non-forest."""
SIZES = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARE = 0.09
"""Of a pixel of 30 m."""


def units_of(matrix: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Map and reference class of every unit that a matrix counts."""
    rows, columns = (index.ravel() for index in np.indices(matrix.shape))
    return np.repeat(rows, matrix.ravel()), np.repeat(columns, matrix.ravel())


def width(estimate: Estimate | None) -> float:
    """Half of the 95 % interval."""
    assert estimate is not None
    assert estimate.standard_error is not None
    return 1.96 * estimate.standard_error


def test_the_example_of_olofsson_2014() -> None:
    mapped, reference = units_of(MATRIX)
    found = stratified(mapped, mapped, reference, SIZES, 4)
    assert found.overall.value == pytest.approx(0.947, abs=5e-4)
    assert width(found.overall) == pytest.approx(0.02, abs=5e-3)
    hectares = [entry.share.value * SIZES.sum() * HECTARE for entry in found.classes if entry.share]
    intervals = [width(entry.share) * SIZES.sum() * HECTARE for entry in found.classes]
    assert [round(area) for area in hectares] == [21_158, 11_686, 285_770, 581_386]
    assert [round(half) for half in intervals] == [6_158, 3_756, 15_510, 16_282]
    users = [(entry.users.value, width(entry.users)) for entry in found.classes if entry.users]
    producers = [(entry.producers.value, width(entry.producers)) for entry in found.classes if entry.producers]
    assert np.round(users, 2).tolist() == [[0.88, 0.07], [0.73, 0.10], [0.93, 0.04], [0.96, 0.02]]
    assert np.round([value for value, _ in producers], 2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert [half for _, half in producers] == pytest.approx(_producers_by_equation_7(), rel=1e-9)
    assert found.proportions.sum() == pytest.approx(1)
    assert found.proportions[0] == pytest.approx(0.02 * MATRIX[0] / 75)


def _producers_by_equation_7() -> list[float]:
    """Half-widths by the formula as the paper writes it, from counts."""
    drawn = MATRIX.sum(axis=1)
    truth = (SIZES[:, None] * MATRIX / drawn[:, None]).sum(axis=0)
    halves = []
    for j in range(4):
        users = MATRIX[j, j] / drawn[j]
        producers = SIZES[j] * users / truth[j]
        variance = SIZES[j] ** 2 * (1 - producers) ** 2 * users * (1 - users) / (drawn[j] - 1)
        for i in set(range(4)) - {j}:
            part = MATRIX[i, j] / drawn[i]
            variance += producers**2 * SIZES[i] ** 2 * part * (1 - part) / (drawn[i] - 1)
        halves.append(1.96 * float(np.sqrt(variance)) / truth[j])
    return halves


def test_the_example_of_stehman_2014_whose_strata_are_of_another_map() -> None:
    strata, mapped, reference = (
        np.array(["ABCD".index(letter) for letter in letters])
        for letters in (
            "A" * 10 + "B" * 10 + "C" * 10 + "D" * 10,
            "A" * 7 + "B" * 3 + "A" + "B" * 11 + "C" * 6 + "B" * 2 + "D" * 10,
            "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB",
        )
    )
    found = stratified(strata, mapped, reference, np.array([40_000, 30_000, 20_000, 10_000]), 4)
    second = found.classes[1]
    # Of the paper's pages 4932 to 4936: overall, user's and producer's accuracy of B, areas of A and C.
    assert second.users is not None
    assert second.producers is not None
    figures = [found.overall, second.users, second.producers, found.classes[0].share, found.classes[2].share]
    assert [round(figure.value, 3) for figure in figures if figure] == [0.63, 0.574, 0.794, 0.35, 0.2]
    errors = [figure.standard_error for figure in figures if figure]
    assert errors == pytest.approx([0.085, 0.125, 0.116, 0.082, 0.064], abs=1e-3)
    assert found.proportions[1, 2] == pytest.approx(0.08)


def test_counts_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    reference, mapped = rng.integers(0, 5, 400), rng.integers(0, 5, 400)
    matrix = confusion(mapped, reference, 5)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(reference, mapped).T)
    found = unweighted(matrix)
    assert found.overall.value == pytest.approx(metrics.accuracy_score(reference, mapped))
    expected = {
        "users": metrics.precision_score(reference, mapped, average=None),
        "producers": metrics.recall_score(reference, mapped, average=None),
        "f1": metrics.f1_score(reference, mapped, average=None),
        "iou": metrics.jaccard_score(reference, mapped, average=None),
    }
    for name, values in expected.items():
        assert [getattr(entry, name).value for entry in found.classes] == pytest.approx(values.tolist())
    assert all(entry.share is None and entry.users and entry.users.standard_error is None for entry in found.classes)


def test_weighted_figures_are_those_of_scikit_learn_with_the_units_weights() -> None:
    rng = np.random.default_rng(6)
    stratum, mapped, reference = rng.integers(0, 3, 300), rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    sizes = np.array([9_000, 500, 70_000])
    weights = (sizes / np.bincount(stratum))[stratum]
    found = stratified(stratum, mapped, reference, sizes, 4)
    assert found.overall.value == pytest.approx(metrics.accuracy_score(reference, mapped, sample_weight=weights))
    for name, scorer in (
        ("users", metrics.precision_score),
        ("producers", metrics.recall_score),
        ("f1", metrics.f1_score),
        ("iou", metrics.jaccard_score),
    ):
        expected = scorer(reference, mapped, average=None, sample_weight=weights)
        assert [getattr(entry, name).value for entry in found.classes] == pytest.approx(expected.tolist())


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """600 samples of a map of 60,000 pixels whose truth is known: OA, areas, user's and producer's accuracy, F1 and IoU."""
    rng = np.random.default_rng(7)
    mapped = np.repeat([0, 1, 2], [40_000, 15_000, 5_000])
    wrong = np.array([[0.85, 0.10, 0.05], [0.15, 0.75, 0.10], [0.2, 0.2, 0.6]])
    reference = (rng.random(len(mapped))[:, None] > np.cumsum(wrong[mapped], axis=1)).sum(axis=1)
    sizes, drawn = np.bincount(mapped), (240, 200, 200)
    everything = stratified(mapped, mapped, reference, sizes, 3)

    def figures(found: Any) -> list[Estimate]:
        per_class = [
            getattr(entry, name) for entry in found.classes for name in ("users", "producers", "f1", "iou", "share")
        ]
        return [found.overall, *per_class]

    true = [figure.value for figure in figures(everything)]
    assert [figure.standard_error for figure in figures(everything)] == [0.0] * 16, "all of it was looked at"
    held = np.zeros(len(true))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for _ in range(600):
        units = np.concatenate(
            [
                start + rng.choice(size, count, replace=False)
                for start, size, count in zip(starts, sizes, drawn, strict=True)
            ]
        )
        found = figures(stratified(mapped[units], mapped[units], reference[units], sizes, 3))
        held += [abs(figure.value - value) <= width(figure) for figure, value in zip(found, true, strict=True)]
    assert (held / 600 >= 0.915).all(), held / 600
    assert (held / 600 <= 0.98).all(), held / 600
    assert np.mean(held / 600) == pytest.approx(0.95, abs=0.01)


def test_a_class_that_is_nowhere_has_no_figures() -> None:
    mapped, reference = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    found = stratified(mapped, mapped, reference, np.array([10, 10]), 3)
    absent = found.classes[2]
    assert (absent.users, absent.producers, absent.f1, absent.iou) == (None, None, None, None)
    assert absent.share == Estimate(0.0, 0.0)


def test_strata_without_enough_units_are_told_and_refused() -> None:
    assert unmeasured(np.array([0, 1, 2, 1, 0]), np.array([9, 9, 9, 1, 0])).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    with pytest.raises(ValueError, match="two units"):
        stratified(np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([5, 5]), 2)
