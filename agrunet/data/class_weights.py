"""Class weights for sets in which a few classes cover nearly everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from agrunet.data.patches import UNKNOWN, LabelledSource
from agrunet.data.training_pixels import training_label
from agrunet.errors import AgrunetError


def class_counts(source: LabelledSource, indices: Iterable[int] | None = None) -> npt.NDArray[np.int64]:
    """Count the pixels of each class (K,) that are there to learn from, in all patches or the given ones; unknown ones never count.

    Raises `AgrunetError` for a label that the header has no class for.
    """
    classes = len(source.header.classes)
    counts = np.zeros(classes, dtype=np.int64)
    for index in range(len(source)) if indices is None else indices:
        label = training_label(source, index)
        counts += np.bincount(label[label != UNKNOWN], minlength=classes)
    return counts


def class_weights(counts: Sequence[int] | npt.NDArray[np.integer], cap: float = 10.0) -> tuple[float, ...]:
    """Weights by median frequency balancing (Eigen and Fergus, 2015): the median class's pixels over the class's own, at most ``cap``.

    Frequencies are over all pixels, not over the patches that hold the class. A class without pixels gets 0 and takes no part in
    the median: nothing can be learnt of it, and its score's gradient would be noise. Raises `AgrunetError` where no class has pixels.
    """
    found = np.asarray(counts, dtype=np.float64)
    if found.ndim != 1 or (found < 0).any() or not (found > 0).any():
        raise AgrunetError(
            f"pixels per class are {found.tolist()}: none to weigh by. Give labels with known pixels to learn from."
        )
    if cap < 1:
        raise AgrunetError(f"a cap of {cap} on class weights; the median class weighs 1. Give 1 or more.")
    present = found > 0
    weights = np.zeros_like(found)
    weights[present] = np.minimum(np.median(found[present]) / found[present], cap)
    return tuple(weights.tolist())
