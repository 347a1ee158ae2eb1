"""The paired bootstrap: the figures of one confusion matrix, intervals as SciPy's, and nothing promoted by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from agrunet.comparison import compare, figures
from agrunet.errors import AgrunetError
from agrunet.evidence import FieldEvidence, MappedField
from agrunet.metrics import score

CLASSES = ("wheat", "maize")


def evidence(*fields: tuple[int, tuple[int, ...]], classes: tuple[str, ...] = CLASSES) -> FieldEvidence:
    """Fields by label and pixels mapped as each class; the last is left out of the map."""
    mapped = tuple(
        MappedField(name=f"f{number}", label=label, mapped=counts) for number, (label, counts) in enumerate(fields)
    )
    return FieldEvidence(kind="hold-out", classes=classes, fields=mapped)


def drawn(seed: int, fields: int, accuracy: float) -> list[tuple[int, tuple[int, ...]]]:
    """Wheat fields of 20 to 200 pixels, each with an accuracy of its own."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(20, 200, fields)
    hits = rng.binomial(sizes, np.clip(rng.normal(accuracy, 0.15, fields), 0, 1))
    return [(0, (int(hit), int(size - hit), 0)) for size, hit in zip(sizes, hits, strict=True)]


def test_the_figures_are_those_of_the_scores() -> None:
    rng = np.random.default_rng(3)
    confusion = rng.integers(0, 50, (4, 4))
    confusion[2] = 0  # a class that the truth doesn't have
    wanted = score(confusion, "hold-out")
    present = np.array([0, 1, 3])
    counts = np.concatenate([confusion[present], np.zeros((3, 1), np.int64)], axis=1)
    assert figures(counts, present) == pytest.approx([wanted.miou, wanted.oa])


def test_what_a_model_leaves_out_counts_against_it() -> None:
    counts = np.array([[8, 0, 2], [0, 10, 0]])
    # Wheat: 8 of 10; maize: 10 of 10.
    assert figures(counts, np.array([0, 1])) == pytest.approx([(0.8 + 1) / 2, 0.9])


def test_a_difference_that_every_field_shows_has_no_spread() -> None:
    """By hand: every wheat field is mapped right by one model and half right by the other; maize by both."""
    maize = [(1, (0, 10, 0))] * 6
    good = evidence(*[(0, (10, 0, 0))] * 6, *maize)
    half = evidence(*[(0, (5, 5, 0))] * 6, *maize)
    found = compare(good, half)
    # Half: wheat 30 of 60; maize 60 of 60 + 30.
    assert found.miou == pytest.approx((1, (1 / 2 + 2 / 3) / 2))
    assert found.oa == pytest.approx((1, 0.75))
    difference = found.miou_difference
    assert (difference.low, difference.value, difference.high) == pytest.approx((5 / 12,) * 3)
    assert found.fields == {"wheat": 6, "maize": 6}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_interval_is_that_of_scipy(seed: int) -> None:
    """One class varies, so SciPy's bootstrap, which knows no classes, draws the same; overall accuracy of pooled pixels."""
    maize = [(1, (0, 50, 0))] * 5
    ours, theirs = drawn(seed, 60, 0.8), drawn(seed + 10, 60, 0.7)
    theirs = [
        (0, (round(b[0] / sum(b) * sum(a)), sum(a) - round(b[0] / sum(b) * sum(a)), 0))
        for (_, a), (_, b) in zip(ours, theirs, strict=True)
    ]
    found = compare(evidence(*ours, *maize), evidence(*theirs, *maize), resamples=8000)

    sizes = np.array([sum(counts) for _, counts in ours])
    hits = [np.array([counts[0] for _, counts in fields]) for fields in (ours, theirs)]

    def difference(size: np.ndarray, mine: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        return (mine - other).sum(axis) / (size.sum(axis) + 250)

    wanted = bootstrap(
        (sizes, *hits),
        difference,
        paired=True,
        vectorized=True,
        n_resamples=8000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert found.oa_difference.low == pytest.approx(wanted.low, abs=0.006)
    assert found.oa_difference.high == pytest.approx(wanted.high, abs=0.006)


def test_the_same_seed_gives_the_same_interval() -> None:
    first, second = evidence(*drawn(1, 30, 0.8)), evidence(*drawn(1, 30, 0.8))
    other = evidence(
        *[(label, (counts[0] // 2, sum(counts) - counts[0] // 2, 0)) for label, counts in drawn(1, 30, 0.8)]
    )
    assert compare(first, other) == compare(second, other)
    assert compare(first, second).miou_difference.high == 0


def test_classes_are_drawn_one_by_one() -> None:
    """A class of one field is in every draw: without strata a third of the draws would lack it."""
    rare = [(1, (20, 0, 0))]
    found = compare(evidence(*drawn(4, 40, 0.9), *rare), evidence(*drawn(4, 40, 0.9), (1, (0, 20, 0))))
    assert found.miou_difference.high < 0


def test_chance_promotes_rarely() -> None:
    """Of models that are equally good the interval lies above zero in about one comparison in forty."""
    above = 0
    for seed in range(120):
        sizes = [sum(counts) for _, counts in drawn(seed, 40, 0.7)]
        rng = np.random.default_rng(1000 + seed)
        pair = [
            [
                (0, (int(hit), int(size - hit), 0))
                for size, hit in zip(sizes, rng.binomial(sizes, np.clip(rng.normal(0.7, 0.15, 40), 0, 1)), strict=True)
            ]
            for _ in range(2)
        ]
        found = compare(evidence(*pair[0]), evidence(*pair[1]), resamples=400)
        above += found.oa_difference.low > 0
    assert above <= 10


def test_other_fields_are_refused() -> None:
    one = evidence(*drawn(1, 5, 0.8))
    with pytest.raises(AgrunetError, match="not mapped on the same fields"):
        compare(one, evidence(*drawn(1, 6, 0.8)))
    with pytest.raises(AgrunetError, match="no field to compare"):
        compare(evidence(), evidence())
