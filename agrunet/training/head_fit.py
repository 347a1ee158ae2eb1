"""The linear layer of an adapted network, fitted to labelled pixels: every field counts the same, and so much is pulled to the start.

The start's log-probabilities of the pixels are taken once; what remains is a convex problem, solved to its end by L-BFGS in float64.
No chance is involved: the same pixels give the same layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agrunet.data.patches import UNKNOWN, LabelledSource
from agrunet.data.training_pixels import UNIT_PIXELS, spread, training_label, units
from agrunet.inference import Probabilities
from agrunet.networks.adapted import Adapted, beginning, known_of, mixed_logits, named_logits

KEEPS = (0.0, 0.5)
"""Parts of the start's own probabilities that are tried."""

_FOLDS = 5
_ITERATIONS = 100
_LEAST = 1e-3
"""Probability below which a pixel of a fold that is left out is as wrong as can be: labels err, too."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldPixels:
    """Labelled pixels: ``known`` (N, S) log-probabilities of the start's classes, float64; ``label`` and ``field`` (N,), int64."""

    known: Tensor
    label: Tensor
    field: Tensor

    def where(self, chosen: Tensor) -> FieldPixels:
        """Keep the chosen ones, (N,) bool."""
        return FieldPixels(self.known[chosen], self.label[chosen], self.field[chosen])

    @property
    def weights(self) -> Tensor:
        """Weights (N,): all pixels of a field together weigh 1."""
        _, number, pixels = torch.unique(self.field, return_inverse=True, return_counts=True)
        weights: Tensor = 1 / pixels[number].double()
        return weights

    @classmethod
    def joined(cls, parts: Iterable[FieldPixels]) -> FieldPixels:
        kept = list(parts)
        return cls(*(torch.cat([getattr(part, name) for part in kept]) for name in ("known", "label", "field")))


def field_pixels(source: LabelledSource, index: int, probabilities: Probabilities) -> FieldPixels:
    """Take the pixels of a patch to learn from, a few of each field; ``probabilities``: (S, H, W) of the start's classes.

    What belongs to no field of the header counts as a field per patch and class.
    """
    label = training_label(source, index)
    label = np.where(np.isnan(probabilities[0]), UNKNOWN, label).astype(np.int64)
    field = units(source, index, label)
    chosen = spread(field, label >= 0, UNIT_PIXELS)
    flat = probabilities.reshape(len(probabilities), -1).T[chosen]
    known = known_of(torch.from_numpy(flat).log()).double()
    return FieldPixels(known, torch.from_numpy(label.ravel()[chosen]), torch.from_numpy(field.ravel()[chosen]))


def fit_head(network: Adapted, pixels: FieldPixels, pull: float) -> None:
    """Fit the linear layer in place: cross entropy, summed over fields, and ``pull`` times its squared distance from where it began."""
    weight, bias = _fitted(network, pixels, pull)
    with torch.no_grad():
        network.weight.copy_(weight)
        network.bias.copy_(bias)


def choose_keep(network: Adapted, pixels: FieldPixels, pull: float) -> float:
    """Choose how much of the start's probabilities to keep: what makes the fields of folds that are left out most likely.

    Fields are dealt into folds class by class. With a single one it is a half.
    """
    fold = _dealt(pixels)
    gains = dict.fromkeys(KEEPS, 0.0)
    folds = torch.unique(fold).tolist()
    if len(folds) < 2:
        return 0.5
    for number in folds:
        learnt, left = pixels.where(fold != number), pixels.where(fold == number)
        weight, bias = _fitted(network, learnt, pull)
        for keep in KEEPS:
            config = network.config.model_copy(update={"keep": keep})
            true = mixed_logits(config, weight, bias, left.known).log_softmax(1).gather(1, left.label[:, None])[:, 0]
            gains[keep] += float((left.weights * true.exp().clamp(min=_LEAST).log()).sum())
    return max(gains, key=lambda keep: gains[keep])


def _dealt(pixels: FieldPixels) -> Tensor:
    """Fold (N,) of each pixel's field."""
    fold = torch.zeros(len(pixels.field), dtype=torch.int64)
    turn = 0
    for label in torch.unique(pixels.label).tolist():
        own = pixels.label == label
        fields, number = torch.unique(pixels.field[own], return_inverse=True)
        fold[own] = (number + turn) % _FOLDS
        turn += len(fields)
    return fold


def _fitted(network: Adapted, pixels: FieldPixels, pull: float) -> tuple[Tensor, Tensor]:
    """Weights (R, S) and biases (R,) of the layer, float64."""
    begin = beginning(network.config).double()
    moved = torch.zeros_like(begin, requires_grad=True)
    bias = torch.zeros(len(begin), dtype=torch.float64, requires_grad=True)
    weights = pixels.weights
    fields = weights.sum()
    optimiser = torch.optim.LBFGS([moved, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = named_logits(network.config, begin + moved, bias, pixels.known)
        wrong = (weights * functional.cross_entropy(logits, pixels.label, reduction="none")).sum()
        value: Tensor = (wrong + pull * (moved.square().sum() + bias.square().sum())) / fields
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return (begin + moved).detach(), bias.detach()
