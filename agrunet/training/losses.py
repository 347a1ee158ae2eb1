"""Cross entropy and Dice from sums, so that several processes can add theirs up before any ratio is formed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agrunet.data.patches import UNKNOWN

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class LossSums:
    """Sums over the pixels with a known label; float32, differentiable."""

    cross_entropy: Tensor
    """Sum () of -log p of the true class."""
    pixels: Tensor
    """Number () of pixels, or the sum of their weights."""
    overlap: Tensor
    """Sum (K,) of p where the class is true."""
    mapped: Tensor
    """Sum (K,) of p."""
    truth: Tensor
    """Pixels (K,) of the class."""

    def flatten(self) -> Tensor:
        """Join the sums into a vector (2 + 3 K), for one exchange between processes."""
        return torch.cat((self.cross_entropy.view(1), self.pixels.view(1), self.overlap, self.mapped, self.truth))

    @classmethod
    def from_flat(cls, flat: Tensor) -> LossSums:
        overlap, mapped, truth = flat[2:].chunk(3)
        return cls(flat[0], flat[1], overlap, mapped, truth)


def loss_sums(logits: Tensor, label: Tensor, class_weights: Tensor | None = None) -> LossSums:
    """Sum up one batch: ``logits`` (B, K, H, W), ``label`` (B, H, W) int64, `UNKNOWN` ignored.

    ``class_weights`` (K,) weight the pixels of the cross entropy by their true class, and count them so; Dice needs none.
    """
    classes = logits.shape[1]
    known = label != UNKNOWN
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    # Unknown pixels are taken out by a product with 0: no indexing, so nothing depends on how many there are.
    weight = known.to(torch.float32).unsqueeze(1)
    truth = functional.one_hot(label.clamp(min=0), classes).permute(0, 3, 1, 2) * weight
    probabilities = log_probabilities.exp() * weight
    counted = truth if class_weights is None else truth * class_weights.view(1, -1, 1, 1)
    pixels = (0, 2, 3)
    return LossSums(
        cross_entropy=-(log_probabilities * counted).sum(),
        pixels=counted.sum(),
        overlap=(probabilities * truth).sum(pixels),
        mapped=probabilities.sum(pixels),
        truth=truth.sum(pixels),
    )


def cross_entropy(sums: LossSums) -> Tensor:
    """Mean over the known pixels; 0 where there is none."""
    return sums.cross_entropy / sums.pixels.clamp(min=_EPSILON)


def dice_loss(sums: LossSums) -> Tensor:
    """1 - soft Dice (Milletari et al., 2016, with linear terms), mean over the classes that the truth holds; 0 where it holds none."""
    present = (sums.truth > 0).to(torch.float32)
    dice = 2 * sums.overlap / (sums.mapped + sums.truth + _EPSILON)
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)


def supervised_loss(
    logits: Sequence[Tensor],
    label: Tensor,
    weights: Sequence[float],
    reduce: Callable[[Tensor], Tensor] | None = None,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Cross entropy + Dice of every level, weighted: ``logits`` from fine to coarse, ``label`` (B, H, W) at the finest.

    Coarse logits are repeated up to the labels' size, so that every label counts at every level. ``reduce`` adds the flat
    sums of all processes; it must pass this process's gradient through.
    """
    total = label.new_zeros((), dtype=torch.float32)
    for level, weight in zip(logits, weights, strict=True):
        fine = functional.interpolate(level.float(), size=label.shape[-2:], mode="nearest")
        flat = loss_sums(fine, label, class_weights).flatten()
        sums = LossSums.from_flat(flat if reduce is None else reduce(flat))
        total = total + weight * (cross_entropy(sums) + dice_loss(sums))
    return total
