"""The labels of an area with their uses, as one array cut by window; and the choice between ground held out and an estimate by folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from agrunet.data.contract import EvidenceKind
from agrunet.data.header import SPLITS, LabelledField, foldable
from catalog.grid import Window, inside
from catalog.hold_out import BLOCK, held_out
from catalog.zone import group_windows
from processors.patches.label_split import (
    MIN_FIELD,
    NO_FIELD,
    Labels16,
    Numbers,
    Split,
    describe_estimate,
    describe_hold_out,
    in_folds,
    lacking,
    split_ground,
)
from processors.patches.labels import UNKNOWN_LABEL, Labels

USED = tuple(name for name in SPLITS if name != "none")
"""Splits of which pixels are counted."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One flat array for an area whose parts lie far apart: the pixels of the windows of its groups, one window after the other."""

    windows: tuple[Window, ...]

    @property
    def size(self) -> int:
        return sum(window.width * window.height for window in self.windows)

    def places(self) -> Iterator[tuple[Window, slice]]:
        """Each window and its pixels in the array, row by row."""
        start = 0
        for window in self.windows:
            yield window, slice(start, start := start + window.width * window.height)


@dataclass(frozen=True, slots=True, eq=False)
class AreaLabels:
    """Labels over the area, what each pixel serves for, and its field: a number in ``names`` and ``owners``, `NO_FIELD` for none."""

    sheet: Sheet
    labels: Labels16
    split: Split
    field: Numbers
    names: tuple[str, ...]
    owners: Labels16
    least: int = MIN_FIELD
    """Pixels of a field that can be scored."""

    def cut(self, window: Window) -> tuple[Labels16, Split, Numbers]:
        """Label, split and field (H, W) of one patch, unknown outside the area: a window may reach out of it."""
        label = np.full(window.shape, UNKNOWN_LABEL, np.int16)
        split = np.full(window.shape, SPLITS["none"], np.uint8)
        field = np.full(window.shape, NO_FIELD, np.int32)
        for group, place in self.sheet.places():
            common = window.intersection(group)
            if common is not None:
                to, of = window.slices(common), group.slices(common)
                label[to], split[to], field[to] = (
                    part[place].reshape(group.shape)[of] for part in (self.labels, self.split, self.field)
                )
        return label, split, field

    def counts(self, windows: Sequence[Window], classes: int) -> npt.NDArray[np.int64]:
        """Labelled pixels (N, splits, classes) of each window, by `USED` and class."""
        counts = np.zeros((len(windows), len(USED), classes), np.int64)
        for index, window in enumerate(windows):
            label, split, _ = self.cut(window)
            for number, name in enumerate(USED):
                here = label[(split == SPLITS[name]) & (label >= 0)]
                counts[index, number] = np.bincount(here, minlength=classes)
        return counts

    def pixels_of_fields(self, windows: Sequence[Window], split: str) -> npt.NDArray[np.int64]:
        """Pixels (F,) of each field with a use, in windows that don't overlap."""
        counts = np.zeros(len(self.names), np.int64)
        for window in windows:
            _, splits, field = self.cut(window)
            counts += np.bincount(field[(splits == SPLITS[split]) & (field >= 0)], minlength=len(counts))
        return counts

    def keeping(self, fields: npt.NDArray[np.intp], split: Split) -> AreaLabels:
        """Keep some fields, numbered anew in their order, and another use of the pixels."""
        number = np.full(len(self.names) + 1, NO_FIELD, np.int32)
        number[fields] = np.arange(len(fields))
        names = tuple(self.names[field] for field in fields.tolist())
        return replace(self, split=split, field=number[self.field], names=names, owners=self.owners[fields])

    def all_learnt(self) -> AreaLabels:
        """The same with every labelled pixel to learn from."""
        split = np.where(self.labels >= 0, SPLITS["train"], SPLITS["none"]).astype(np.uint8)
        return replace(self, split=split)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the scores of a model will rest on: the labels with their uses, the fields that are scored, and a sentence for its card."""

    area: AreaLabels
    fields: tuple[LabelledField, ...]
    kind: EvidenceKind | None
    text: str


def read_area(labels: Labels, zone_area: BaseGeometry, epsg: int) -> AreaLabels:
    """Read labels over an area in the zone's metres; labels outside it are unknown.

    Fields are told from a block around the area too, so that one which the area cuts serves for the same whoever asks.
    """
    sheet = Sheet(tuple(group_windows(zone_area, epsg)))
    area = AreaLabels(
        sheet,
        np.full(sheet.size, UNKNOWN_LABEL, np.int16),
        np.full(sheet.size, SPLITS["none"], np.uint8),
        np.full(sheet.size, NO_FIELD, np.int32),
        (),
        np.zeros(0, np.int16),
        1 if labels.scattered else MIN_FIELD,
    )
    numbers: dict[str, int] = {}
    owners: list[int] = []
    for window, place in sheet.places():
        around = window.widened(BLOCK)
        read = labels.read(around)
        ground = split_ground(read, held_out(around), around, area.least)
        cut, within = around.slices(window), inside(zone_area, window)
        field = ground.field[cut]
        area.labels[place] = np.where(within, read[cut], UNKNOWN_LABEL).ravel()
        area.split[place] = np.where(within, ground.split[cut], SPLITS["none"]).ravel()
        # Windows of groups may overlap: a field that both see has one number.
        own = np.array([numbers.setdefault(name, len(numbers)) for name in ground.names], np.int32)
        for number, owner in zip(own.tolist(), ground.owners.tolist(), strict=True):
            owners += [owner] if number == len(owners) else []
        area.field[place] = np.where(within & (field >= 0), np.append(own, NO_FIELD)[field], NO_FIELD).ravel()
    return replace(area, names=tuple(numbers), owners=np.array(owners, np.int16))


def held_out_fields(
    area: AreaLabels, windows: Sequence[Window], names: Sequence[str]
) -> tuple[Evidence, list[int], npt.NDArray[np.int64]]:
    """Take the fields of these windows that are held out. Returns also the classes that they are too few of, and their number by class."""
    pixels = area.pixels_of_fields(windows, "hold-out")
    kept = np.flatnonzero(pixels >= area.least)
    # What is left of a field that the area or the choice of patches cuts may be too small to be scored.
    scored = np.isin(area.field, kept)
    split = np.where((area.split == SPLITS["hold-out"]) & ~scored, SPLITS["none"], area.split).astype(np.uint8)
    counts = area.counts(windows, len(names)).sum(axis=0)
    held = np.bincount(area.owners[kept], minlength=len(names))
    learnt = counts[USED.index("train")]
    present = np.flatnonzero(_labelled(area, windows, len(names))).tolist()
    fields = tuple(LabelledField(name=area.names[field], label=int(area.owners[field])) for field in kept.tolist())
    text = describe_hold_out(fields, names)
    return (
        Evidence(area.keeping(kept, split), fields, "hold-out", text),
        lacking(present, held.tolist(), learnt.tolist()),
        held,
    )


def estimated_by_folds(
    area: AreaLabels, windows: Sequence[Window], names: Sequence[str], short: Sequence[int], held: npt.NDArray[np.int64]
) -> Evidence:
    """Take all fields of these windows, to learn from and to be dealt into folds; ``area`` as `AreaLabels.all_learnt` makes it."""
    kept = np.flatnonzero(area.pixels_of_fields(windows, "train") >= area.least)
    taken = area.keeping(kept, area.split)
    fields = in_folds(taken.names, taken.owners)
    kind: EvidenceKind | None = "grouped k-fold" if foldable(fields) else None
    return Evidence(taken, fields, kind, describe_estimate(fields, names, short, held.tolist()))


def _labelled(area: AreaLabels, windows: Sequence[Window], classes: int) -> npt.NDArray[np.int64]:
    counts = np.zeros(classes, np.int64)
    for window in windows:
        label, _, _ = area.cut(window)
        counts += np.bincount(label[label >= 0], minlength=classes)
    return counts
