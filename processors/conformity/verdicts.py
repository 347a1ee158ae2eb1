"""The verdict on a declared parcel: one rule, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from processors.conformity.declarations import Fit, Meaning
from processors.conformity.thresholds import Score, Thresholds

MIXED = 0.25
"""Share of a parcel's pixels above which a second crop makes it mixed."""

LEAST_MAPPED = 0.5
"""Share of a parcel's inside that must lie in the area, and of that be mapped, for a verdict on it."""


class Verdict(StrEnum):
    """The kinds of verdicts, what needs a person first."""

    NOT_CONFORM = "not conform"
    MIXED = "mixed"
    INCONCLUSIVE = "inconclusive"
    NOT_IN_LEGEND = "not in the legend"
    CONFORM = "conform"


class ReasonKind(StrEnum):
    """The kinds of reasons for a verdict."""

    AGREES = "agrees"
    IMPROBABLE = "improbable"
    SECOND_CROP = "second crop"
    NOTHING_DECLARED = "nothing declared"
    NO_CLASS = "no class"
    TOO_SMALL = "too small"
    OUTSIDE = "outside of the area"
    NO_DATA = "no data"
    FEW_DATES = "few dates"
    BETWEEN = "between the thresholds"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one parcel; K classes."""

    meaning: Meaning
    mean: npt.NDArray[np.float64]
    """(K,): mean probabilities; NaN where nothing is mapped."""
    share: npt.NDArray[np.float64]
    """(K,): of the mapped pixels."""
    pixels: int
    expected: float
    """Pixels that the parcel's inside has room for."""
    in_area: float
    """Of these, in the area."""
    dates: int | None
    """Dates at which half of it is clear; None where that isn't known."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict with what it rests on; positions in the legend's `mapped`, None where there is none."""

    verdict: Verdict
    kind: ReasonKind
    predicted: int | None
    """Most probable class."""
    p_predicted: float
    p_declared: float
    """NaN where the declared crop is no class, or nothing is mapped."""
    share_declared: float
    second: int | None
    """Crop with the second most pixels, the classes of a declared group being one."""
    second_share: float


@dataclass(frozen=True, slots=True)
class Rule:
    """What verdicts are given by."""

    thresholds: Thresholds
    least_pixels: int
    least_dates: int
    background: int | None
    """Position of what is no crop, which never is a second one."""

    def judge(self, seen: Seen) -> Judged:
        """The verdict on a parcel. What can't be judged by its declaration comes first, then what can't by the season."""
        classes = list(seen.meaning.classes)
        mapped = seen.pixels > 0
        predicted = int(seen.mean.argmax()) if mapped else None
        second, second_share = self._second(seen) if mapped else (None, float("nan"))
        p_declared = float(seen.mean[classes].sum()) if classes and mapped else float("nan")
        share = float(seen.share[classes].sum()) if classes and mapped else float("nan")
        score = share if self.thresholds.score is Score.SHARE else p_declared
        verdict, kind = self._verdict(seen, score, second_share)
        p_predicted = float("nan") if predicted is None else float(seen.mean[predicted])
        return Judged(verdict, kind, predicted, p_predicted, p_declared, share, second, second_share)

    def _verdict(self, seen: Seen, score: float, second_share: float) -> tuple[Verdict, ReasonKind]:
        if seen.meaning.fit is Fit.EMPTY:
            return Verdict.NOT_IN_LEGEND, ReasonKind.NOTHING_DECLARED
        if not seen.meaning.classes:
            return Verdict.NOT_IN_LEGEND, ReasonKind.NO_CLASS
        if seen.expected < self.least_pixels:
            return Verdict.INCONCLUSIVE, ReasonKind.TOO_SMALL
        if seen.in_area < LEAST_MAPPED * seen.expected:
            return Verdict.INCONCLUSIVE, ReasonKind.OUTSIDE
        if seen.pixels < max(1, LEAST_MAPPED * seen.in_area):
            return Verdict.INCONCLUSIVE, ReasonKind.NO_DATA
        if seen.pixels < self.least_pixels:
            return Verdict.INCONCLUSIVE, ReasonKind.TOO_SMALL
        if seen.dates is not None and seen.dates < self.least_dates:
            return Verdict.INCONCLUSIVE, ReasonKind.FEW_DATES
        if second_share > MIXED:
            return Verdict.MIXED, ReasonKind.SECOND_CROP
        if score < self.thresholds.not_conform_below:
            return Verdict.NOT_CONFORM, ReasonKind.IMPROBABLE
        if score >= self.thresholds.conform_from:
            return Verdict.CONFORM, ReasonKind.AGREES
        return Verdict.INCONCLUSIVE, ReasonKind.BETWEEN

    def _second(self, seen: Seen) -> tuple[int | None, float]:
        """The crop with the second most pixels and its share of the mapped ones; a declared group counts as its largest class."""
        shares = seen.share.copy()
        classes = list(seen.meaning.classes)
        if len(classes) > 1:
            largest = max(classes, key=lambda number: (shares[number], -number))
            whole = shares[classes].sum()
            shares[classes] = 0.0
            shares[largest] = whole
        if self.background is not None:
            shares[self.background] = 0.0
        order = np.argsort(-shares, kind="stable")
        if len(order) < 2 or shares[order[1]] <= 0:
            return None, 0.0
        return int(order[1]), float(shares[order[1]])
