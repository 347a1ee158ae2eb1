"""The temperature: what logits are divided by so that confidence is as high as accuracy (Guo et al., 2017)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from agrunet.inference import Probabilities

SampledPixels = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]]
"""Pixels with a known truth that were mapped, in parts: probabilities (n, K) made at temperature 1, and classes (n,)."""

_PIXELS = 4096
"""Pixels taken from one patch at most, evenly spread."""

_TEMPERATURES = (0.05, 20.0)


def sampled_pixels(
    probabilities: Probabilities, label: npt.NDArray[np.int16], wanted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]:
    """Sample pixels of a patch: ``probabilities`` (K, H, W), NaN where unmapped; ``label`` and ``wanted`` (H, W)."""
    known = np.flatnonzero(wanted & (label >= 0) & ~np.isnan(probabilities[0]))
    known = known[:: math.ceil(known.size / _PIXELS)] if known.size else known
    return probabilities.reshape(len(probabilities), -1).T[known], label.reshape(-1)[known]


def fit_temperature(pixels: SampledPixels) -> float:
    """Fit the temperature that makes the true classes of pixels most likely; 1 without any.

    The logarithms of their probabilities are logits up to a constant that the softmax removes.
    """
    if not any(len(truth) for _, truth in pixels):
        return 1.0
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


def tempered(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Probabilities (n, K) made at temperature 1 as they are at another one."""
    logits = torch.from_numpy(probabilities).double().clamp(min=1e-30).log() / temperature
    return torch.softmax(logits, dim=1).float().numpy()
