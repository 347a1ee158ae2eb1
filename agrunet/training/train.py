"""Training: a data set becomes a checkpoint of the kind that does best, in one process or in those that `torchrun` started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.folder import PatchFolder
from agrunet.data.folds import FoldView, fold_roles
from agrunet.data.patches import FieldSource, LabelledSource
from agrunet.data.public.datasets import open_dataset
from agrunet.data.public.pastis import Pastis
from agrunet.data.series_source import SeriesSource
from agrunet.files import sha256
from agrunet.intervals import with_intervals
from agrunet.memory import keep_freed_memory
from agrunet.training.choice import PARTS, Choice, Fit, choose_by_fields, choose_by_patches, trainings_by_fields
from agrunet.training.distributed import Ranks, ranks
from agrunet.training.evaluation import evaluate
from agrunet.training.fitting import Progress, StepCount, fit, fold_steps, steps_of
from agrunet.training.forest import ForestSettings
from agrunet.training.hull_pixels import training_hull
from agrunet.training.settings import PRESETS, Settings

Candidates = Callable[[LabelledSource], Mapping[str, Settings]]
"""Function that gives the settings to try on a data set, by the name of the kind, the preferred one first."""


def train(
    data: str | Path,
    output: Path,
    candidates: Settings | Candidates = PRESETS["standard"],
    progress: Progress | None = None,
    months: tuple[int, int] | None = None,
) -> CheckpointConfig:
    """Learn from a data set (`open_dataset`) and write the checkpoint ``output``; give its configuration back.

    Folders of training patches say of each pixel what it is for; of tables of series all that is labelled is learnt from, and scored by
    folds. Of a public data set the last fold is scored and the first one stops. ``months``: learn from those only, first and last.

    ``candidates``: settings of one kind, or what gives several for a data set: these are compared inside what is learnt from, and
    the best one is taken (`agrunet.training.choice`). The model learns from pixels of the split "train" only, fits the temperature on
    "stop", and is scored on "hold-out". Where the patches' fields are dealt into folds, models are made for each fold first, for fewer
    steps where the settings say so, and the scores and the temperature are those of how these map their fields. Under `torchrun` every
    process draws its own crops and the first one writes. The same seed on the same number of threads and processes gives the same
    weights. Raises `AgrunetError` where the patches can't be learnt from.
    """
    keep_freed_memory()
    source = labelled_source(data, months)
    named: Mapping[str, Settings] = candidates(source) if callable(candidates) else {candidates.kind: candidates}
    with ranks(next(iter(named.values())).device) as group:
        steps = {name: steps_of(source, settings, group) for name, settings in named.items()}
        count = StepCount(progress if group.first else None)
        choice = compare(source, named, steps, group, count)
        settings = named[choice.kind]
        count.expect(steps[choice.kind])
        network, checkpoint = fit(source, settings, steps[choice.kind], group, count)
        checkpoint, tally = evaluate(network, checkpoint, source, group)
        if choice.estimate is not None:
            tally = choice.estimate.tally
            checkpoint = tally.scored(checkpoint, {"hold-out": "grouped k-fold"}).model_copy(
                update={"temperature": choice.estimate.temperature}
            )
        evidence = tally.evidence(source.header)
        if evidence is not None:
            checkpoint = checkpoint.model_copy(update={"scores": with_intervals(checkpoint.scores, evidence)})
        words = _chosen_words(choice, fold_steps(settings, steps[choice.kind]), steps[choice.kind])
        hold_out = " ".join(part for part in (checkpoint.hold_out, words, _simulated_words(checkpoint)) if part)
        checkpoint = checkpoint.model_copy(
            update={"hold_out": hold_out, "kinds": choice.kinds if len(named) > 1 else ()}
        )
        if group.first:
            checkpoint = _with_digest(checkpoint, source, settings)
            save_checkpoint(output, network, checkpoint, evidence, training_hull(source))
    return checkpoint


def compare(
    source: LabelledSource, named: Mapping[str, Settings], steps: Mapping[str, int], group: Ranks, count: StepCount
) -> Choice:
    """Compare kinds of models, and estimate by folds what the best one reaches where fields are dealt into them.

    ``steps``: of each kind's whole training; those that are compared take fewer, where the settings say so.
    """
    short = {name: fold_steps(settings, steps[name]) for name, settings in named.items()}
    fits: dict[str, Fit] = {
        name: partial(fit, settings=settings, steps=short[name], group=group, count=count)
        for name, settings in named.items()
    }
    if source.header.evidence == "grouped k-fold" and isinstance(source, FieldSource):
        count.expect(trainings_by_fields(source, len(fits)) * sum(short.values()) + max(steps.values()))
        return choose_by_fields(source, fits, group)
    if len(fits) > 1:
        count.expect(PARTS * sum(short.values()) + max(steps.values()))
    return choose_by_patches(source, fits, group)


def _chosen_words(choice: Choice, short: int, steps: int) -> str:
    """How the scores came about where models of folds or several kinds took part."""
    words = []
    if choice.estimate is not None and short != steps:
        words.append(f"These networks were trained for {short} steps each, the model for {steps}.")
    if len(choice.kinds) > 1:
        reached = ", ".join(f"{entry.kind} (mean IoU {entry.miou:.3f})" for entry in choice.kinds)
        words.append(f"Kinds compared: {reached}; {choice.kind} was taken, chosen inside what was learnt from.")
    return " ".join(words)


def _simulated_words(checkpoint: CheckpointConfig) -> str:
    """That simulated series took part; nothing where none did."""
    simulated = checkpoint.training.get("replayed_pixels")
    if simulated is None:
        return ""
    training = checkpoint.training
    return (
        f"It learnt from {simulated:,} simulated series of {', '.join(training['replayed'])} beside {training['learnt_pixels']:,} labelled "
        "pixels."
    )


def _with_digest(checkpoint: CheckpointConfig, source: LabelledSource, settings: Settings) -> CheckpointConfig:
    """Add the digests of the patches, where they are a folder of this software, or of the table of series, and of simulated series."""
    digests = {}
    if isinstance(source, PatchFolder):
        digests["patches"] = source.digest()
    elif isinstance(source, SeriesSource) and (digest := source.digest()) is not None:
        digests["series"] = digest
    if isinstance(settings, ForestSettings) and settings.replay is not None:
        digests["simulated"] = sha256(settings.replay)
    return checkpoint.model_copy(update={"training_data": {**checkpoint.training_data, **digests}})


def labelled_source(data: str | Path, months: tuple[int, int] | None = None) -> LabelledSource:
    """Open a data set (`open_dataset`) with each pixel's use: of a public one with folds the last is scored and the first one stops."""
    source = open_dataset(data, months)
    if not isinstance(source, Pastis):
        return source
    last = max(source.header.folds or (1,))
    return FoldView(source, fold_roles(last, last))
