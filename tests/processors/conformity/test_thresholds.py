"""Thresholds keep the false-alarm rate that is asked for on new fields of the same kind, and say how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from agrunet.evidence import FieldEvidence, MappedField
from processors.conformity.thresholds import EVEN, Score, detection_curve, fit_thresholds, rate


def fields(count: int, seed: int = 0, classes: int = 4, *, probabilities: bool = True) -> FieldEvidence:
    """Fields whose true class is mostly the most probable one."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        label = int(random.integers(classes))
        values = random.dirichlet(np.where(np.arange(classes) == label, 6.0, 0.5))
        pixels = np.round(100 * values).astype(int).tolist()
        made.append(
            MappedField(
                name=str(number),
                label=label,
                mapped=(*pixels, 0),
                probabilities=tuple(values.tolist()) if probabilities else None,
            )
        )
    return FieldEvidence(kind="hold-out", classes=tuple("abcd"[:classes]), fields=tuple(made))


@pytest.mark.parametrize("asked", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("probabilities", [True, False])
def test_new_fields_are_false_alarms_as_often_as_asked(asked: float, probabilities: bool) -> None:
    rates, found = [], []
    for seed in range(25):
        fitted = fit_thresholds(fields(200, seed, probabilities=probabilities), asked)
        curve = _at(fields(300, 1000 + seed, probabilities=probabilities), fitted.not_conform_below)
        rates.append(curve[0])
        found.append(curve[1])
    assert np.mean(rates) <= asked + 0.01, "at most, in the mean over models"
    assert np.mean(rates) > asked * 0.6, "and not by never saying it"
    assert np.mean(found) > 0.8
    assert fitted.score is (Score.PROBABILITY if probabilities else Score.SHARE)


def _at(evidence: FieldEvidence, threshold: float) -> tuple[float, float]:
    """False alarms and detection, by hand: each field declared as it is, and as every other class."""
    false, found = [], []
    for field in evidence.fields:
        values = field.probabilities or [count / max(1, sum(field.mapped[:-1])) for count in field.mapped[:-1]]
        for label, value in enumerate(values):
            (false if label == field.label else found).append(value < threshold)
    return float(np.mean(false)), float(np.mean(found))


def test_the_rates_told_are_exact_binomial_ones_of_thresholds_from_the_other_fields() -> None:
    fitted = fit_thresholds(fields(100), 0.05)
    assert fitted.false_alarms is not None
    assert fitted.detected is not None
    assert (fitted.false_alarms.count, fitted.false_alarms.of) == (5, 100), "the k-th smallest, k = floor(0.05 * 101)"
    assert fitted.verified
    # Clopper and Pearson: 0 of 14 has the upper bound 1 - 0.025 ** (1 / 14).
    none = rate(0, 14)
    assert none is not None
    assert none.low == 0
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 14), abs=1e-6)
    assert rate(0, 0) is None


@pytest.mark.parametrize(
    ("count", "asked", "verified", "said"),
    [
        (59, 0.05, False, "Not verified: that takes 60 fields."),
        (60, 0.05, True, ""),
        (60, 0.01, False, "Not verified: a rate as small takes 99 fields."),
        (99, 0.01, True, ""),
        (14, 0.05, False, "Not verified: that takes 60 fields."),
    ],
)
def test_a_rate_is_verified_on_sixty_fields_and_more(count: int, asked: float, verified: bool, said: str) -> None:
    fitted = fit_thresholds(fields(count), asked)
    assert fitted.verified is verified
    assert fitted.note.endswith(said)
    assert ("ot verified" in fitted.note) is not verified
    assert fitted.fields == count


def test_without_fields_the_models_own_probabilities_are_taken_and_that_is_said() -> None:
    for evidence in (None, fields(0)):
        fitted = fit_thresholds(evidence, 0.05)
        assert (fitted.not_conform_below, fitted.conform_from, fitted.fields) == (0.05, EVEN, 0)
        assert not fitted.verified
        assert "not verified" in fitted.note


def test_fields_that_would_be_too_small_for_a_verdict_teach_nothing() -> None:
    small = MappedField(name="s", label=0, mapped=(0, 3, 0, 0, 0), probabilities=(0.0, 1.0, 0.0, 0.0))
    whole = fields(80)
    assert fit_thresholds(whole.model_copy(update={"fields": (*whole.fields, small)}), 0.05, 8) == fit_thresholds(
        whole, 0.05, 8
    )


def test_a_declaration_is_conform_only_where_few_wrong_ones_are_as_probable() -> None:
    """A model that knows nothing: right and wrong declarations are alike, so hardly any may be called conform."""
    random = np.random.default_rng(5)
    made = tuple(
        MappedField(
            name=str(n),
            label=int(random.integers(4)),
            mapped=(25, 25, 25, 25, 0),
            probabilities=tuple(random.dirichlet(np.ones(4))),
        )
        for n in range(400)
    )
    fitted = fit_thresholds(FieldEvidence(kind="hold-out", classes=tuple("abcd"), fields=made), 0.05)
    assert fitted.not_conform_below < 0.1
    assert fitted.conform_from > 0.55


def test_the_curve_rises_from_no_alarm_to_all() -> None:
    curve = detection_curve(fields(300), 50)
    alarms = [point.false_alarms.value for point in curve]
    found = [point.detected.value for point in curve]
    assert alarms == sorted(alarms)
    assert found == sorted(found)
    assert alarms[0] == 0
    assert all(point.false_alarms.low <= point.false_alarms.value <= point.false_alarms.high for point in curve)
    assert detection_curve(fields(0)) == ()


def test_what_is_no_crop_is_neither_declared_nor_a_wrong_declaration() -> None:
    whole = fields(120)
    crops = tuple(field for field in whole.fields if field.label != 0)
    zeroed = tuple(
        field.model_copy(update={"probabilities": (0.99, *(field.probabilities or ())[1:])}) for field in crops
    )
    plain = fit_thresholds(whole, 0.1, background="a")
    assert plain.fields == len(crops)
    assert plain == fit_thresholds(whole.model_copy(update={"fields": zeroed}), 0.1, background="a")
    assert plain == fit_thresholds(whole.model_copy(update={"fields": crops}), 0.1, background="a")


@pytest.mark.parametrize("probabilities", [True, False])
def test_a_model_of_one_crop_has_no_other_that_a_field_could_be_declared_as(probabilities: bool) -> None:
    evidence = fields(80, classes=2, probabilities=probabilities)
    fitted = fit_thresholds(evidence, 0.05, background="a")
    assert fitted.detected is None
    assert fitted.conform_from == max(EVEN, fitted.not_conform_below)
    assert 0 < fitted.not_conform_below < 1
    assert 20 < fitted.fields < 60
    assert detection_curve(evidence, background="a") == ()
