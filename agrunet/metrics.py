"""Scores of a map, all from one confusion matrix. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.settings import Frozen

Confusion = npt.NDArray[np.int64]
"""Confusion matrix (K, K): pixels of truth (row) mapped as class (column)."""


class ClassScore(Frozen):
    """Scores of one class of the truth."""

    name: str
    iou: Annotated[float, Field(description="TP / (TP + FP + FN)")]
    dice: Annotated[float, Field(description="2 TP / (2 TP + FP + FN), also called F1")]
    n_pixels: Annotated[int, Field(description="of the truth")]
    interval: Annotated[
        tuple[float, float] | None,
        Field(
            description="of the IoU, 95 % of a bootstrap over the fields; absent where they are too few",
            exclude_if=lambda interval: interval is None,
        ),
    ] = None


class Scores(Frozen):
    """Scores of one split. Means over classes are macro, over the classes present in the truth.

    ``miou`` and ``dice`` include a background class; the fields of crops leave it out of the mean (its pixels stay in the matrix).
    """

    split: Annotated[str, Field(description="what was held out: hold-out, grouped k-fold or test-fold")]
    oa: Annotated[float, Field(description="overall accuracy: part of the pixels mapped as the truth says")]
    miou: Annotated[float, Field(description="mean intersection over union (Jaccard)")]
    dice: Annotated[float, Field(description="mean Dice coefficient")]
    miou_crops: Annotated[float | None, Field(description="the same without the background, where there is one")] = None
    dice_crops: Annotated[float | None, Field(description="the same without the background, where there is one")] = None
    n_pixels: Annotated[int, Field(description="pixels with a known truth that were mapped")]
    n_unmapped: Annotated[int, Field(description="pixels with a known truth that the map leaves out")] = 0
    per_class: tuple[ClassScore, ...] = ()
    intervals: Annotated[
        dict[str, tuple[float, float]],
        Field(
            description="of `oa` and `miou`, 95 % of a bootstrap over the fields; absent where a class has too few",
            exclude_if=lambda intervals: not intervals,
        ),
    ] = {}


def confusion_matrix(truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], classes: int) -> Confusion:
    """Count pixels by truth and prediction; either being negative (unknown, unmapped) leaves the pixel out.

    Arrays of one shape, class indices 0 to ``classes`` - 1. Raises `ValueError` for an index beyond.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth {truth.shape} and prediction {predicted.shape} differ in shape")
    known = (truth >= 0) & (predicted >= 0)
    rows, columns = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    highest = max(rows.max(initial=0), columns.max(initial=0))
    if highest >= classes:
        raise ValueError(f"class index {highest} of {classes} classes")
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def score(
    confusion: Confusion,
    split: str,
    names: Sequence[str] | None = None,
    n_unmapped: int = 0,
    background: int | None = None,
) -> Scores:
    """Score a confusion matrix; of an empty one all scores are 0 with ``n_pixels`` 0. ``background``: index of that class."""
    matrix = np.asarray(confusion, dtype=np.float64)
    hits, truth, mapped = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    present = np.flatnonzero(truth).tolist()
    per_class = tuple(
        ClassScore(
            name=names[index] if names is not None else str(index),
            iou=float(hits[index] / (truth[index] + mapped[index] - hits[index])),
            dice=float(2 * hits[index] / (truth[index] + mapped[index])),
            n_pixels=int(truth[index]),
        )
        for index in present
    )
    crops = [entry for index, entry in zip(present, per_class, strict=True) if index != background]
    total = matrix.sum()
    return Scores(
        split=split,
        oa=float(hits.sum() / total) if total else 0.0,
        miou=_mean([entry.iou for entry in per_class]),
        dice=_mean([entry.dice for entry in per_class]),
        miou_crops=None if background is None else _mean([entry.iou for entry in crops]),
        dice_crops=None if background is None else _mean([entry.dice for entry in crops]),
        n_pixels=int(total),
        n_unmapped=n_unmapped,
        per_class=per_class,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
