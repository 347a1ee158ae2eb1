"""Cross-validation: per fold a training with early stopping, its temperature and its scores; then mean and spread over the folds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.checkpoint.folder import read_config, save_checkpoint
from agrunet.data.class_weights import class_counts, class_weights
from agrunet.data.folds import FoldView, fold_roles
from agrunet.data.inputs import Normalisation, channels
from agrunet.data.patches import LabelledSource
from agrunet.data.public.pastis import Pastis
from agrunet.data.season import SeasonCut
from agrunet.data.training_pixels import training_normalisation, training_pixels
from agrunet.errors import AgrunetError
from agrunet.files import write_whole
from agrunet.inference import map_classes, predict
from agrunet.metrics import Scores, confusion_matrix, score
from agrunet.networks.registry import Network, fresh_network
from agrunet.settings import Frozen
from agrunet.training.distributed import ranks
from agrunet.training.evaluation import evaluate
from agrunet.training.hull_pixels import training_hull
from agrunet.training.learner import Learner
from agrunet.training.patch_batches import PatchBatches
from agrunet.training.recipe import Recipe
from agrunet.training.saved_state import Epoch, History, load_state, save_state, weights_of
from agrunet.training.tensorboard_curves import Curves

Progress = Callable[[int, int, int, float], None]
"""Function that is called after each step: the epoch (from 1), the step within it, steps of an epoch, the loss."""
EpochEnd = Callable[[Epoch], None]
"""Function that is called after each epoch; what it raises ends the training, which can go on later."""

_RECIPE, _SUMMARY = "recipe.json", "summary.json"


class Spread(Frozen):
    """Mean and spread of one figure over the folds."""

    mean: float
    std: Annotated[float, Field(description="sample standard deviation over the folds; 0 of a single one")]


class Summary(Frozen):
    """Scores of all test folds."""

    folds: Annotated[tuple[int, ...], Field(description="test folds, in the order of ``scores``")]
    scores: Annotated[tuple[Scores, ...], Field(description="of each test fold, from one confusion matrix")]
    over_folds: dict[str, Spread]


def cross_validate(
    source: LabelledSource,
    output: Path,
    recipe: Recipe,
    folds: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Train and test one model per fold in ``folds`` (all by default), as ``output/fold-N/model``, and sum up in `summary.json`.

    Folds that are done are kept, one that was cut off goes on after its last whole epoch. Raises `AgrunetError` where ``output``
    was begun with another recipe, or the set doesn't fit it.
    """
    chosen = tuple(folds) if folds else tuple(range(1, recipe.folds + 1))
    scores = []
    with ranks(recipe.device):  # joined once for all folds
        _same_recipe(output, recipe)
        for test in chosen:
            view = FoldView(source, fold_roles(recipe.folds, test))
            checkpoint = train_fold(view, output / f"fold-{test}", recipe, progress)
            scores.append(next(found for found in checkpoint.scores if found.split == "test-fold"))
    summary = Summary(folds=chosen, scores=tuple(scores), over_folds=_spreads(scores))
    write_whole(output / _SUMMARY, summary.model_dump_json(indent=1) + "\n")
    return summary


def train_fold(
    view: FoldView, output: Path, recipe: Recipe, progress: Progress | None = None, epoch_end: EpochEnd | None = None
) -> CheckpointConfig:
    """Train on the patches of role "train" until the Dice of "stop" stays away, and write the best epoch as ``output/model``.

    Under `torchrun` all processes call this. What was done before is kept: each epoch leaves its state.
    """
    model = output / "model"
    if model.is_dir():
        return read_config(model)
    source = view if recipe.months in (None, view.header.months) else SeasonCut(view, recipe.months)
    _check(source, recipe)
    counts = training_pixels(source)
    learnt = view.indices("train")
    normalisation = _normalisation(view, source, learnt)
    weights = class_weights(class_counts(source, learnt)) if recipe.class_weights else None
    with ranks(recipe.device) as group:
        network = fresh_network(recipe.network, recipe.seed).to(group.device)
        if recipe.checkpointing:
            network.checkpointing = True
        learner = Learner(
            network,
            _optimiser(network, recipe),
            group,
            normalisation=normalisation,
            cloud_input=recipe.cloud_input,
            precision=recipe.precision,
            supervision=recipe.supervision,
            clip=recipe.clip,
            class_weights=weights,
            compiled=recipe.compiled,
        )
        checkpoint = describe(source.header, recipe.network, normalisation, recipe.cloud_input, {})
        teaching = [index for index in learnt if counts[index]]
        epochs = PatchBatches(source, teaching, recipe.batch, recipe.seed, group, recipe.readers)
        fit = _Fit(learner, epochs, source, view.indices("stop"), checkpoint, recipe, output / "state")
        with Curves(output / "curves" if group.first else None) as curves:
            history = fit.run(curves, progress if group.first else None, epoch_end)
        facts = recipe.model_dump(mode="json", exclude={"device", "readers"}) | {"best_epoch": history.best.epoch}
        checkpoint, _ = evaluate(network, checkpoint, source, group, recipe.batch)
        checkpoint = checkpoint.model_copy(update={"training": facts})
        if group.first:
            save_checkpoint(model, network, checkpoint, hull=training_hull(source))
    return checkpoint


class _Fit:
    """The epochs of one training."""

    def __init__(
        self,
        learner: Learner,
        epochs: PatchBatches,
        source: LabelledSource,
        stop: Sequence[int],
        checkpoint: CheckpointConfig,
        recipe: Recipe,
        state: Path,
    ) -> None:
        self._learner, self._epochs, self._recipe, self._state = learner, epochs, recipe, state
        self._source, self._stop, self._checkpoint = source, stop, checkpoint

    def run(self, curves: Curves, progress: Progress | None, epoch_end: EpochEnd | None) -> History:
        """Train until it ends; the network then holds the best epoch's weights."""
        learner, network = self._learner, self._learner.network
        history, best = load_state(self._state, network, learner.optimiser, learner.scaler)
        while not history.ended(self._recipe.patience, self._recipe.epochs):
            entry = self._epoch(len(history.epochs) + 1, progress)
            history = History(epochs=(*history.epochs, entry))
            if history.best is entry:
                best = weights_of(network)
            if learner.group.first:
                save_state(self._state, network, learner.optimiser, learner.scaler, history, best)
                curves.add(entry)
            if epoch_end is not None:
                epoch_end(entry)
        network.load_state_dict(best)
        return history

    def _epoch(self, number: int, progress: Progress | None) -> Epoch:
        started, total = time.monotonic(), torch.zeros((), device=self._learner.group.device)
        self._learner.network.train()
        for step, (batch, label) in enumerate(self._epochs.batches(number), start=1):
            loss = self._learner.step(batch, label)
            total += loss
            if progress is not None:
                progress(number, step, self._epochs.steps, loss.item())
        mean = total.item() / self._epochs.steps
        if not math.isfinite(mean):
            raise AgrunetError(
                f"the loss became {mean} in epoch {number}. Lower the rate (now {self._recipe.rate}), or take fp32 or bf16."
            )
        self._learner.group.share_buffers(self._learner.network)
        found = self._validate()
        seconds = round(time.monotonic() - started, 3)
        return Epoch(epoch=number, loss=mean, dice=found.dice, oa=found.oa, seconds=seconds)

    def _validate(self) -> Scores:
        """Score the stopping fold: each patch by one process, one confusion matrix over all of them."""
        group, classes = self._learner.group, self._checkpoint.network.classes
        confusion = np.zeros((classes, classes), dtype=np.int64)
        mine = self._stop[group.rank :: group.world]
        network = self._learner.network
        for index, made in predict(network, self._checkpoint, self._source, mine, group.device, self._recipe.batch):
            confusion += confusion_matrix(self._source.label(index), map_classes(made), classes)
        return score(np.sum(group.gather(confusion), axis=0), "stop")


def _normalisation(view: FoldView, source: LabelledSource, learnt: Sequence[int]) -> Normalisation:
    """Normalisation of the training folds: as the data set publishes it, else measured on the pixels to learn from."""
    if isinstance(view.source, Pastis):
        return view.source.normalisation(view.learnt_folds)
    return training_normalisation(source, learnt)


def _optimiser(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)


def _check(source: LabelledSource, recipe: Recipe) -> None:
    header, network = source.header, recipe.network
    bands = channels(len(header.bands), recipe.cloud_input)
    if (bands, len(header.classes)) != (network.bands, network.classes):
        raise AgrunetError(
            f"the set has {bands} input channels and {len(header.classes)} classes, the recipe's network {network.bands} and "
            f"{network.classes}. Set bands and classes of the network to those of the set."
        )
    if header.patch_size % network.divisor:
        raise AgrunetError(
            f"patches of {header.patch_size} pixels, the network takes multiples of {network.divisor}. Take fewer levels."
        )


def _same_recipe(output: Path, recipe: Recipe) -> None:
    path = output / _RECIPE
    settings = recipe.model_dump_json(indent=1, exclude={"device", "readers"}) + "\n"
    if not path.exists():
        write_whole(path, settings)
    elif path.read_text(encoding="utf-8") != settings:
        raise AgrunetError(
            f"{output} was begun with another recipe, see {path}. Choose another folder, or remove this one."
        )


def _spreads(scores: Sequence[Scores]) -> dict[str, Spread]:
    spreads = {}
    for name in ("oa", "miou", "dice", "miou_crops", "dice_crops"):
        values = [getattr(found, name) for found in scores]
        if None not in values:
            std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            spreads[name] = Spread(mean=float(np.mean(values)), std=std)
    return spreads
