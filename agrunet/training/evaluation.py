"""Evaluation of a trained network: its temperature from the stop pixels, its scores on what was held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from agrunet.calibration import BINS, Counts, calibration, reliability_counts
from agrunet.checkpoint.config import CheckpointConfig
from agrunet.data.header import SPLITS, TEST_SPLITS, FolderHeader
from agrunet.data.patches import FieldSource, LabelledSource
from agrunet.evidence import FieldEvidence, FieldTally
from agrunet.inference import Probabilities, map_classes, predict
from agrunet.metrics import confusion_matrix, score
from agrunet.networks.registry import Network
from agrunet.training.distributed import Ranks
from agrunet.training.early_tally import EarlyTally
from agrunet.training.temperature import SampledPixels, fit_temperature, sampled_pixels


class Tally:
    """Counts of how held-out pixels were mapped, by split, and by field where the patches have fields."""

    def __init__(self, header: FolderHeader) -> None:
        classes, fields = len(header.classes), len(header.fields)
        self._header = header
        self.confusion = {name: np.zeros((classes, classes), dtype=np.int64) for name in TEST_SPLITS}
        self.reliability: dict[str, Counts] = {name: np.zeros((3, BINS)) for name in TEST_SPLITS}
        self.unmapped = dict.fromkeys(TEST_SPLITS, 0)
        self.fields = FieldTally(fields, classes)
        self.early = EarlyTally(header)

    def add(self, source: LabelledSource, index: int, probabilities: Probabilities) -> None:
        """Count one patch. Pixels that the map leaves out are counted, not scored."""
        label, split, mapped = source.label(index), source.split(index), map_classes(probabilities)
        self.early.add_whole(source, index, mapped)
        for name in TEST_SPLITS:
            truth = np.where(split == SPLITS[name], label, -1)
            self.confusion[name] += confusion_matrix(truth, mapped, len(self.confusion[name]))
            self.reliability[name] += reliability_counts(probabilities, truth)
            self.unmapped[name] += int(((truth >= 0) & (mapped < 0)).sum())
        if len(self.fields.counts) and isinstance(source, FieldSource):
            held = np.where(split == SPLITS["hold-out"], source.field(index), -1).astype(np.int32)
            self.fields.add(held, mapped, probabilities)

    def add_all(
        self,
        network: Network,
        config: CheckpointConfig,
        source: LabelledSource,
        indices: Sequence[int],
        ranks: Ranks,
        batch: int = 1,
    ) -> None:
        """Map patches and count them, this process its share; some also with the season cut short. All processes are given all."""
        self.early.choose(indices)
        mine = indices[ranks.rank :: ranks.world]
        for index, probabilities in predict(network, config, source, mine, ranks.device, batch):
            self.add(source, index, probabilities)
        self.early.add_months(network, config, source, ranks)

    def gathered(self, ranks: Ranks) -> Tally:
        """Add up what all processes counted, in every one of them."""
        first, *others = ranks.gather(self)
        return first.plus(others)

    def plus(self, others: Iterable[Tally]) -> Tally:
        """Add up this tally and others of the same classes and fields."""
        total = Tally(self._header)
        for part in (self, *others):
            for name in TEST_SPLITS:
                total.confusion[name] += part.confusion[name]
                total.reliability[name] += part.reliability[name]
                total.unmapped[name] += part.unmapped[name]
            total.fields += part.fields
            total.early += part.early
        return total

    def scored(self, config: CheckpointConfig, names: Mapping[str, str] | None = None) -> CheckpointConfig:
        """Complete ``config`` with scores and calibration, each split from one confusion matrix; ``names``: splits by another name."""
        scores, calibrations, curves = [], [], []
        for split in TEST_SPLITS:
            matrix, name = self.confusion[split], (names or {}).get(split, split)
            if matrix.any():
                scores.append(score(matrix, name, config.classes, self.unmapped[split], config.background))
                calibrations.append(calibration(self.reliability[split], name))
                curves.append(self.early.curve(split, name))
        early = next(filter(None, curves), None)
        return config.model_copy(update={"scores": tuple(scores), "calibration": tuple(calibrations), "early": early})

    def evidence(self, header: FolderHeader) -> FieldEvidence | None:
        """What was counted of the fields; None where the patches have none."""
        if not header.fields or header.evidence is None:
            return None
        fields = self.fields.mapped([(field.name, field.label) for field in header.fields])
        return FieldEvidence(kind=header.evidence, classes=header.classes, fields=fields)


def evaluate(
    network: Network, config: CheckpointConfig, source: LabelledSource, ranks: Ranks, batch: int = 1
) -> tuple[CheckpointConfig, Tally]:
    """Complete ``config`` with the temperature that the stop pixels give, and with scores, calibration and curve of what was held out.

    Each patch is predicted by one process, in full precision. Returns also what was counted.
    """
    uses = [set(np.unique(source.split(index)).tolist()) for index in range(len(source))]
    temperature = _temperature(network, config, source, _patches_with(uses, ["stop"]), ranks, batch)
    config = config.model_copy(update={"temperature": temperature})
    tally = Tally(source.header)
    tally.add_all(network, config, source, _patches_with(uses, TEST_SPLITS), ranks, batch)
    total = tally.gathered(ranks)
    return total.scored(config), total


def _patches_with(uses: Sequence[set[int]], splits: Sequence[str]) -> list[int]:
    wanted = {SPLITS[name] for name in splits}
    return [index for index, found in enumerate(uses) if found & wanted]


def _temperature(
    network: Network, config: CheckpointConfig, source: LabelledSource, indices: list[int], ranks: Ranks, batch: int
) -> float:
    stop: SampledPixels = []
    mine = indices[ranks.rank :: ranks.world]
    for index, probabilities in predict(network, config, source, mine, ranks.device, batch):
        stop.append(sampled_pixels(probabilities, source.label(index), source.split(index) == SPLITS["stop"]))
    return fit_temperature([pair for part in ranks.gather(stop) for pair in part])
