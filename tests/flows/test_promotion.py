"""The gate: a new model is in use where it beats the one in use on the same fields, and a person's word goes before that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import box

from agrunet.errors import AgrunetError
from agrunet.evidence import FieldEvidence, MappedField, write_evidence
from catalog.area import as_geojson
from catalog.errors import ModelError
from catalog.grid import to_lonlat
from catalog.legend import Legend, LegendClass
from catalog.model_choice import ModelEntry
from catalog.promotions import Decision, Promotion, Promotions, decided
from flows import promotion
from flows.promotion import compare_fields, judge, outcome_text
from flows.run_folder import TrainingFolder

CLASSES = ("wheat", "maize")
LEGEND = Legend(
    entries=tuple(
        LegendClass(value=1 + i, name=name, colour="#aa0000", source_codes=(i,)) for i, name in enumerate(CLASSES)
    )
)
WEST = as_geojson(to_lonlat(box(500_000, 5_590_000, 505_000, 5_600_000), 32631))
ALL = as_geojson(to_lonlat(box(500_000, 5_590_000, 510_000, 5_600_000), 32631))


def evidence(accuracy: float, each: int = 20, kind: str = "hold-out", spread: float = 0.05) -> FieldEvidence:
    """Fields of 100 pixels from west to east, wheat and maize in turn, in 10 km."""
    rng = np.random.default_rng(int(accuracy * 1000))
    fields = []
    for number in range(2 * each):
        right = int(np.clip(round(100 * rng.normal(accuracy, spread)), 0, 100))
        mapped = (right, 100 - right, 0) if number % 2 == 0 else (100 - right, right, 0)
        name = f"32631_{50_000 + 1000 * number // (2 * each)}_559500"
        fields.append(MappedField(name=name, label=number % 2, mapped=mapped))
    return FieldEvidence(kind=kind, classes=CLASSES, fields=tuple(fields))


@dataclass
class Gate:
    """A model in use and a candidate, as files; and how the model in use maps the candidate's fields."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def model(self, name: str, kind: str | None, footprint: dict[str, Any] | None = ALL) -> ModelEntry:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return ModelEntry(
            name=name, folder=path, created="2026-11-01T00:00:00Z", level="L2A", bands=("B04",), months=(1, 7), synthetic=False,
            legend=LEGEND, footprint=footprint, evidence=kind,
        )  # fmt: skip

    def judged(
        self,
        mine: FieldEvidence | None,
        other: FieldEvidence | None,
        *,
        in_use: str | None = "hold-out",
        footprint: dict[str, Any] | None = ALL,
        promote: Any = "evidence",
    ) -> Promotion:
        def run_apart(command: list[str], made: Path, advance: Callable[..., None]) -> None:
            assert command[-5:-1] == ["--model", str(self.folder / "old"), "--output", str(made)]
            assert other is not None, "nothing is mapped where nothing is compared"
            write_evidence(made, other)

        self.monkeypatch.setattr(promotion, "run_apart", run_apart)
        self.monkeypatch.setattr(promotion, "check_weights", lambda *_: None)
        self.monkeypatch.setattr(promotion, "load_evidence", lambda _: mine)
        candidate = self.model("new", None if mine is None else mine.kind)
        return judge(candidate, self.model("old", in_use, footprint), TrainingFolder(self.folder), promote, print)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(tmp_path, monkeypatch)


def test_a_better_model_takes_over_and_both_figures_stay(gate: Gate) -> None:
    made = gate.judged(evidence(0.9), evidence(0.7))
    assert (made.decision, made.promoted, made.in_use, made.evidence) == (Decision.BETTER, True, "old", "hold-out")
    compared = made.compared
    assert compared is not None
    assert compared.miou.candidate - compared.miou.in_use == pytest.approx(compared.miou.difference)
    assert compared.miou.low is not None
    assert 0 < compared.miou.low < compared.miou.difference < (compared.miou.high or 0)
    assert compared.oa.candidate == pytest.approx(0.9, abs=0.03)
    assert (compared.fields, compared.learnt, compared.left_out) == ({"wheat": 20, "maize": 20}, 0, 0)
    assert compared.resamples >= 1000
    assert made.reason.startswith(
        f"mIoU {compared.miou.candidate:.3f} against {compared.miou.in_use:.3f} of old on the same 40 fields: +"
    )
    assert outcome_text(made) == f"new is in use: {made.reason}"


@pytest.mark.parametrize(("mine", "other"), [(0.7, 0.9), (0.8, 0.8), (0.805, 0.8)])
def test_a_model_that_is_not_shown_to_be_better_does_not(gate: Gate, mine: float, other: float) -> None:
    made = gate.judged(evidence(mine, spread=0.2), evidence(other, spread=0.2))
    assert (made.decision, made.promoted) == (Decision.NOT_BETTER, False)
    assert "95 % interval" in made.reason


def test_an_unproven_model_never_takes_over_from_a_proven_one(gate: Gate) -> None:
    made = gate.judged(evidence(0.99, kind="grouped k-fold"), evidence(0.5))
    assert (made.decision, made.promoted) == (Decision.UNPROVEN, False)
    assert made.compared is not None
    assert made.compared.learnt == 40
    assert "old may have learnt from 40 of them, which flatters it" in made.reason
    made = gate.judged(None, None)
    assert (made.decision, made.compared) == (Decision.UNPROVEN, None)


def test_the_training_may_ask_for_it_whatever_the_figures(gate: Gate) -> None:
    for mine in (evidence(0.5), evidence(0.5, kind="grouped k-fold")):
        made = gate.judged(mine, evidence(0.9), promote="always")
        assert (made.decision, made.promoted) == (Decision.ALWAYS, True)
        assert made.compared is not None
        assert made.reason.startswith("promoted whatever it scores, as the training asked; mIoU 0.")


def test_among_unproven_models_the_better_takes_over(gate: Gate) -> None:
    made = gate.judged(evidence(0.95, kind="grouped k-fold"), evidence(0.6), in_use="grouped k-fold")
    assert made.decision is Decision.BETTER
    assert made.compared is not None
    assert made.compared.learnt == 40, "it beats one that may have learnt from these very fields"


def test_fields_that_an_unproven_model_learnt_from_are_left_out(gate: Gate) -> None:
    """The model in use knows the western half by heart, and nothing of the rest."""
    mine, other = evidence(0.8), evidence(0.5)
    flattered = tuple(
        field.model_copy(update={"mapped": (100, 0, 0) if field.label == 0 else (0, 100, 0)}) if number < 20 else field
        for number, field in enumerate(other.fields)
    )
    other = other.model_copy(update={"fields": flattered})
    made = gate.judged(mine, other, in_use=None, footprint=WEST)
    assert made.decision is Decision.BETTER
    assert made.compared is not None
    # 20 begin on its ground, and 6 so near that they may reach into it.
    assert (made.compared.left_out, made.compared.learnt, sum(made.compared.fields.values())) == (26, 0, 14)
    assert "26 more are left out, from which old may have learnt" in made.reason
    assert gate.judged(mine, other, in_use="hold-out", footprint=WEST).decision is Decision.NOT_BETTER, (
        "it learnt from none of them"
    )
    assert gate.judged(mine, other, in_use=None, footprint=None).decision is Decision.NOT_BETTER, (
        "nobody knows what it learnt from"
    )


@pytest.mark.parametrize("each", [1, 4])
def test_too_few_fields_tell_nothing(gate: Gate, each: int) -> None:
    made = gate.judged(evidence(0.9, each, "grouped k-fold"), evidence(0.2, each), in_use=None)
    assert (made.decision, made.promoted) == (Decision.TOO_FEW_FIELDS, False)
    assert made.compared is not None
    assert (made.compared.miou.low, made.compared.miou.high) == (None, None)
    assert f"{each} of wheat, {each} of maize, at least 5 of each class are needed" in made.reason
    assert gate.judged(evidence(0.9, 5, "grouped k-fold"), evidence(0.2, 5), in_use=None).decision is Decision.BETTER


def test_the_first_of_its_kind_is_in_use(gate: Gate) -> None:
    made = judge(gate.model("new", None), None, TrainingFolder(gate.folder), "evidence", print)
    assert (made.decision, made.promoted, made.in_use) == (Decision.FIRST, True, None)


def test_a_damaged_model_in_use_is_replaced(gate: Gate) -> None:
    old = gate.model("old", "hold-out")
    (old.folder / "item.json").write_text("{}")
    made = judge(gate.model("new", "hold-out"), old, TrainingFolder(gate.folder), "evidence", print)
    assert (made.decision, made.promoted) == (Decision.IN_USE_DAMAGED, True)
    assert "item.json doesn't give weights.safetensors with its file:checksum" in made.reason


def test_other_fields_are_no_comparison(gate: Gate) -> None:
    with pytest.raises(ModelError, match="not mapped on the same fields"):
        gate.judged(evidence(0.9, 20), evidence(0.9, 19))
    with pytest.raises(AgrunetError, match="not mapped on the same fields"):
        compare_fields(
            evidence(0.9, 20), evidence(0.9, 19), gate.model("new", "hold-out"), gate.model("old", "hold-out")
        )


def test_what_was_decided_about_the_same_model_stays_while_it_is_in_use(gate: Gate) -> None:
    """A training that is repeated makes the same model: it isn't compared with itself, and a person's word isn't undone."""
    new, old = gate.model("new", "hold-out"), gate.model("old", "hold-out")
    first, better = decided("old", Decision.FIRST, ""), decided("new", Decision.BETTER, "", "old")
    taken_back = decided("new", Decision.ROLLED_BACK, "", "old")
    after = Promotions((first, better))
    assert promotion._stays(better, old, after, "evidence")
    assert not promotion._stays(first, new, after, "evidence"), "another one took over: it is compared with that"
    assert promotion._stays(first, None, Promotions((first,)), "evidence")
    assert promotion._stays(taken_back, old, Promotions((first, better, taken_back)), "evidence")
    assert not promotion._stays(taken_back, old, Promotions((first, better, taken_back)), "always")
