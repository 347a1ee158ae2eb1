"""Counts of how held-out pixels are mapped when the season is cut after each of its months, by the network as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.data.header import SPLITS, TEST_SPLITS, FolderHeader
from agrunet.data.patches import LabelledSource
from agrunet.data.season import EndsEarly, month_ends
from agrunet.early import EarlyCurve, EarlyScore
from agrunet.inference import map_classes, predict
from agrunet.metrics import confusion_matrix, score
from agrunet.networks.registry import Network
from agrunet.training.distributed import Ranks

_MOST_PATCHES = 24
"""Patches that a curve is counted on, evenly spread: more of them would change it little and take as long as all the rest."""

_FIRST_MONTH = 3
"""Month of the season, from 1, that the curve begins with."""


class EarlyTally:
    """Counts by split and month. Of a season that ends before a second month could be shown there are none."""

    def __init__(self, header: FolderHeader) -> None:
        ends = list(month_ends(header).items())[_FIRST_MONTH - 1 :]
        self.ends = dict(ends) if len(ends) > 1 else {}
        self._chosen: list[int] = []
        shape = len(TEST_SPLITS), len(self.ends), len(header.classes)
        self.confusion: npt.NDArray[np.int64] = np.zeros((*shape, shape[-1]), np.int64)
        self.unmapped: npt.NDArray[np.int64] = np.zeros(shape[:2], np.int64)

    def choose(self, indices: Sequence[int]) -> None:
        """Choose the patches, among those that are scored, that are counted from here on."""
        places = np.linspace(0, len(indices) - 1, min(len(indices), _MOST_PATCHES)).round().astype(int)
        self._chosen = [indices[place] for place in places.tolist()]

    def add_whole(self, source: LabelledSource, index: int, mapped: npt.NDArray[np.int16]) -> None:
        """Count a patch as it is mapped with the whole season, where it was chosen."""
        if self.ends and index in self._chosen:
            self._count(-1, source, index, mapped)

    def add_months(self, network: Network, config: CheckpointConfig, source: LabelledSource, ranks: Ranks) -> None:
        """Count the chosen patches, this process its share of them, with the season cut after each month but the last."""
        mine = self._chosen[ranks.rank :: ranks.world]
        for place, day in enumerate([*self.ends.values()][:-1]):
            for index, probabilities in predict(network, config, EndsEarly(source, day), mine, ranks.device):
                self._count(place, source, index, map_classes(probabilities))

    def _count(self, place: int, source: LabelledSource, index: int, mapped: npt.NDArray[np.int16]) -> None:
        label, split = source.label(index), source.split(index)
        for row, name in enumerate(TEST_SPLITS):
            truth = np.where(split == SPLITS[name], label, -1)
            self.confusion[row, place] += confusion_matrix(truth, mapped, self.confusion.shape[-1])
            self.unmapped[row, place] += int(((truth >= 0) & (mapped < 0)).sum())

    def __iadd__(self, other: EarlyTally) -> EarlyTally:
        """Add what another tally of the same patches counted."""
        self.confusion += other.confusion
        self.unmapped += other.unmapped
        return self

    def curve(self, split: str, name: str) -> EarlyCurve | None:
        """The curve of a split, which goes by ``name``; None where the whole season maps nothing of it."""
        row = TEST_SPLITS.index(split)
        if not self.ends or not self.confusion[row, -1].any():
            return None
        points = []
        for place, month in enumerate(self.ends):
            found = score(self.confusion[row, place], split)
            points.append(
                EarlyScore(
                    month=month,
                    oa=found.oa,
                    miou=found.miou,
                    n_pixels=found.n_pixels,
                    n_unmapped=int(self.unmapped[row, place]),
                )
            )
        return EarlyCurve(split=name, points=tuple(points))
