"""The verdict on a parcel, and what it rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from processors.conformity.declarations import Fit, Meaning
from processors.conformity.thresholds import Score, Thresholds
from processors.conformity.verdicts import ReasonKind, Rule, Seen, Verdict

NAN = float("nan")


def rule(score: Score = Score.PROBABILITY) -> Rule:
    limits = Thresholds(score=score, not_conform_below=0.2, conform_from=0.6, asked=0.05, fields=80, kind="hold-out")
    return Rule(limits, least_pixels=8, least_dates=5, background=0)


def seen(mean: tuple[float, ...] = (0, 0.9, 0.1, 0), share: tuple[float, ...] | None = None, **changed: Any) -> Seen:
    values: dict[str, Any] = {
        "meaning": Meaning(Fit.CLASS, (1,)), "mean": np.array(mean), "share": np.array(mean if share is None else share),
        "pixels": 40, "expected": 42.0, "in_area": 42.0, "dates": 12,
    }  # fmt: skip
    return Seen(**{**values, **changed})


CASES = {
    "as declared": (seen(), Verdict.CONFORM, ReasonKind.AGREES),
    "at the threshold": (seen((0, 0.6, 0.2, 0.2), (0, 1, 0, 0)), Verdict.CONFORM, ReasonKind.AGREES),
    "another crop": (seen((0, 0.19, 0.81, 0), (0, 0, 1, 0)), Verdict.NOT_CONFORM, ReasonKind.IMPROBABLE),
    "at the lower threshold": (seen((0, 0.2, 0.8, 0), (0, 0, 1, 0)), Verdict.INCONCLUSIVE, ReasonKind.BETWEEN),
    "two crops": (seen((0, 0.7, 0.3, 0), (0, 0.74, 0.26, 0)), Verdict.MIXED, ReasonKind.SECOND_CROP),
    "a quarter of another crop": (seen((0, 0.7, 0.3, 0), (0, 0.75, 0.25, 0)), Verdict.CONFORM, ReasonKind.AGREES),
    "a yard in it": (seen((0.3, 0.7, 0, 0), (0.3, 0.7, 0, 0)), Verdict.CONFORM, ReasonKind.AGREES),
    "two crops beside a yard": (seen((0.4, 0.3, 0.3, 0), (0.4, 0.3, 0.3, 0)), Verdict.MIXED, ReasonKind.SECOND_CROP),
    "a group that has both": (
        seen((0, 0.5, 0.5, 0), (0, 0.5, 0.5, 0), meaning=Meaning(Fit.GROUP, (1, 2))), Verdict.CONFORM, ReasonKind.AGREES,
    ),
    "a group and another crop": (
        seen((0, 0.4, 0.3, 0.3), (0, 0.4, 0.3, 0.3), meaning=Meaning(Fit.GROUP, (1, 2))), Verdict.MIXED, ReasonKind.SECOND_CROP,
    ),
    "no room inside": (seen(pixels=0, expected=0.0, in_area=0.0, mean=(NAN,) * 4), Verdict.INCONCLUSIVE, ReasonKind.TOO_SMALL),
    "one pixel too few": (seen(pixels=7, expected=8.4, in_area=8.4), Verdict.INCONCLUSIVE, ReasonKind.TOO_SMALL),
    "just large enough": (seen(pixels=8, expected=8.4, in_area=8.4), Verdict.CONFORM, ReasonKind.AGREES),
    "beyond the area": (seen(in_area=20.0, pixels=20), Verdict.INCONCLUSIVE, ReasonKind.OUTSIDE),
    "nothing mapped": (seen(pixels=0, mean=(NAN,) * 4), Verdict.INCONCLUSIVE, ReasonKind.NO_DATA),
    "less than half mapped": (seen(pixels=20), Verdict.INCONCLUSIVE, ReasonKind.NO_DATA),
    "four dates": (seen(dates=4), Verdict.INCONCLUSIVE, ReasonKind.FEW_DATES),
    "dates not known": (seen(dates=None), Verdict.CONFORM, ReasonKind.AGREES),
    "no such crop": (seen(meaning=Meaning(Fit.UNKNOWN), pixels=0), Verdict.NOT_IN_LEGEND, ReasonKind.NO_CLASS),
    "nothing declared": (seen(meaning=Meaning(Fit.EMPTY)), Verdict.NOT_IN_LEGEND, ReasonKind.NOTHING_DECLARED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_parcel_gets_one_verdict_with_its_reason(case: str) -> None:
    given, verdict, kind = CASES[case]
    judged = rule().judge(given)
    assert (judged.verdict, judged.kind) == (verdict, kind)


def test_what_is_predicted_is_told_whatever_the_verdict() -> None:
    judged = rule().judge(seen((0, 0.3, 0.1, 0.6), (0, 0.2, 0.1, 0.7), meaning=Meaning(Fit.UNKNOWN)))
    assert (judged.predicted, judged.p_predicted, judged.second, judged.second_share) == (3, 0.6, 1, 0.2)
    assert np.isnan(judged.p_declared)
    none = rule().judge(seen((NAN,) * 4, pixels=0))
    assert none.predicted is None


def test_thresholds_of_shares_are_compared_with_shares() -> None:
    given = seen((0, 0.1, 0.9, 0), (0, 0.8, 0.2, 0))
    assert rule(Score.SHARE).judge(given).verdict is Verdict.CONFORM
    assert rule(Score.PROBABILITY).judge(given).verdict is Verdict.NOT_CONFORM
