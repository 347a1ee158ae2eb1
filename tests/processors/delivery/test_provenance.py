"""A map of an unfinished season quotes what its model reached with as many months."""

from __future__ import annotations

from datetime import UTC, datetime

import delivery_kit
import pytest

from catalog.scores import early_curve
from catalog.season_state import SeasonState
from processors.delivery.provenance import ModelUsed, status_notes

CURVE = early_curve(delivery_kit.WITH_CURVE)


@pytest.mark.parametrize(
    ("day", "quoted"),
    [
        (
            (4, 3),
            "never scored with so little. Of fields never seen, its model reached OA 0.60 and mean IoU 0.30 with data to the end of March",
        ),
        (
            (4, 8),
            "Of fields never seen, its model reached OA 0.60 and mean IoU 0.30 with data to the end of March, and 0.80 and 0.50",
        ),
        (
            (5, 20),
            "Of fields never seen, its model reached OA 0.70 and mean IoU 0.40 with data to the end of April, and 0.80 and 0.50",
        ),
    ],
)
def test_the_figure_is_that_of_the_months_that_are_complete(day: tuple[int, int], quoted: str) -> None:
    state = SeasonState.of(2019, (1, 5), datetime(2019, *day, tzinfo=UTC))
    (note,) = status_notes(state, delivery_kit.season(), ModelUsed(name="m", checksum="00", early=CURVE))
    assert note.startswith("Preliminary: made of what was there up to 2019-06-09")
    assert quoted in note


def test_fields_that_are_simulated_are_called_so() -> None:
    state = SeasonState.of(2019, (1, 5), datetime(2019, 5, 20, tzinfo=UTC))
    simulated = early_curve(delivery_kit.WITH_CURVE | {"synthetic": True})
    (note,) = status_notes(state, delivery_kit.season(), ModelUsed(name="m", checksum="00", early=simulated))
    assert "Of simulated fields never seen" in note


def test_a_model_without_a_curve_says_so_and_no_model_says_nothing() -> None:
    state = SeasonState.of(2019, (1, 5), datetime(2019, 5, 20, tzinfo=UTC))
    (note,) = status_notes(state, delivery_kit.season(), ModelUsed(name="m", checksum="00"))
    assert note.endswith("Its model was scored on whole seasons only: what is told of its scores doesn't hold yet.")
    (note,) = status_notes(state, delivery_kit.season(), None)
    assert note.endswith("complete from 2019-06-08 on.")
    over = SeasonState.of(2019, (1, 5), datetime(2019, 7, 1, tzinfo=UTC))
    assert status_notes(over, delivery_kit.season(), ModelUsed(name="m", checksum="00", early=CURVE)) == ()
