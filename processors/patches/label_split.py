"""Fields of a label raster, and which of their pixels a model learns from or is scored on.

Ground that `catalog.hold_out` holds out teaches nothing. A field that lies on both sides of its border is scored, on the ground that is
held out, where that is half of it or more; else it serves for nothing: no field is learnt from and scored on. Where a class then has too
few fields to score, all fields are learnt from, and dealt into folds for an estimate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agrunet.data.header import FOLDS, SPLITS, LabelledField, foldable
from catalog.grid import Window
from catalog.hold_out import BLOCK, field_name

MIN_FIELD = 20
"""A connected part smaller than this many pixels is an edge or a remnant: learnt from, never scored."""

ENOUGH = 5
"""Fields held out of each class that a score rests on; with fewer it is an estimate, by folds."""

GUARD = 10
"""Pixels beside ground that is held out from which a part larger than a block teaches nothing: it is cut there, and goes on beyond."""

SMALL_FIELDS = 30
"""Fields below which an accuracy says next to nothing about other places."""

NO_FIELD = -1

Labels16 = npt.NDArray[np.int16]
Numbers = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Split = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class GroundSplit:
    """Uses of the pixels of a window: ``split`` (H, W), values of `agrunet.data.header.SPLITS`, and the field that each belongs to.

    ``field``: (H, W) index into ``names`` and ``owners`` (F,), the label of each; `NO_FIELD` where a pixel is of none.
    """

    split: Split
    field: Numbers
    names: tuple[str, ...]
    owners: Labels16


def connected_parts(labels: Labels16) -> tuple[Numbers, Labels16]:
    """Number the 4-connected parts of equal label.

    ``labels``: (H, W), -1 = unknown. Returns the numbers (H, W), 1 to F and 0 where unknown, and the label of each part (F,).
    Parts are numbered by label, then from the upper left by row.
    """
    from scipy import ndimage  # a request without labels doesn't need it

    parts = np.zeros(labels.shape, np.int32)
    owners: list[Labels16] = []
    known = 0
    for label in np.unique(labels[labels >= 0]):
        numbered, count = ndimage.label(labels == label)
        np.add(numbered, known, out=parts, where=numbered > 0, casting="unsafe")
        owners.append(np.full(count, label, np.int16))
        known += count
    return parts, np.concatenate(owners) if owners else np.zeros(0, np.int16)


def split_ground(labels: Labels16, held_out: Mask, window: Window, least: int = MIN_FIELD) -> GroundSplit:
    """Split the labels of a window by what ground is held out (both (H, W)). ``least``: pixels of a field; of points it is one.

    A part that reaches further than a block is no field but land of one kind, or many fields side by side: what of it lies in one block
    counts as a field.
    """
    numbers, owners, large = _fields(labels, window)
    count = len(owners) + 1
    pixels = np.bincount(numbers.ravel(), minlength=count)
    held = np.bincount(numbers[held_out], minlength=count)
    use = np.full(count, SPLITS["none"], np.uint8)
    use[held == 0] = SPLITS["train"]
    use[(held >= least) & (2 * held >= pixels)] = SPLITS["hold-out"]
    use[0] = SPLITS["none"]
    split = use[numbers]
    split[(split == SPLITS["hold-out"]) & ~held_out] = SPLITS["none"]
    if large.any() and held_out.any():
        split[large[numbers] & (split == SPLITS["train"]) & _near(held_out)] = SPLITS["none"]
    known = np.flatnonzero(pixels[1:] >= least) + 1
    index = np.full(count, NO_FIELD, np.int32)
    index[known] = np.arange(len(known))
    flat, places = np.unique(numbers.ravel(), return_index=True)
    first = dict(zip(flat.tolist(), places.tolist(), strict=True))
    rows, columns = np.divmod([first[number] for number in known.tolist()], window.width) if len(known) else ((), ())
    names = tuple(
        field_name(window.epsg, window.left + int(column), window.top - int(row))
        for row, column in zip(rows, columns, strict=True)
    )
    return GroundSplit(split, index[numbers], names, owners[known - 1])


def _fields(labels: Labels16, window: Window) -> tuple[Numbers, Labels16, Mask]:
    """Numbers (H, W) of the fields, from 1, the label of each (F,), and by number (F + 1,) whether it is a piece of a larger part."""
    from scipy import ndimage

    numbers, owners = connected_parts(labels)
    pieces: list[Labels16] = []
    known = len(owners)
    for part, box in enumerate(ndimage.find_objects(numbers), start=1):
        rows, columns = box
        if max(rows.stop - rows.start, columns.stop - columns.start) <= BLOCK:
            continue
        block_rows = (window.top - 1 - np.arange(rows.start, rows.stop)) // BLOCK
        block_columns = (window.left + np.arange(columns.start, columns.stop)) // BLOCK
        blocks = (block_rows.max() - block_rows)[:, None] * (np.ptp(block_columns) + 1) + (
            block_columns - block_columns.min()
        )[None, :]
        here = numbers[box] == part
        _, piece = np.unique(blocks[here], return_inverse=True)
        numbers[box][here] = known + 1 + piece
        pieces.append(np.full(int(piece.max()) + 1, owners[part - 1], np.int16))
        known += len(pieces[-1])
    large = np.arange(known + 1) > len(owners)
    return numbers, np.concatenate([owners, *pieces]), large


def _near(held_out: Mask) -> Mask:
    from scipy import ndimage

    near: Mask = ndimage.maximum_filter(held_out, size=2 * GUARD + 1)
    return near


def in_folds(names: Sequence[str], owners: Labels16) -> tuple[LabelledField, ...]:
    """Deal fields into folds, class by class, in the order of a hash of their names: another area deals them much the same."""
    folds = np.zeros(len(names), np.int64)
    for turn, label in enumerate(np.unique(owners).tolist()):
        own = sorted(np.flatnonzero(owners == label).tolist(), key=lambda field: _order(names[field]))
        folds[own] = (np.arange(len(own)) + turn) % FOLDS + 1
    return tuple(
        LabelledField(name=name, label=int(label), fold=int(fold))
        for name, label, fold in zip(names, owners, folds, strict=True)
    )


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def lacking(present: Sequence[int], held: Sequence[int], learnt: Sequence[int]) -> list[int]:
    """Classes that no score can rest on: of those ``present``, the ones with too few fields held out or nothing to learn from.

    ``held``: fields held out and ``learnt``: pixels to learn from, both by class.
    """
    return [label for label in present if held[label] < ENOUGH or not learnt[label]]


def describe_hold_out(fields: Sequence[LabelledField], names: Sequence[str]) -> str:
    """A sentence on fields that are held out; ``names`` are those of the classes, by index."""
    counted = _counted(fields, names)
    return f"{len(fields)} fields held out, on blocks of ground of 1 km that no model learns from ({counted})." + _few(
        len(fields)
    )


def describe_estimate(
    fields: Sequence[LabelledField], names: Sequence[str], short: Sequence[int], held: Sequence[int]
) -> str:
    """Sentences on an unproven model: what classes were short of fields held out, and what its scores are instead."""
    listed = ", ".join(f"{names[label]} ({held[label]})" for label in short)
    unproven = (
        f"Unproven: held-out ground has fewer than {ENOUGH} fields, or leaves nothing to learn from, of {listed}. The model learnt from "
        f"all {len(fields)} fields ({_counted(fields, names)})"
    )
    if not foldable(fields):
        return f"{unproven}, too few for any score." + _few(len(fields))
    return (
        f"{unproven}; its scores are those of a grouped {FOLDS}-fold: each field is mapped by a network that didn't learn from it."
        + _few(len(fields))
    )


def _counted(fields: Sequence[LabelledField], names: Sequence[str]) -> str:
    counts = np.bincount([field.label for field in fields], minlength=len(names))
    return ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True) if count) or "none"


def _few(fields: int) -> str:
    if fields >= SMALL_FIELDS:
        return ""
    return f" With fewer than {SMALL_FIELDS} fields the scores check the wiring and carry no claim of accuracy."
