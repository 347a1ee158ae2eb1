"""How sure scores are that rest on few fields: intervals of 95 % by a bootstrap over the fields. Needs numpy only.

Fields are drawn with replacement within their classes (a stratified bootstrap: Efron and Tibshirani, 1993, section 8). Of a class of fewer
than `ENOUGH` fields nothing can be said in that way, nor of a mean that such a class is part of: its interval is unknown, which is None.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.comparison import LEVEL, RESAMPLES, figures, resampled
from agrunet.evidence import Counts, FieldEvidence
from agrunet.metrics import Scores
from agrunet.settings import Frozen

ENOUGH = 5
"""Fields of a class that an interval rests on."""

Interval = Annotated[
    tuple[float, float] | None, Field(description="lowest and highest of 95 % of the resamples; null: too few fields")
]


class FieldIntervals(Frozen):
    """Intervals of the scores of some fields."""

    oa: Interval
    miou: Interval
    iou: Annotated[dict[str, Interval], Field(description="by class that is there")]
    fields: Annotated[dict[str, int], Field(description="number of them, by class")]

    @property
    def short(self) -> tuple[str, ...]:
        """Classes of too few fields."""
        return tuple(name for name, count in self.fields.items() if count < ENOUGH)


def intervals(evidence: FieldEvidence, resamples: int = RESAMPLES, seed: int = 0) -> FieldIntervals | None:
    """Give the intervals of overall accuracy, mean IoU and the IoU of each class; None without any field."""
    labels, counts = evidence.counts()
    if not len(labels):
        return None
    present = np.unique(labels)
    number = {evidence.classes[label]: int((labels == label).sum()) for label in present.tolist()}
    oa: list[npt.NDArray[np.float64]] = []
    miou: list[npt.NDArray[np.float64]] = []
    iou: list[npt.NDArray[np.float64]] = []
    for drawn in resampled(counts[None], labels, present, resamples, seed):
        mean, right = figures(drawn[0], present)
        miou.append(mean)
        oa.append(right)
        iou.append(_iou(drawn[0], present))
    known = min(number.values()) >= ENOUGH
    by_class = np.concatenate(iou)
    return FieldIntervals(
        oa=_interval(np.concatenate(oa)) if known else None,
        miou=_interval(np.concatenate(miou)) if known else None,
        iou={
            name: _interval(by_class[:, place]) if count >= ENOUGH else None
            for place, (name, count) in enumerate(number.items())
        },
        fields=number,
    )


def with_intervals(scores: tuple[Scores, ...], evidence: FieldEvidence) -> tuple[Scores, ...]:
    """Complete the scores that rest on these fields with their intervals."""
    measured = intervals(evidence)
    if measured is None:
        return scores
    means = {name: value for name, value in (("oa", measured.oa), ("miou", measured.miou)) if value is not None}
    return tuple(
        entry.model_copy(
            update={
                "intervals": means,
                "per_class": tuple(
                    part.model_copy(update={"interval": measured.iou.get(part.name)}) for part in entry.per_class
                ),
            }
        )
        if entry.split == evidence.kind
        else entry
        for entry in scores
    )


def _iou(counts: Counts, present: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU (N, P) of each class, of counts (N, P, K + 1) as `comparison.figures` takes them."""
    hits = counts[:, np.arange(len(present)), present]
    union = counts.sum(axis=-1) + counts[..., :-1].sum(axis=-2)[:, present] - hits
    iou: npt.NDArray[np.float64] = np.divide(hits, union, out=np.zeros(hits.shape), where=union > 0)
    return iou


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return round(float(low), 4), round(float(high), 4)
