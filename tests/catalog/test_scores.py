"""A score is one model, from the checkpoint to the answer."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from catalog.scores import Score, checkpoint_scores, early_curve

UNKNOWN = "How far these figures may be off is unknown: too few fields were scored."


def test_scores_of_a_checkpoint_are_noted_with_its_hold_out() -> None:
    figures = {"split": "hold-out", "oa": 0.5, "miou": 0.25, "dice": 0.4, "n_pixels": 10}
    config = {"scores": [{**figures, "per_class": [], "n_unmapped": 3}], "hold_out": "blocks of 1 km"}
    assert checkpoint_scores(config) == (Score(**figures, note=f"blocks of 1 km {UNKNOWN}"),)
    assert checkpoint_scores({}) == ()


def test_a_spread_is_told_only_where_there_is_one() -> None:
    score = Score(split="truth", oa=0.5, miou=0.25, dice=0.4, n_pixels=10)
    assert list(score.model_dump()) == ["split", "oa", "miou", "dice", "n_pixels", "note"]
    spread = score.model_copy(update={"spread": {"oa": 0.01}})
    assert spread.model_dump()["spread"] == {"oa": 0.01}


def test_a_note_can_be_shown_in_a_terminal() -> None:
    with pytest.raises(ValidationError, match="control character"):
        Score(split="truth", oa=0.5, miou=0.25, dice=0.4, n_pixels=10, note="fine\x1b[31m")


def test_a_score_by_fields_says_how_sure_it_is() -> None:
    figures = {"split": "grouped k-fold", "oa": 0.7554, "miou": 0.25, "dice": 0.4, "n_pixels": 10}
    known = {**figures, "intervals": {"oa": [0.61, 0.85], "miou": [0.2, 0.3]}}
    (score,) = checkpoint_scores({"scores": [known]})
    assert score.figure("oa") == "0.755 (0.61 to 0.85)"
    assert score.figure("dice") == "0.400"
    assert "95 %" in score.note
    classes = [
        {"name": "maize", "iou": 0.5, "dice": 0.6, "n_pixels": 5, "interval": [0.4, 0.6]},
        {"name": "barley", "iou": 0.0, "dice": 0.0, "n_pixels": 5},
    ]
    (score,) = checkpoint_scores({"scores": [{**figures, "per_class": classes}]})
    assert score.figure("oa") == "0.755"
    assert score.note == "How far these figures may be off is unknown: too few fields of barley were scored."


def test_the_curve_of_a_checkpoint_is_read_by_month() -> None:
    points = [{"month": month, "oa": 0.5, "miou": 0.3, "n_pixels": 5, "n_unmapped": 1} for month in (12, 1)]
    curve = early_curve({"early": {"split": "hold-out", "points": points}, "synthetic": True})
    assert curve is not None
    assert (curve.simulated, curve.at(1), curve.at(2)) == (True, curve.points[1], None)
    assert early_curve({}) is None
