"""Thresholds of p(declared), from a false-alarm rate that is asked for and what a model said of fields that it didn't learn from.

A rightly declared field is a false alarm where its class is less probable than the lower threshold. With n held-out fields the
threshold is the k-th smallest probability of a true class, k = floor(rate (n + 1)): then at most that share of new fields of the same
kind is expected below it, whatever the model (split conformal prediction: Vovk et al., 2005). A field that is declared as any of the
other classes, all alike, stands for a wrong declaration.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.evidence import FieldEvidence
from catalog.products import Frozen

FEWEST = 60
"""Held-out fields below which a rate is called not verified."""

LEVEL = 0.95
"""Of the intervals."""

EVEN = 0.5
"""Probability from which a declaration is conform where no held-out field says better: likelier than all else together."""

Figures = npt.NDArray[np.float64]


class Score(StrEnum):
    """What is compared with the thresholds."""

    PROBABILITY = "probability"
    """Mean probability of the declared class."""
    SHARE = "share"
    """Share of the pixels mapped as the declared class, since the model's fields hold no probabilities."""


class Rate(Frozen):
    """So many of so many, with the exact binomial interval of 95 % (Clopper and Pearson, 1934)."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.of

    def __str__(self) -> str:
        return f"{self.count} of {self.of} ({100 * self.value:.1f} %, {100 * self.low:.1f} to {100 * self.high:.1f} %)"


def rate(count: int, of: int) -> Rate | None:
    """A rate with its interval; None of nothing."""
    from scipy.stats import binomtest  # slow to import, and a request's check doesn't need it

    if of == 0:
        return None
    interval = binomtest(count, of).proportion_ci(LEVEL, "exact")
    return Rate(count=count, of=of, low=round(float(interval.low), 6), high=round(float(interval.high), 6))


class Thresholds(Frozen):
    """The two thresholds, and what is known of them."""

    score: Score
    not_conform_below: float
    conform_from: float
    asked: Annotated[float, Field(description="false-alarm rate")]
    fields: Annotated[int, Field(description="held-out fields that they are fitted to")]
    kind: Annotated[str, Field(description="hold-out, or grouped k-fold; empty without fields")]
    false_alarms: Annotated[Rate | None, Field(description="of these fields, each by a threshold from the others")] = (
        None
    )
    detected: Annotated[Rate | None, Field(description="of these fields, each declared as one other class")] = None

    @property
    def verified(self) -> bool:
        """Whether the rate that was asked for rests on enough fields."""
        return self.fields >= FEWEST and self.asked * (self.fields + 1) >= 1

    @property
    def note(self) -> str:
        """What is known of the false-alarm rate, as a sentence."""
        asked = f"{100 * self.asked:g} % false alarms asked for"
        if not self.fields:
            return (
                f"{asked}, not verified: nothing is kept of fields that the model didn't learn from, so its own probabilities are the "
                "thresholds."
            )
        on = f"{asked}; {self.false_alarms} on the held-out fields ({self.kind}), each by a threshold from the others."
        if self.fields < FEWEST:
            return f"{on} Not verified: that takes {FEWEST} fields."
        if not self.verified:
            return f"{on} Not verified: a rate as small takes {math.ceil(1 / self.asked) - 1} fields."
        return on


def fit_thresholds(
    evidence: FieldEvidence | None, false_alarms: float, least_pixels: int = 1, background: str | None = None
) -> Thresholds:
    """Fit the thresholds to the held-out fields with so many mapped pixels; without any they are the model's own probabilities.

    ``background``: the class that is no crop, which nobody declares.
    """
    score, true, other = _scores(evidence, least_pixels, background)
    fields = len(true)
    if evidence is None or not fields:
        return Thresholds(
            score=Score.PROBABILITY,
            not_conform_below=false_alarms,
            conform_from=EVEN,
            asked=false_alarms,
            fields=0,
            kind="",
        )
    lower = _lower(true, false_alarms)
    # As few wrong declarations as right ones may be called what they aren't; a model of one crop knows no other to declare.
    upper = float(np.quantile(other, 1 - false_alarms, method="higher")) if other.size else EVEN
    return Thresholds(
        score=score,
        not_conform_below=lower,
        conform_from=max(lower, upper),
        asked=false_alarms,
        fields=fields,
        kind=evidence.kind,
        false_alarms=rate(sum(_left_out(true, false_alarms)), fields),
        detected=rate(int((_one_each(other) < lower).sum()), fields) if other.size else None,
    )


class CurvePoint(Frozen):
    """A threshold, and what it does to rightly and to wrongly declared fields."""

    threshold: float
    false_alarms: Rate
    detected: Rate


def detection_curve(
    evidence: FieldEvidence, points: int = 100, least_pixels: int = 1, background: str | None = None
) -> tuple[CurvePoint, ...]:
    """Detection of wrong declarations against false alarms, by thresholds that rise; empty without fields or other crops."""
    _, true, other = _scores(evidence, least_pixels, background)
    if not other.size:
        return ()
    swapped = _one_each(other)
    made = []
    for threshold in np.unique(np.quantile(true, np.linspace(0, 1, points), method="lower")):
        pair = [rate(int((scores < threshold).sum()), len(scores)) for scores in (true, swapped)]
        if pair[0] is not None and pair[1] is not None:
            made.append(CurvePoint(threshold=float(threshold), false_alarms=pair[0], detected=pair[1]))
    return tuple(made)


def _scores(
    evidence: FieldEvidence | None, least_pixels: int, background: str | None
) -> tuple[Score, Figures, Figures]:
    """What is compared with thresholds, of the true class (F,) and of each other one (F, K - 1)."""
    nothing = np.zeros(0), np.zeros((0, 1))
    if evidence is None:
        return Score.PROBABILITY, *nothing
    no_crop = evidence.classes.index(background) if background in evidence.classes else None
    fields = [
        field for field in evidence.fields if sum(field.mapped[:-1]) >= max(1, least_pixels) and field.label != no_crop
    ]
    if not fields:
        return Score.PROBABILITY, *nothing
    known = all(field.probabilities is not None for field in fields)
    rows = [
        np.array(field.probabilities) if known else np.array(field.mapped[:-1]) / sum(field.mapped[:-1])
        for field in fields
    ]
    scores, labels = np.stack(rows).astype(np.float64), np.array([field.label for field in fields])
    of_true = np.arange(scores.shape[1]) == labels[:, None]
    of_other = ~of_true
    if no_crop is not None:
        of_other[:, no_crop] = False
    other = scores[of_other].reshape(len(scores), -1)
    return Score.PROBABILITY if known else Score.SHARE, scores[of_true], other


def _lower(true: Figures, false_alarms: float) -> float:
    place = max(1, math.floor(false_alarms * (len(true) + 1) + _ROUNDING))
    return float(np.sort(true)[place - 1])


_ROUNDING = 1e-9
"""0.05 of 60 is 3, whatever binary fractions make of it."""


def _left_out(true: Figures, false_alarms: float) -> list[bool]:
    """Whether each field is a false alarm by the threshold that the others give."""
    if len(true) < 2:
        return [False] * len(true)
    return [bool(own < _lower(np.delete(true, place), false_alarms)) for place, own in enumerate(true)]


def _one_each(other: Figures) -> Figures:
    """One other class of each field, drawn: several of one field are no independent trials."""
    drawn = np.random.default_rng(0).integers(0, other.shape[1], len(other))
    return other[np.arange(len(other)), drawn]
