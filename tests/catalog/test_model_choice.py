"""A request gets the model that the record of promotions says is in use, and is told why not the others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from catalog.legend import Legend, LegendClass
from catalog.model_choice import ModelEntry, used_among, why_not_used
from catalog.promotions import Decision, Promotions, decided
from catalog.scores import Score

WHEAT = LegendClass(value=1, name="wheat", colour="#aa0000", source_codes=(1,))
MAIZE = LegendClass(value=2, name="maize", colour="#00aa00", source_codes=(2,))


def model(name: str, day: int, **miou: float) -> ModelEntry:
    """A model of some day with its scores, by split (`_` for `-`)."""
    return ModelEntry(
        name=name,
        folder=Path("models") / name,
        created=datetime(2026, 11, day, tzinfo=UTC),
        level="L2A",
        bands=("B04", "B08"),
        months=(1, 7),
        synthetic=False,
        legend=Legend(entries=(WHEAT, MAIZE)),
        scores=tuple(
            Score(split=split.replace("_", "-"), oa=0.5, miou=value, dice=0.5, n_pixels=1000)
            for split, value in miou.items()
        ),
    )


def test_the_one_in_use_is_taken_and_the_others_say_why_not() -> None:
    models = [model("d", 4), model("c", 3), model("b", 2, hold_out=0.6), model("a", 1, hold_out=0.5)]
    promotions = Promotions(
        (
            decided("a", Decision.FIRST, "the first"),
            decided("b", Decision.BETTER, "better", "a"),
            decided("c", Decision.NOT_BETTER, "worse than b", "b"),
        )
    )
    used = used_among(models, promotions)
    assert used == models[2]
    assert {entry.name: why_not_used(entry.name, promotions, "b") for entry in models if entry != used} == {
        "d": "no decision about it is recorded",
        "c": "worse than b",
        "a": "b is in use",
    }


def test_models_of_before_the_record_serve_until_one_is_promoted() -> None:
    models = [model("c", 3), model("b", 2, field_disjoint=0.6), model("a", 1)]
    assert used_among(models, Promotions()) == models[0], "the newest"
    refused = Promotions((decided("c", Decision.NOT_BETTER, "worse than b", "b"),))
    assert used_among(models, refused) == models[1]
    promoted = Promotions((*refused.entries, decided("a", Decision.USER, "by the user", "b")))
    assert used_among(models, promoted) == models[2]


def test_a_model_that_was_not_promoted_serves_only_by_name() -> None:
    refused = Promotions((decided("a", Decision.NOT_BETTER, "worse than gone", "gone"),))
    assert used_among([model("a", 1)], refused) is None
    assert why_not_used("a", refused) == "worse than gone"
    assert why_not_used("b", refused) == ""
    assert used_among([], refused) is None


def test_old_models_are_unproven() -> None:
    assert not model("a", 1, field_disjoint=0.6).proven
    assert model("a", 1).model_copy(update={"evidence": "hold-out"}).proven
    assert not model("a", 1).model_copy(update={"evidence": "grouped k-fold"}).proven
