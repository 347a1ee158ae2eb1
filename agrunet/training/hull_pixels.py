"""Pixels of labelled patches that the hull of a model is fitted to: some of those learnt from, and others to tell how far is far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agrunet.data.header import SPLITS
from agrunet.data.patches import FieldSource, LabelledSource
from agrunet.data.season import month_ends
from agrunet.hull import Floats, Hull, PixelSeries, fit_hull, monthly_indices

_MOST_PATCHES = 400
"""Patches that are read, evenly spread."""

_MOST_PIXELS = 12_000
"""Pixels of each kind that are taken, about."""

LEAST_PIXELS = 50
"""Pixels of each kind below which nothing can be said of how far is far."""

_BLOCK = 16
"""Edge of the blocks that stand for fields where the patches name none, pixels."""

_UNSEEN = tuple(SPLITS[name] for name in ("stop", "hold-out", "test-fold"))


def training_hull(source: LabelledSource) -> Hull | None:
    """Fit the hull of what is learnt from in ``source``; None where there are too few pixels.

    The limits rest on pixels held out; where all is learnt from, on every second field (or block of pixels) against the others.
    """
    ends = tuple(month_ends(source.header).values())
    told = source.header.bands, ends, source.header.min_acquisitions
    learnt, unseen = _Pixels(*told), _Pixels(*told)
    numbers = np.linspace(0, len(source) - 1, min(len(source), _MOST_PATCHES)).round().astype(int)
    random, share = np.random.default_rng(0), -(-_MOST_PIXELS // len(numbers))
    for index in numbers.tolist():
        split = source.split(index)
        if not np.isin(split, (SPLITS["train"], *_UNSEEN)).any():
            continue
        patch, label = source.read(index), source.label(index)
        mapped = (label >= 0) & (patch.clear.sum(axis=0) >= source.header.min_acquisitions)
        for kind, wanted in ((learnt, split == SPLITS["train"]), (unseen, np.isin(split, _UNSEEN))):
            pixels = _drawn(np.where(wanted & mapped, label, -1), share, random)
            if len(pixels):
                kind.add(PixelSeries.of(patch, pixels), _groups(source, index, label.shape)[pixels])
    if learnt.count < LEAST_PIXELS:
        return None
    if unseen.count >= LEAST_PIXELS:
        return fit_hull(learnt.indices(), unseen.by_month(), *told)
    if min(learnt.half(0).count, learnt.half(1).count) < LEAST_PIXELS:
        return None
    limits = fit_hull(learnt.half(0).indices(), learnt.half(1).by_month(), *told)
    whole = fit_hull(learnt.indices(), learnt.half(1).by_month(), *told)
    return whole.model_copy(update={"limits": limits.limits})


class _Pixels:
    """Pixels of patches, each with the number of its field or block."""

    def __init__(self, bands: Sequence[str], ends: Sequence[int], least_dates: int) -> None:
        self._told = bands, ends, least_dates
        self._parts: list[tuple[PixelSeries, npt.NDArray[np.int64]]] = []

    def add(self, series: PixelSeries, groups: npt.NDArray[np.int64]) -> None:
        self._parts.append((series, groups))

    @property
    def count(self) -> int:
        """Pixels that are seen often enough."""
        _, ends, least = self._told
        return sum(len(series.until(ends[-1], least).values) for series, _ in self._parts)

    def half(self, which: int) -> _Pixels:
        """Every second field, from the first or the second on."""
        numbers = np.unique(np.concatenate([groups for _, groups in self._parts]))
        half = _Pixels(*self._told)
        for series, groups in self._parts:
            chosen = np.searchsorted(numbers, groups) % 2 == which
            half.add(PixelSeries(series.values[chosen], series.clear[chosen], series.days), groups[chosen])
        return half

    def indices(self) -> Floats:
        bands, ends, _ = self._told
        return np.concatenate([monthly_indices(series, bands, ends) for series, _ in self._parts])

    def by_month(self) -> list[Floats]:
        """The indices as they are known at the end of each month, of the pixels that are seen often enough by then."""
        bands, ends, least = self._told
        return [
            np.concatenate(
                [monthly_indices(series.until(ends[last], least), bands, ends[: last + 1]) for series, _ in self._parts]
            )
            for last in range(len(ends))
        ]


def _drawn(label: npt.NDArray[np.int16], most: int, random: np.random.Generator) -> npt.NDArray[np.intp]:
    """Flat positions of at most about so many pixels of a label (H, W), as many of each class as there are."""
    flat = label.reshape(-1)
    classes = np.unique(flat[flat >= 0])
    share = -(-most // max(1, len(classes)))
    parts = [random.permutation(np.flatnonzero(flat == value))[:share] for value in classes]
    drawn: npt.NDArray[np.intp] = np.sort(np.concatenate([np.zeros(0, np.intp), *parts]))
    return drawn


def _groups(source: LabelledSource, index: int, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Number (H W,) of the field that each pixel is of, or else of its block."""
    rows, columns = np.indices(shape) // _BLOCK
    group = -1 - ((index * 4096 + rows) * 4096 + columns)
    if source.header.fields and isinstance(source, FieldSource):
        field = source.field(index)
        group = np.where(field >= 0, field, group)
    groups: npt.NDArray[np.int64] = group.reshape(-1)
    return groups
