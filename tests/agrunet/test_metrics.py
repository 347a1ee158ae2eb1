"""Scores against cases worked out by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from agrunet.metrics import confusion_matrix, score

TRUTH = np.array([[0, 0, 0, 1], [1, 1, 2, -1]])
MAPPED = np.array([[0, 0, 1, 1], [1, -1, 3, 0]])


def test_the_confusion_matrix_counts_what_is_known_and_mapped() -> None:
    wanted = [[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert confusion_matrix(TRUTH, MAPPED, 4).tolist() == wanted


def test_scores_by_hand() -> None:
    scores = score(confusion_matrix(TRUTH, MAPPED, 4), "hold-out", ("a", "b", "c", "d"), n_unmapped=1)
    # a: TP 2, FP 0, FN 1; b: TP 2, FP 1, FN 0; c: TP 0, FN 1; d is not in the truth: its false positive counts against c only.
    assert scores.oa == pytest.approx(4 / 6)
    assert [entry.name for entry in scores.per_class] == ["a", "b", "c"]
    assert [entry.iou for entry in scores.per_class] == pytest.approx([2 / 3, 2 / 3, 0])
    assert [entry.dice for entry in scores.per_class] == pytest.approx([4 / 5, 4 / 5, 0])
    assert scores.miou == pytest.approx(4 / 9)
    assert scores.dice == pytest.approx(8 / 15)
    assert (scores.n_pixels, scores.n_unmapped) == (6, 1)


def test_the_background_is_left_out_of_the_means_of_crops_by_hand() -> None:
    scores = score(confusion_matrix(TRUTH, MAPPED, 4), "test-fold", background=0)
    assert (scores.miou, scores.dice) == (pytest.approx(4 / 9), pytest.approx(8 / 15))
    assert scores.miou_crops == pytest.approx((2 / 3 + 0) / 2)  # b still pays for the pixel of a that it took
    assert scores.dice_crops == pytest.approx((4 / 5 + 0) / 2)
    assert score(confusion_matrix(TRUTH, MAPPED, 4), "test-fold").miou_crops is None


def test_scores_of_summed_matrices_are_not_the_mean_of_scores() -> None:
    one, other = np.array([[9, 1], [0, 0]]), np.array([[0, 0], [5, 5]])
    assert score(one + other, "hold-out").miou == pytest.approx((9 / 15 + 5 / 11) / 2)


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import f1_score, jaccard_score

    rng = np.random.default_rng(0)
    truth, mapped = rng.integers(0, 5, 400), rng.integers(0, 6, 400)
    scores = score(confusion_matrix(truth, mapped, 6), "hold-out")
    assert scores.miou == pytest.approx(jaccard_score(truth, mapped, labels=range(5), average="macro"))
    assert scores.dice == pytest.approx(f1_score(truth, mapped, labels=range(5), average="macro"))


def test_nothing_to_score_gives_zeros_and_no_nan() -> None:
    scores = score(np.zeros((3, 3), dtype=np.int64), "hold-out")
    assert (scores.oa, scores.miou, scores.dice, scores.n_pixels) == (0, 0, 0, 0)


def test_indices_beyond_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="class index 3 of 3"):
        confusion_matrix(TRUTH, MAPPED, 3)


def test_arrays_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        confusion_matrix(TRUTH, MAPPED[:1], 4)


def test_scores_are_frozen() -> None:
    with pytest.raises(ValidationError):
        score(np.eye(2, dtype=np.int64), "x").oa = 1.0


def test_metrics_need_no_torch() -> None:
    code = "import sys, agrunet.metrics, agrunet.data.folder; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
