"""Which kinds of classifiers suit a data set: the candidates among which evidence chooses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agrunet.data.patches import LabelledSource
from agrunet.data.training_pixels import class_counts
from agrunet.errors import AgrunetError
from agrunet.networks.registry import TAKES
from agrunet.training.presets import KINDS, Settings

AUTO = "auto"
"""Name of the choice among all kinds that suit."""

MANY_PATCHES = 40
"""Patches that hold labels from which on a network that learns windows from nothing is tried: with fewer it was never the best."""


def kind_names() -> tuple[str, ...]:
    """Kinds that may be asked for by name."""
    return (AUTO, *KINDS)


def candidates(source: LabelledSource, kind: str, preset: str) -> Mapping[str, Settings]:
    """Settings of the kinds to try on a data set, the preferred one first.

    ``kind``: one alone, or `AUTO`. Raises `AgrunetError` where there is no such kind or preset.
    """
    names = _suiting(source) if kind == AUTO else (kind,)
    settings: dict[str, Settings] = {}
    for name in names:
        if name not in KINDS:
            raise AgrunetError(f"no kind {name!r}. Choose from {', '.join(kind_names())}.")
        if preset not in KINDS[name]:
            raise AgrunetError(f"no preset {preset!r}. Choose from {', '.join(sorted(KINDS[name]))}.")
        settings[name] = KINDS[name][preset]
    return settings


def _suiting(source: LabelledSource) -> tuple[str, ...]:
    """Kinds that take what the data set holds; a network of windows only where there are enough of them to learn from."""
    series = tuple(kind for kind in KINDS if TAKES[kind] == "series")
    if source.header.mosaic:
        return series
    patches = int(np.count_nonzero(class_counts(source).sum(axis=1)))
    return (*series, "agrunet") if patches >= MANY_PATCHES else series
