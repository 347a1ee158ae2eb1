"""Fields of a label raster, and which of their pixels are held out to score a model with.

Two designs that measure different things. Blocks of 16 x 16 pixels cut through fields: a model that has seen the rest of
a field is scored inside it (*within-field*). Whole fields held out show what a model knows about fields that it has never
seen (*field-disjoint*). Their scores are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agrunet.data.header import SPLITS

BLOCK = 16
"""Edge of a block, pixels."""

FOLDS = 4

MIN_FIELD = 20
"""A connected part smaller than this many pixels is an edge or a remnant, not a field to be held out."""

SMALL_FIELDS = 30
"""Fields below which an accuracy says next to nothing about other places."""

Labels16 = npt.NDArray[np.int16]


def block_folds(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Fold of every pixel (H, W): (block row + block column) mod 4, counted from the upper left corner."""
    rows, columns = (np.arange(length) // BLOCK for length in shape)
    folds: npt.NDArray[np.uint8] = ((rows[:, None] + columns[None, :]) % FOLDS).astype(np.uint8)
    return folds


def connected_fields(labels: Labels16) -> tuple[npt.NDArray[np.int32], Labels16]:
    """Number the 4-connected parts of equal label.

    ``labels``: (H, W), -1 = unknown. Returns the numbers (H, W), 1 to F and 0 where unknown, and the label of each field (F,).
    Fields are numbered by label, then from the upper left by row.
    """
    from scipy import ndimage  # a request without labels doesn't need it

    fields = np.zeros(labels.shape, np.int32)
    owners: list[Labels16] = []
    known = 0
    for label in np.unique(labels[labels >= 0]):
        parts, count = ndimage.label(labels == label)
        np.add(parts, known, out=fields, where=parts > 0, casting="unsafe")
        owners.append(np.full(count, label, np.int16))
        known += count
    return fields, np.concatenate(owners) if owners else np.zeros(0, np.int16)


def held_out_fields(sizes: npt.NDArray[np.int64], owners: Labels16) -> list[int]:
    """Numbers of the fields held out: one of each class that has two or more of at least 20 pixels.

    ``sizes``: (F,) pixels of each field; ``owners``: (F,) its label. Of a class's fields of that size the one nearest to a
    quarter of the class's pixels is taken, the first by number where two are as near; another always stays to learn from.
    """
    chosen = []
    for label in np.unique(owners):
        candidates = np.flatnonzero((owners == label) & (sizes >= MIN_FIELD))
        if len(candidates) >= 2:
            distance = np.abs(sizes[candidates] - sizes[owners == label].sum() / 4)
            chosen.append(int(candidates[np.argmin(distance)]) + 1)
    return chosen


def split_map(labels: Labels16, classes: int, fold: int = 0) -> npt.NDArray[np.uint8]:
    """Split of each labelled pixel of an area: values of `agrunet.data.folder.SPLITS`, (H, W).

    ``labels``: (H, W) index of the class below ``classes``, -1 = unknown (split "none"). Of each class with two fields or
    more one is "field-disjoint"; of the other pixels block fold ``fold`` is "within-field" and the rest "train". A class
    that would keep no pixel to learn from gets its "within-field" pixels back.
    """
    if labels.size and int(labels.max()) >= classes:
        raise ValueError(f"label {int(labels.max())} in a map of {classes} classes")
    split = np.full(labels.shape, SPLITS["train"], np.uint8)
    split[block_folds(labels.shape) == fold] = SPLITS["within-field"]
    fields, owners = connected_fields(labels)
    sizes = np.bincount(fields.ravel(), minlength=len(owners) + 1)[1:]
    split[np.isin(fields, held_out_fields(sizes, owners))] = SPLITS["field-disjoint"]
    split[labels < 0] = SPLITS["none"]
    for label in np.unique(owners):
        own = labels == label
        if not (split[own] == SPLITS["train"]).any():
            split[own & (split == SPLITS["within-field"])] = SPLITS["train"]
    return split


def describe_split(labels: Labels16, split: npt.NDArray[np.uint8], names: Sequence[str]) -> tuple[str, ...]:
    """Sentences on what the hold-out can and can't show; ``names`` are those of the classes, by index."""
    fields, owners = connected_fields(labels)
    large = int((np.bincount(fields.ravel(), minlength=len(owners) + 1)[1:] >= MIN_FIELD).sum())
    pixels = labels[labels >= 0].astype(np.int64) * 256 + split[labels >= 0]
    counts = np.bincount(pixels, minlength=256 * len(names)).reshape(-1, 256)
    present = [int(label) for label in np.flatnonzero(counts.any(axis=1))]

    def scored(kind: str) -> list[str]:
        return [names[label] for label in present if counts[label, SPLITS[kind]]]

    def without(kind: str) -> str:
        return ", ".join(names[label] for label in present if not counts[label, SPLITS[kind]])

    held = scored("field-disjoint")
    sentences = [f"{len(pixels)} labelled pixels, {large} fields of at least {MIN_FIELD} pixels."]
    if held:
        classes = "class" if len(held) == 1 else "classes"
        sentences.append(
            f"field-disjoint: one whole field held out of each of {len(held)} {classes} ({', '.join(held)})."
        )
        if without("field-disjoint"):
            sentences.append(
                f"Not in the field-disjoint score, for want of a second field: {without('field-disjoint')}."
            )
    else:
        sentences.append(f"No field-disjoint score: no class has two fields of at least {MIN_FIELD} pixels.")
    if without("within-field"):
        sentences.append(f"Not in the within-field score: {without('within-field')}.")
    if large < SMALL_FIELDS:
        sentences.append(
            f"With fewer than {SMALL_FIELDS} fields the scores check the wiring and carry no claim of accuracy."
        )
    return tuple(sentences)
