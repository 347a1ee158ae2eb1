"""The comparison of two models on the same fields: a paired bootstrap. Needs numpy only.

Fields are drawn with replacement within their classes (a stratified bootstrap: Efron and Tibshirani, 1993, section 8), the same ones for
both models, and the interval is that of the percentiles. Pixels of one field are mapped alike, so pixels are no independent samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.errors import AgrunetError
from agrunet.evidence import Counts, FieldEvidence
from agrunet.settings import Frozen

RESAMPLES = 2000
LEVEL = 0.95

_AT_ONCE = 100
"""Resamples drawn at once: bounds the memory for many fields."""

Figures = npt.NDArray[np.float64]


class Difference(Frozen):
    """What one model is above another one, with the interval of 95 % over the fields."""

    value: float
    low: float
    high: float


class Comparison(Frozen):
    """Two models on the same fields. A pixel that a model leaves out of the map counts against it."""

    fields: Annotated[dict[str, int], Field(description="number of them, by class")]
    miou: Annotated[tuple[float, float], Field(description="of the first and of the second model")]
    oa: Annotated[tuple[float, float], Field(description="of the first and of the second model")]
    miou_difference: Annotated[Difference, Field(description="first minus second")]
    oa_difference: Annotated[Difference, Field(description="first minus second")]
    resamples: int
    seed: int


def compare(first: FieldEvidence, second: FieldEvidence, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two models by how they mapped the same fields.

    Raises `AgrunetError` where the fields, their classes or the names of these aren't the same, or there is none.
    """
    if first.classes != second.classes or [(f.name, f.label) for f in first.fields] != [
        (f.name, f.label) for f in second.fields
    ]:
        raise AgrunetError("the models were not mapped on the same fields and classes. Map them again.")
    if not first.fields:
        raise AgrunetError("there is no field to compare models on. Give labels of more fields.")
    labels, mine = first.counts()
    _, other = second.counts()
    pair = np.stack([mine, other])  # (2, F, K + 1)
    present = np.unique(labels)
    whole = figures(np.stack([pair[:, labels == label].sum(axis=1) for label in present], axis=1)[:, None], present)
    drawn = np.concatenate(
        [figures(counts, present) for counts in resampled(pair, labels, present, resamples, seed)], axis=-1
    )
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn[:, 0] - drawn[:, 1], [tail, 100 - tail], axis=1)
    value = whole[:, 0, 0] - whole[:, 1, 0]
    differences = [
        Difference(value=float(value[index]), low=float(low[index]), high=float(high[index])) for index in (0, 1)
    ]
    return Comparison(
        fields={first.classes[label]: int((labels == label).sum()) for label in present.tolist()},
        miou=(float(whole[0, 0, 0]), float(whole[0, 1, 0])),
        oa=(float(whole[1, 0, 0]), float(whole[1, 1, 0])),
        miou_difference=differences[0],
        oa_difference=differences[1],
        resamples=resamples,
        seed=seed,
    )


def figures(counts: Counts, present: npt.NDArray[np.int64]) -> Figures:
    """Mean IoU and overall accuracy (2, ...) of counts (..., P, K + 1): pixels of each class present in the truth, by class mapped.

    ``present``: (P,) indices of these classes. The last column counts what the map leaves out.
    """
    truth = counts.sum(axis=-1).astype(np.float64)
    mapped = counts[..., :-1].sum(axis=-2)[..., present]
    hits = np.take_along_axis(counts, present.reshape((1,) * (counts.ndim - 2) + (-1, 1)), axis=-1)[..., 0]
    union = truth + mapped - hits
    miou = np.divide(hits, union, out=np.zeros(union.shape), where=union > 0).mean(axis=-1)
    total = truth.sum(axis=-1)
    oa = np.divide(hits.sum(axis=-1), total, out=np.zeros(total.shape), where=total > 0)
    return np.stack([miou, oa])


def resampled(
    counts: Counts, labels: npt.NDArray[np.int64], present: npt.NDArray[np.int64], resamples: int, seed: int
) -> Iterator[Counts]:
    """Yield counts (models, n, P, K + 1) of ``resamples`` draws in all: fields with replacement, as many of each class as there are.

    ``counts``: (models, F, K + 1) of the fields, the same ones drawn for all models; ``present``: (P,) their classes.
    """
    rng = np.random.default_rng(seed)
    strata = [np.flatnonzero(labels == label) for label in present]
    for start in range(0, resamples, _AT_ONCE):
        size = min(_AT_ONCE, resamples - start)
        drawn = np.empty((len(counts), size, len(strata), counts.shape[-1]), np.int64)
        for place, stratum in enumerate(strata):
            times = rng.multinomial(len(stratum), np.full(len(stratum), 1 / len(stratum)), size)  # (size, fields)
            drawn[:, :, place] = times @ counts[:, stratum]
        yield drawn
