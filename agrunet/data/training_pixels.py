"""The pixels that a network learns from: which they are, how many, and the statistics of their values."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from agrunet.data.header import SPLITS
from agrunet.data.inputs import Normalisation, measure_normalisation
from agrunet.data.patches import UNKNOWN, FieldSource, LabelledSource
from agrunet.errors import AgrunetError

UNIT_PIXELS = 64
"""Pixels of a field that are looked at, at most, where a field counts once."""


def training_label(
    folder: LabelledSource, index: int, label: npt.NDArray[np.int16] | None = None
) -> npt.NDArray[np.int16]:
    """Label (H, W) where a pixel is to be learnt from, else `UNKNOWN`; ``label``: the patch's, where it was read already.

    Raises `AgrunetError` for a class out of range.
    """
    label = folder.label(index) if label is None else label
    classes = len(folder.header.classes)
    if label.max(initial=UNKNOWN) >= classes:
        raise AgrunetError(
            f"patch {index}: label {label.max()} with {classes} classes. Correct the classes, or write the patches again."
        )
    return np.where(folder.split(index) == SPLITS["train"], label, UNKNOWN).astype(np.int16)


def units(folder: LabelledSource, index: int, label: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """What each pixel (H, W) belongs to that counts once: its field, else what its patch shows of its class, numbered below zero."""
    own = np.full(label.shape, -1, np.int64)
    if folder.header.fields and isinstance(folder, FieldSource):
        own = folder.field(index).astype(np.int64)
    return np.where(own >= 0, own, -2 - (index * len(folder.header.classes) + label.astype(np.int64)))


def spread(unit: npt.NDArray[np.int64], known: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.intp]:
    """Positions (N,), flat, of the ``known`` pixels of a patch, of each unit (H, W) at most ``most``, as far apart as they come."""
    chosen = [np.flatnonzero((unit == own) & known) for own in np.unique(unit)]
    return np.concatenate(
        [places[:: -(-len(places) // most)] for places in chosen if len(places)] or [np.zeros(0, np.intp)]
    )


def seen_only(
    folder: LabelledSource, clear: npt.NDArray[np.bool_], label: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    """Keep ``label`` (H, W) where ``clear`` (T, H, W) on enough dates: what won't be mapped for want of them isn't learnt from either."""
    seen = clear.sum(0) >= folder.header.min_acquisitions
    return np.where(seen, label, UNKNOWN).astype(np.int16)


def training_normalisation(folder: LabelledSource, indices: Iterable[int]) -> Normalisation:
    """Measure the normalisation on the pixels to learn from, in these patches."""
    return measure_normalisation((folder.read(index), training_label(folder, index) != UNKNOWN) for index in indices)


def training_pixels(folder: LabelledSource) -> npt.NDArray[np.int64]:
    """Count the pixels that each patch gives to learn from. Raises `AgrunetError` where there is none, or only one class."""
    counts = class_counts(folder)
    classes = np.flatnonzero(counts.sum(axis=0))
    if len(classes) < 2:
        names = [folder.header.classes[value] for value in classes]
        raise AgrunetError(
            f"the pixels to learn from hold {len(classes)} classes {names}; at least 2 are needed. "
            "Give labels that cover more of the area."
        )
    total: npt.NDArray[np.int64] = counts.sum(axis=1)
    return total


def class_counts(folder: LabelledSource) -> npt.NDArray[np.int64]:
    """Count the pixels (N, K) of each class that each patch gives to learn from."""
    classes = len(folder.header.classes)
    counts = np.zeros((len(folder), classes), dtype=np.int64)
    for index in range(len(folder)):
        label = training_label(folder, index)
        counts[index] = np.bincount(label[label != UNKNOWN], minlength=classes)
    return counts
