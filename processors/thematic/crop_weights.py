"""Weights of the classes that a map may name: what grows in a region, as its statistics say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from catalog.errors import RequestError
from catalog.legend import Legend, spelled
from catalog.legend_words import hcat_code, hcat_stem
from catalog.quoting import shortened, shown

Weights = npt.NDArray[np.float32]
"""(K,), by the legend's mapped classes."""


def weights_of(legend: Legend, crops: Mapping[str, float]) -> Weights | None:
    """Weight of each class; None where all may be named alike.

    A crop is named by its class's name, whatever the case, or by an HCAT code: classes of codes below it are meant, too. What is known to
    be no crop keeps the weight 1 where it isn't named. Raises `RequestError` where the legend has no such class.
    """
    if not crops:
        return None
    entries = legend.mapped
    weights = np.array([1.0 if entry.role == "background" else 0.0 for entry in entries], np.float32)
    for crop, weight in crops.items():
        meant = [number for number, entry in enumerate(entries) if spelled(entry.name) == spelled(crop)] or [
            number for number, entry in enumerate(entries) if entry.hcat and _below(entry.hcat, crop)
        ]
        if not meant:
            known = shortened(
                ", ".join(f"{entry.name}{f' ({entry.hcat})' if entry.hcat else ''}" for entry in entries), 1000
            )
            raise RequestError(f"crops: the model names no {shown(crop)}. It has {known}.")
        weights[meant] = weight
    return weights


def _below(code: str, crop: str) -> bool:
    """Whether a class's HCAT code is that of a crop, or of a kind of it."""
    group, own = hcat_code(crop), hcat_code(code)
    return group is not None and own is not None and own.startswith(hcat_stem(group))


def weighted(probabilities: npt.NDArray[np.float32], weights: Weights) -> npt.NDArray[np.float32]:
    """Probabilities (K, H, W) times the weights (K,), summing to 1 again; NaN stays.

    By Bayes' rule that is the class's probability where the weights are how much more, or less, often each class stands on this ground
    than where the model learnt (Saerens et al., 2002). Where nothing is left of a pixel the weights themselves are all that is known.
    """
    scaled = probabilities * weights[:, None, None]
    total = scaled.sum(axis=0)
    lost = total <= np.finfo(np.float32).tiny
    if lost.any():
        scaled[:, lost] = weights[:, None]
        total = np.where(lost, weights.sum(), total)
    shares: npt.NDArray[np.float32] = (scaled / total).astype(np.float32)
    return shares
