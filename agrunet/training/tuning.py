"""The search for a recipe's settings with Optuna: on the stopping fold only, the test fold is never looked at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import optuna
from pydantic import Field

from agrunet.data.folds import FoldView, fold_roles
from agrunet.data.patches import LabelledSource
from agrunet.errors import AgrunetError
from agrunet.files import write_whole
from agrunet.settings import Frozen
from agrunet.training.cross_validation import train_fold
from agrunet.training.recipe import Recipe
from agrunet.training.saved_state import Epoch

_STUDY, _BEST = "study.db", "best.json"
_WARM_UP = 3
"""Number of trials, and of epochs of each, before a trial may be given up."""


class Space(Frozen):
    """The space that is searched: ranges on a logarithmic scale, and choices."""

    rate: Annotated[tuple[float, float], Field(description="learning rate")] = (1e-4, 5e-3)
    weight_decay: tuple[float, float] = (1e-5, 1e-1)
    supervision: Annotated[tuple[float, float], Field(description="weight of a level, relative to the finer one")] = (
        0.1,
        1.0,
    )
    batch: Annotated[tuple[int, ...], Field(min_length=1, description="patches per step")] = (2, 4, 8)


def tune(
    source: LabelledSource,
    output: Path,
    recipe: Recipe,
    *,
    trials: int,
    test_fold: int = 1,
    space: Space | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Recipe:
    """Find the best of ``trials`` trainings, each a training by ``recipe`` with other settings; written to ``output/best.json``.

    A trial that falls behind the median of the others is given up. A search that was cut off goes on: its trials are kept in
    `study.db`. ``progress`` is called with each trial's number and best Dice. One process; the cross-validation after it takes
    as many as there are. Raises `AgrunetError` where there is nothing to search.
    """
    if trials < 1:
        raise AgrunetError(f"{trials} trials; give at least 1.")
    wanted = space or Space()
    roles = fold_roles(recipe.folds, test_fold)
    view = FoldView(source, {fold: role for fold, role in roles.items() if role != "test-fold"})
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{output.resolve() / _STUDY}",
        study_name="agrunet",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(_WARM_UP, _WARM_UP),
    )
    done = len([trial for trial in study.trials if trial.state.is_finished()])
    # Seeded by how far the search is: one that goes on doesn't draw the same settings again.
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + done)

    def objective(trial: optuna.Trial) -> float:
        best = _trial(view, output / f"trial-{trial.number}", _suggested(trial, recipe, wanted), trial)
        if progress is not None:
            progress(trial.number, best)
        return best

    if done < trials:
        study.optimize(objective, n_trials=trials - done)
    found = _with(recipe, study.best_params)
    write_whole(output / _BEST, found.model_dump_json(indent=1) + "\n")
    return found


def _suggested(trial: optuna.Trial, recipe: Recipe, space: Space) -> Recipe:
    return _with(
        recipe,
        {
            "rate": trial.suggest_float("rate", *space.rate, log=True),
            "weight_decay": trial.suggest_float("weight_decay", *space.weight_decay, log=True),
            "supervision": trial.suggest_float("supervision", *space.supervision),
            "batch": trial.suggest_categorical("batch", list(space.batch)),
        },
    )


def _with(recipe: Recipe, settings: dict[str, object]) -> Recipe:
    return Recipe.model_validate(recipe.model_dump() | settings)


def _trial(view: FoldView, folder: Path, recipe: Recipe, trial: optuna.Trial) -> float:
    best = 0.0

    def report(entry: Epoch) -> None:
        nonlocal best
        best = max(best, entry.dice)
        trial.report(best, entry.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        train_fold(view, folder, recipe, epoch_end=report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what remains of a trial is its line in the study
    return best
