"""A score is one model, from the checkpoint to the answer."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from catalog.scores import Score, checkpoint_scores, early_curve


def test_scores_of_a_checkpoint_are_noted_with_its_hold_out() -> None:
    figures = {"split": "hold-out", "oa": 0.5, "miou": 0.25, "dice": 0.4, "n_pixels": 10}
    config = {"scores": [{**figures, "per_class": [], "n_unmapped": 3}], "hold_out": "blocks of 1 km"}
    assert checkpoint_scores(config) == (Score(**figures, note="blocks of 1 km"),)
    assert checkpoint_scores({}) == ()


def test_a_spread_is_told_only_where_there_is_one() -> None:
    score = Score(split="truth", oa=0.5, miou=0.25, dice=0.4, n_pixels=10)
    assert list(score.model_dump()) == ["split", "oa", "miou", "dice", "n_pixels", "note"]
    spread = score.model_copy(update={"spread": {"oa": 0.01}})
    assert spread.model_dump()["spread"] == {"oa": 0.01}


def test_a_note_can_be_shown_in_a_terminal() -> None:
    with pytest.raises(ValidationError, match="control character"):
        Score(split="truth", oa=0.5, miou=0.25, dice=0.4, n_pixels=10, note="fine\x1b[31m")


def test_the_curve_of_a_checkpoint_is_read_by_month() -> None:
    points = [{"month": month, "oa": 0.5, "miou": 0.3, "n_pixels": 5, "n_unmapped": 1} for month in (12, 1)]
    curve = early_curve({"early": {"split": "hold-out", "points": points}, "synthetic": True})
    assert curve is not None
    assert (curve.simulated, curve.at(1), curve.at(2)) == (True, curve.points[1], None)
    assert early_curve({}) is None
