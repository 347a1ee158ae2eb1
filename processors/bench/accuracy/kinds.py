"""Kinds of classifiers fitted and scored as a request does it: chosen inside what is learnt from, and scored on what took no part."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from agrunet.calibration import calibration
from agrunet.checkpoint.config import CheckpointConfig
from agrunet.data.folds import AllScored
from agrunet.data.header import FolderHeader
from agrunet.data.patches import FieldSource, LabelledSource
from agrunet.inference import predict
from agrunet.metrics import score
from agrunet.networks.registry import Network
from agrunet.training.distributed import Ranks, ranks
from agrunet.training.evaluation import Tally
from agrunet.training.fitting import StepCount, fit, steps_of
from agrunet.training.settings import Settings
from agrunet.training.train import compare
from processors.bench.accuracy.rows import Run, run_of

Kinds = Mapping[str, Settings]
"""Settings by kind, the preferred one first."""

CHOSEN = "chosen"


def by_folds(source: FieldSource, kinds: Kinds, seeds: Sequence[int]) -> dict[str, tuple[Run, ...]]:
    """Score each kind, and the choice among them, by the folds of the source's fields: a run a seed."""
    runs: dict[str, list[Run]] = {kind: [] for kind in (*kinds, CHOSEN)}
    for seed in seeds:
        seeded = with_seed(kinds, seed)
        with ranks("cpu") as group:
            choice = compare(source, seeded, _steps(source, seeded, group), group, StepCount(None))
        for kind, tally in choice.tallies.items():
            runs[kind].append(_run(tally, source.header, seed))
        if choice.estimate is not None:
            runs[CHOSEN].append(_run(choice.estimate.tally, source.header, seed))
    return {kind: tuple(found) for kind, found in runs.items() if found}


def across(
    learnt: FieldSource, scored: LabelledSource, kinds: Kinds, choosing: Kinds, seeds: Sequence[int]
) -> dict[str, tuple[Run, ...]]:
    """Fit each kind on one region and score it on another.

    The kind that the first region's own folds choose counts as chosen; ``choosing``: settings that it is chosen with, for a shorter time.
    """
    target = AllScored(scored)
    with ranks("cpu") as group:
        choice = compare(learnt, choosing, _steps(learnt, choosing, group), group, StepCount(None))
        runs: dict[str, list[Run]] = {kind: [] for kind in kinds}
        for seed in seeds:
            for kind, settings in with_seed(kinds, seed).items():
                started = time.monotonic()
                network, config = fit(learnt, settings, steps_of(learnt, settings, group), group, StepCount(None))
                known = choice.estimate if kind == choice.kind else None
                if known is not None:
                    config = config.model_copy(update={"temperature": known.temperature})
                tally = mapped(network, config, target)
                seconds = time.monotonic() - started
                runs[kind].append(_run(tally, target.header, seed, seconds, calibrated=known is not None))
    return {kind: tuple(found) for kind, found in {**runs, CHOSEN: runs[choice.kind]}.items()}


def with_seed(kinds: Kinds, seed: int) -> dict[str, Settings]:
    """The same settings with another seed."""
    return {kind: settings.model_copy(update={"seed": seed}) for kind, settings in kinds.items()}


def mapped(network: Network, config: CheckpointConfig, source: LabelledSource) -> Tally:
    """Count how a model maps what a source holds out."""
    tally = Tally(source.header)
    for index, probabilities in predict(network, config, source, range(len(source))):
        tally.add(source, index, probabilities)
    return tally


def _steps(source: LabelledSource, kinds: Kinds, group: Ranks) -> dict[str, int]:
    return {kind: steps_of(source, settings, group) for kind, settings in kinds.items()}


def _run(tally: Tally, header: FolderHeader, seed: int, seconds: float = 0.0, *, calibrated: bool = True) -> Run:
    matrix = tally.confusion["hold-out"]
    ece = calibration(tally.reliability["hold-out"], "hold-out").ece if calibrated else None
    return run_of(score(matrix, "hold-out", header.classes), seed, ece, seconds)
