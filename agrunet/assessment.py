"""What a freshly trained network is worth: its temperature from the stop pixels, its scores on what was held out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from agrunet.checkpoint import CheckpointConfig
from agrunet.distributed import Ranks
from agrunet.folder import SPLITS, TEST_SPLITS, PatchFolder
from agrunet.inference import Probabilities, predict
from agrunet.metrics import Scores, confusion_matrix, score
from agrunet.network import AgrUNet

_STOP_PIXELS = 4096
"""Stop pixels taken from one patch at most, evenly spread."""

_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What goes into the checkpoint after training."""

    temperature: float
    scores: tuple[Scores, ...]


def assess(network: AgrUNet, config: CheckpointConfig, folder: PatchFolder, ranks: Ranks) -> Assessment:
    """Predict every patch that holds stop or test pixels, once, each by one process, in full precision.

    Each split is scored from one confusion matrix over all its pixels. Pixels that the map leaves out are counted, not scored.
    """
    splits = {index: folder.split(index) for index in range(len(folder))}
    used = [SPLITS["stop"], *(SPLITS[name] for name in TEST_SPLITS)]
    indices = [index for index, split in splits.items() if np.isin(split, used).any()]
    classes = config.network.classes
    confusion = {name: np.zeros((classes, classes), dtype=np.int64) for name in TEST_SPLITS}
    unmapped = dict.fromkeys(TEST_SPLITS, 0)
    stop: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]] = []
    for index, probabilities in predict(network, config, folder, indices[ranks.rank :: ranks.world], ranks.device):
        label, mapped = folder.label(index), map_classes(probabilities)
        for name in TEST_SPLITS:
            truth = np.where(splits[index] == SPLITS[name], label, -1)
            confusion[name] += confusion_matrix(truth, mapped, classes)
            unmapped[name] += int(((truth >= 0) & (mapped < 0)).sum())
        stop.append(_thinned(probabilities, np.where(mapped >= 0, label, -1), splits[index] == SPLITS["stop"]))
    everyone = ranks.gather((confusion, unmapped, stop))
    scores = []
    for name in TEST_SPLITS:
        matrix = np.sum([part[0][name] for part in everyone], axis=0)
        if matrix.any():
            scores.append(score(matrix, name, config.classes, sum(part[1][name] for part in everyone)))
    pixels = [pair for part in everyone for pair in part[2]]
    return Assessment(fit_temperature(pixels) if any(len(pair[1]) for pair in pixels) else 1.0, tuple(scores))


def map_classes(probabilities: Probabilities) -> npt.NDArray[np.int16]:
    """(K, H, W) to the most probable class (H, W), -1 where the probabilities are NaN."""
    mapped: npt.NDArray[np.int16] = np.argmax(probabilities, axis=0).astype(np.int16)
    mapped[np.isnan(probabilities[0])] = -1
    return mapped


def _thinned(
    probabilities: Probabilities, label: npt.NDArray[np.int16], wanted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]:
    known = np.flatnonzero(wanted & (label >= 0))
    known = known[:: math.ceil(known.size / _STOP_PIXELS)] if known.size else known
    return probabilities.reshape(len(probabilities), -1).T[known], label.reshape(-1)[known]


def fit_temperature(pixels: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]]) -> float:
    """The temperature that makes the true classes of pixels most likely (Guo et al., 2017).

    ``pixels``: pairs of probabilities (n, K) made at temperature 1 and classes (n,). Their logarithms are logits up to a constant
    that the softmax removes.
    """
    logits = torch.from_numpy(np.concatenate([pair[0] for pair in pixels])).double().clamp(min=1e-30).log()
    truth = torch.from_numpy(np.concatenate([pair[1] for pair in pixels])).long()
    exponent = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([exponent], max_iter=50, line_search_fn="strong_wolfe")

    def likelihood() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / exponent.exp(), truth)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(likelihood)  # type: ignore[no-untyped-call]
    return float(min(max(math.exp(exponent.item()), _TEMPERATURES[0]), _TEMPERATURES[1]))
