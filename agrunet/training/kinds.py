"""Which kinds of classifiers suit a data set: the candidates among which evidence chooses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from agrunet.data.patches import LabelledSource
from agrunet.data.training_pixels import class_counts
from agrunet.errors import AgrunetError
from agrunet.networks.registry import TAKES
from agrunet.training.replay import replayable
from agrunet.training.settings import KINDS, Settings, preset_settings, read_training_config
from agrunet.training.starting import FineTuning, adapted_config

_LOG = logging.getLogger("agrunet")

REPLAY = "forest-replay"
"""Name of the kind that learns from simulated series, too."""

AUTO = "auto"
"""Name of the choice among all kinds that suit."""

MANY_PATCHES = 40
"""Patches that hold labels from which on a network that learns windows from nothing is tried: with fewer it was never the best."""


def candidates(
    source: LabelledSource, preset: str, start_from: Path | None = None, replay: Path | None = None
) -> dict[str, Settings]:
    """Settings of the kinds to try on a data set, the preferred one first.

    ``start_from``: a checkpoint; where it is made for such patches, a model that goes on from it is tried, too. ``replay``: a table of
    simulated series; where it shows a class of the data set, so is a forest that learns from both. Raises `AgrunetError` where there is
    no such preset.
    """
    found = {name: preset_settings(name, preset) for name in _suiting(source, preset)}
    if preset == "quick":
        if start_from is not None or replay is not None:
            _LOG.info(
                "The preset quick compares nothing: no model goes on from another one, or learns from simulated series."
            )
        return found
    known: dict[str, Settings] = {}
    if start_from is not None and _serves(
        "fine-tuned", lambda: adapted_config(start_from, FineTuning(), source.header)
    ):
        known["fine-tuned"] = read_training_config(None, preset, "fine-tuned", start_from)
    if replay is not None and _forests_can_be_grown() and _serves(REPLAY, lambda: replayable(replay, source.header)):
        known[REPLAY] = read_training_config(None, preset, REPLAY, replay=replay)
    return {**known, **found}


def _serves(kind: str, check: Callable[[], object]) -> bool:
    """Whether what a kind begins with is made as the data set is; else the log says what isn't."""
    try:
        check()
    except AgrunetError as error:
        _LOG.info("No %s model is tried: %s", kind, error)
        return False
    return True


def _suiting(source: LabelledSource, preset: str) -> tuple[str, ...]:
    """Kinds that take what the data set holds; a network of windows only where there are enough of them to learn from.

    A try compares nothing: it takes one kind.
    """
    series = tuple(
        kind for kind in KINDS if TAKES.get(kind) == "series" and (kind != "forest" or _forests_can_be_grown())
    )
    if preset == "quick":
        return series[-1:] if source.header.mosaic else ("agrunet",)
    if source.header.mosaic:
        return series
    patches = int(np.count_nonzero(class_counts(source).sum(axis=1)))
    return (*series, "agrunet") if patches >= MANY_PATCHES else series


def _forests_can_be_grown() -> bool:
    return find_spec("sklearn") is not None
