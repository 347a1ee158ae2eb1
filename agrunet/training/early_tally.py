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
        shape = len(TEST_SPLITS), len(self.ends), len(header.classes)
        self.confusion: npt.NDArray[np.int64] = np.zeros((*shape, shape[-1]), np.int64)
        self.unmapped: npt.NDArray[np.int64] = np.zeros(shape[:2], np.int64)

    def add(
        self, network: Network, config: CheckpointConfig, source: LabelledSource, indices: Sequence[int], ranks: Ranks
    ) -> None:
        """Count patches, this process its share of them. All of ``indices`` are given to every process."""
        chosen = np.linspace(0, len(indices) - 1, min(len(indices), _MOST_PATCHES)).round().astype(int)
        mine = [indices[number] for number in chosen][ranks.rank :: ranks.world]
        for place, day in enumerate(self.ends.values()):
            for index, probabilities in predict(network, config, EndsEarly(source, day), mine, ranks.device):
                label, split, mapped = source.label(index), source.split(index), map_classes(probabilities)
                for row, name in enumerate(TEST_SPLITS):
                    truth = np.where(split == SPLITS[name], label, -1)
                    self.confusion[row, place] += confusion_matrix(truth, mapped, len(config.classes))
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
