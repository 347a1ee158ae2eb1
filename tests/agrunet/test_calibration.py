"""Calibration against a case worked out by hand, and its diagram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agrunet.calibration import BINS, calibration, draw_reliability, reliability_counts

# Four pixels: confident 0.95 and right, 0.95 and wrong, 0.60 and right, one unknown; a fifth is unmapped.
PROBABILITIES = np.array([[[0.95, 0.95, 0.40, 0.7, np.nan]], [[0.05, 0.05, 0.60, 0.3, np.nan]]])
TRUTH = np.array([[0, 1, 1, -1, 0]])


def test_the_error_by_hand() -> None:
    found = calibration(reliability_counts(PROBABILITIES, TRUTH), "test-fold")
    # Bins of 1/15: 0.95 twice, half of them right; 0.60, which lies on an edge, once, right.
    assert [(part.pixels, part.confidence, part.accuracy) for part in found.bins] == [
        (1, pytest.approx(0.6), 1.0),
        (2, pytest.approx(0.95), 0.5),
    ]
    assert found.ece == pytest.approx((1 * 0.4 + 2 * 0.45) / 3)


def test_counts_of_parts_add_up() -> None:
    whole = reliability_counts(PROBABILITIES, TRUTH)
    parts = sum(reliability_counts(PROBABILITIES[..., [i]], TRUTH[:, [i]]) for i in range(5))
    np.testing.assert_allclose(parts, whole)
    assert whole.shape == (3, BINS)


def test_honest_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(0.5, 1, (1, 40000))
    truth = (rng.uniform(size=p.shape) > p).astype(np.int16)
    assert calibration(reliability_counts(np.stack([p, 1 - p]), truth), "x").ece < 0.01
    boastful = np.stack([np.full_like(p, 0.99), np.full_like(p, 0.01)])
    assert calibration(reliability_counts(boastful, truth), "x").ece == pytest.approx(0.24, abs=0.01)


def test_no_pixels_at_all_give_no_error() -> None:
    found = calibration(reliability_counts(PROBABILITIES, np.full_like(TRUTH, -1)), "x")
    assert (found.ece, found.bins) == (0.0, ())


def test_the_diagram_is_a_picture(tmp_path: Path) -> None:
    found = calibration(reliability_counts(PROBABILITIES, TRUTH), "test-fold")
    draw_reliability((found, found), tmp_path / "r.png", synthetic=True)
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.width > picture.height > 400
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
