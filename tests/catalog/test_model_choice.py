"""A newer model takes over from the one in use, unless it does worse on what was held out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.legend import Legend, LegendClass
from catalog.model_choice import ModelEntry, best
from catalog.scores import Score

WHEAT = LegendClass(value=1, name="wheat", colour="#aa0000", source_codes=(1,))
MAIZE = LegendClass(value=2, name="maize", colour="#00aa00", source_codes=(2,))


def model(name: str, day: int, *classes: LegendClass, **miou: float) -> ModelEntry:
    """A model of some day with its scores, by split (`_` for `-`)."""
    return ModelEntry(
        name=name,
        folder=Path("models") / name,
        created=datetime(2026, 11, day, tzinfo=UTC),
        level="L2A",
        bands=("B04", "B08"),
        months=(1, 7),
        synthetic=False,
        legend=Legend(entries=classes or (WHEAT, MAIZE)),
        scores=tuple(
            Score(split=split.replace("_", "-"), oa=0.5, miou=value, dice=0.5, n_pixels=1000)
            for split, value in miou.items()
        ),
    )


CASES = {
    "a newer one that does as well": (
        [model("new", 2, field_disjoint=0.6), model("old", 1, field_disjoint=0.6)],
        "new",
    ),
    "labels that were shuffled": ([model("new", 2, field_disjoint=0.2), model("old", 1, field_disjoint=0.6)], "old"),
    "a worse one between two": (
        [model("c", 3, field_disjoint=0.6), model("b", 2, field_disjoint=0.2), model("a", 1, field_disjoint=0.5)],
        "c",
    ),
    "better than a worse one, and still worse than the one in use": (
        [model("c", 3, field_disjoint=0.4), model("b", 2, field_disjoint=0.2), model("a", 1, field_disjoint=0.5)],
        "a",
    ),
    "the strictest that both have": (
        [model("new", 2, field_disjoint=0.7, within_field=0.8), model("old", 1, field_disjoint=0.6, within_field=0.9)],
        "new",
    ),
    "a split that only one has": (
        [model("new", 2, within_field=0.8), model("old", 1, field_disjoint=0.6, within_field=0.9)],
        "old",
    ),
    "other splits, less strict": ([model("new", 2, within_field=0.99), model("old", 1, field_disjoint=0.6)], "old"),
    "other splits, stricter": ([model("new", 2, field_disjoint=0.6), model("old", 1, within_field=0.99)], "new"),
    "no score": ([model("new", 2), model("old", 1, field_disjoint=0.1)], "old"),
    "the first score": ([model("new", 2, field_disjoint=0.1), model("old", 1)], "new"),
    "no scores at all": ([model("new", 2), model("old", 1)], "new"),
    "other classes": ([model("new", 2, WHEAT, field_disjoint=0.1), model("old", 1, field_disjoint=0.6)], "new"),
}


@pytest.mark.parametrize(("fitting", "taken"), CASES.values(), ids=CASES)
def test_which_is_taken(fitting: list[ModelEntry], taken: str) -> None:
    choice = best(fitting)
    assert choice.folder == Path("models") / taken
    assert [compared.name for compared in choice.compared] == [entry.name for entry in fitting]
    assert [compared.name for compared in choice.compared if compared.taken] == [taken]
    assert all(compared.taken != bool(compared.reason) for compared in choice.compared)


def test_why_a_newer_one_is_not_taken_is_said() -> None:
    choice = best([model("new", 2, field_disjoint=0.2), model("old", 1, field_disjoint=0.6)])
    assert choice.compared[0].reason == "field-disjoint mIoU 0.200, below 0.600 of old"
