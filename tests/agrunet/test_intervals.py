"""Intervals of scores over fields: those of SciPy's bootstrap, and none where fields are too few to say anything."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from agrunet.evidence import FieldEvidence, MappedField
from agrunet.intervals import intervals


def evidence(*fields: tuple[int, tuple[int, ...]]) -> FieldEvidence:
    mapped = tuple(
        MappedField(name=f"f{number}", label=label, mapped=counts) for number, (label, counts) in enumerate(fields)
    )
    return FieldEvidence(kind="grouped k-fold", classes=("wheat", "maize"), fields=mapped)


def test_the_interval_of_an_accuracy_is_scipys() -> None:
    rng = np.random.default_rng(5)
    hits = rng.integers(20, 100, 40)
    measured = intervals(evidence(*[(0, (int(hit), int(100 - hit), 0)) for hit in hits]), resamples=4000)
    assert measured is not None
    assert measured.oa is not None
    wanted = bootstrap((hits / 100,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert measured.oa == pytest.approx((wanted.low, wanted.high), abs=0.006)
    assert measured.iou["wheat"] == pytest.approx(measured.oa)  # nothing else is called wheat


def test_a_class_of_few_fields_has_no_interval_and_takes_it_from_the_means() -> None:
    measured = intervals(evidence(*[(0, (9, 1, 0))] * 7, *[(1, (0, 10, 0))] * 4))
    assert measured is not None
    assert (measured.oa, measured.miou, measured.iou["maize"]) == (None, None, None)
    # Every wheat field is alike, and no field of maize is called wheat: there is no spread.
    assert measured.iou["wheat"] == pytest.approx((0.9, 0.9))
    assert measured.short == ("maize",)
    assert measured.fields == {"wheat": 7, "maize": 4}


def test_without_fields_there_is_nothing_to_say() -> None:
    assert intervals(evidence()) is None
