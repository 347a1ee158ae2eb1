"""Calibration: how far confidence and accuracy differ (expected calibration error), and the reliability diagram behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.settings import Frozen

BINS = 15
"""Bins of equal width from 0 to 1 (Guo et al., 2017)."""

Counts = npt.NDArray[np.float64]
"""Counts (3, `BINS`): pixels, the sum of their confidences, and how many were mapped as the truth says; patches and processes add up."""


class ReliabilityBin(Frozen):
    """Pixels of about the same confidence."""

    pixels: int
    confidence: Annotated[float, Field(description="their mean")]
    accuracy: Annotated[float, Field(description="part of them mapped as the truth says")]


class Calibration(Frozen):
    """The calibration of one split, after the temperature."""

    split: str
    ece: Annotated[float, Field(description="mean of |accuracy - confidence| over the bins, weighted by their pixels")]
    bins: Annotated[tuple[ReliabilityBin, ...], Field(description="by rising confidence; empty ones left out")]


def reliability_counts(probabilities: npt.NDArray[np.floating], truth: npt.NDArray[np.integer]) -> Counts:
    """Count pixels by confidence: ``probabilities`` (K, H, W), NaN where unmapped; ``truth`` (H, W), negative where unknown."""
    known = (truth >= 0) & ~np.isnan(probabilities[0])
    chosen = probabilities[:, known]
    confidence, mapped = chosen.max(0).astype(np.float64), chosen.argmax(0)
    # A confidence on an edge belongs to the bin below it; 0 to the lowest.
    number = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    weights = (None, confidence, (mapped == truth[known]).astype(np.float64))
    return np.stack([np.bincount(number, weight, BINS).astype(np.float64) for weight in weights])


def calibration(counts: Counts, split: str) -> Calibration:
    """Sum up counts as a calibration; without any pixel the error is 0 and there are no bins."""
    used = counts[:, counts[0] > 0]
    pixels, confidence, hits = used
    gaps = np.abs(hits - confidence)  # already weighted by the pixels of their bins
    return Calibration(
        split=split,
        ece=float(gaps.sum() / pixels.sum()) if pixels.size else 0.0,
        bins=tuple(
            ReliabilityBin(pixels=int(n), confidence=float(total / n), accuracy=float(right / n))
            for n, total, right in zip(pixels, confidence, hits, strict=True)
        ),
    )


def draw_reliability(calibrations: tuple[Calibration, ...], path: Path, *, synthetic: bool) -> None:
    """Write the reliability diagram as PNG: accuracy over confidence, below it the pixels of each bin; a column per split."""
    from matplotlib.figure import Figure  # slow to import, and needed where a checkpoint is written alone

    figure = Figure(figsize=(4.2 * len(calibrations), 5.2), layout="constrained")
    axes = figure.subplots(2, len(calibrations), squeeze=False, sharex=True, height_ratios=(3, 1))
    for column, found in enumerate(calibrations):
        upper, lower = axes[:, column]
        confidence = [part.confidence for part in found.bins]
        upper.plot([0, 1], [0, 1], color="#999999", linestyle="--", label="perfect")
        upper.plot(confidence, [part.accuracy for part in found.bins], "o-", color="#2a6f4e", label="this model")
        upper.set(title=f"{found.split}, ECE {found.ece:.3f}", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        upper.legend(loc="upper left")
        lower.bar(confidence, [part.pixels for part in found.bins], width=0.8 / BINS, color="#7aa874")
        lower.set(xlabel="confidence", ylabel="pixels")
    figure.suptitle("Reliability" + (" (SYNTHETIC data)" if synthetic else ""))
    figure.savefig(path, dpi=120)
