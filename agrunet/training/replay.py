"""Simulated series that a forest learns from beside the labels, so that what simulation knows isn't lost where these are few.

In each class the labels weigh the more, the more fields of it they show; all classes weigh the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agrunet.data.folds import View
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import UNKNOWN, LabelledSource
from agrunet.data.pixel_series import PixelSeries, gather_pixels
from agrunet.data.series_source import SeriesSource
from agrunet.data.series_table import read_series
from agrunet.data.training_pixels import UNIT_PIXELS, spread, training_label, units
from agrunet.errors import AgrunetError
from agrunet.training.class_matching import single_meanings


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """Simulated series ``series`` (S pixels), labelled with classes of a data set, and ``fields`` (K,) of each in that one."""

    series: PixelSeries
    fields: npt.NDArray[np.int64]

    def weights(self, label: npt.NDArray[np.int16], trust: float) -> npt.NDArray[np.float64]:
        """Weights (N + S,) of labelled pixels of the classes ``label`` (N,), and of the simulated ones behind them.

        A class weighs 1. Of one that both show the labels have n / (n + ``trust``), n being its fields.
        """
        simulated = self.series.label
        share = self.fields / (self.fields + trust)
        share = np.where(np.isin(np.arange(len(share)), simulated), share, 1.0)
        labelled = np.bincount(label, minlength=len(share))
        alone = np.bincount(simulated, minlength=len(share))
        weights = np.concatenate(
            [(share / np.maximum(labelled, 1))[label], ((1 - share) / np.maximum(alone, 1))[simulated]]
        )
        return np.asarray(weights * len(weights) / len(share))


def replayable(table: Path, header: FolderHeader) -> tuple[SeriesSource, npt.NDArray[np.int16]]:
    """Open a table of simulated series, and find the class of a data set (C,) that each of its crops means, if one alone.

    Raises `AgrunetError` where the table isn't simulated, isn't made as the data set is, or shows none of its classes.
    """
    series = read_series(table)
    held = series.metadata.months
    if held is not None and not held[0] <= header.months[0] <= header.months[1] <= held[1]:
        raise AgrunetError(
            f"{table} holds months {held[0]} to {held[1]}, the data set {header.months[0]} to {header.months[1]}. Learn from fewer months "
            f"(--months {held[0]} {held[1]}), or simulate series of all of them."
        )
    simulated = SeriesSource(series, header.months)
    if not simulated.header.synthetic:
        raise AgrunetError(f"{table} holds no simulated series. Put labelled ones into the data set itself.")
    if differing := header.differences(simulated.header):
        raise AgrunetError(
            f"{table} can't be replayed: the data set holds {differing}. Simulate series as it has them."
        )
    meanings = single_meanings(header, simulated.header)
    if not meanings:
        raise AgrunetError(
            f"{table} shows no crop that one of the classes {', '.join(header.classes)} means alone; it has "
            f"{', '.join(simulated.header.classes)}. Name classes as it does, or by HCAT codes, and merge those that mean the same."
        )
    named: npt.NDArray[np.int16] = np.full(len(simulated.header.classes), UNKNOWN, np.int16)
    named[list(meanings)] = list(meanings.values())
    return simulated, named


def replayed(table: Path, source: LabelledSource, most: int, seed: int) -> Replayed:
    """Read at most about ``most`` of the series of ``table`` that show a class of a data set. Raises as `replayable` does."""
    simulated, named = replayable(table, source.header)
    series = gather_pixels(simulated, most, seed)
    label = named[series.label]
    known = label != UNKNOWN
    return Replayed(replace(series.where(known), label=label[known]), learnt_fields(source))


def learnt_fields(source: LabelledSource) -> npt.NDArray[np.int64]:
    """Count the fields (K,) of each class that are learnt from; without known fields a class has one in each patch that shows it."""
    seen: set[tuple[int, int]] = set()
    for index in range(len(source)):
        label = training_label(source, index)
        known = label != UNKNOWN
        seen.update(zip(label[known].tolist(), units(source, index, label)[known].tolist(), strict=True))
    return np.bincount([label for label, _ in seen], minlength=len(source.header.classes))


class Thinned(View[LabelledSource]):
    """Patches of whose fields a few pixels each are learnt from, spread over them: a `LabelledSource` over another one.

    A tree grows a leaf for many pixels that are all alike, however little they weigh.
    """

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): none for the other pixels to learn from."""
        label = training_label(self.source, index)
        left = label != UNKNOWN
        left.flat[spread(units(self.source, index, label), left, UNIT_PIXELS)] = False
        return np.where(left, SPLITS["none"], self.source.split(index)).astype(np.uint8)
