"""`python -m agrunet {cross-validate,tune}`: AgrUNet and its rivals on a public data set, alone or under `torchrun -m agrunet`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agrunet.data.public.datasets import open_dataset
from agrunet.errors import AgrunetError
from agrunet.training.cross_validation import Summary, cross_validate
from agrunet.training.recipe import RECIPES, Recipe

_LOG = logging.getLogger("agrunet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 where it was done, 1 with one line of reason where it was not."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = read_recipe(options.recipe, options.set)
        source = open_dataset(options.data)
        if options.command == "tune":
            _tune(source, recipe, options)
        else:
            _cross_validate(source, recipe, options)
    except AgrunetError as error:
        _LOG.error("%s", error)
        return 1
    return 0


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A named recipe, or a JSON file's, with changes such as ``rate=1e-3`` or ``network.kind=utae``.

    Raises `AgrunetError` naming what is wrong.
    """
    if name in RECIPES:
        settings: dict[str, Any] = RECIPES[name].model_dump(mode="json")
    else:
        try:
            settings = json.loads(Path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            known = ", ".join(sorted(RECIPES))
            raise AgrunetError(f"recipe {name}: {error}. Give one of {known}, or a JSON file.") from error
    for change in changes:
        _change(settings, change)
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AgrunetError(f"recipe {name}: {where}: {first['msg']}. Correct it.") from error


def _change(settings: dict[str, Any], change: str) -> None:
    path, sign, text = change.partition("=")
    if not sign:
        raise AgrunetError(f"--set {change}: give NAME=VALUE, such as rate=1e-3.")
    *outer, last = path.split(".")
    for name in outer:
        settings = settings.setdefault(name, {})
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if path == "network.kind" and settings.get("kind") != value:
        # Another network keeps what it is fed and what it tells apart; its shape is its own.
        kept: dict[str, Any] = {name: settings[name] for name in ("bands", "classes") if name in settings}
        settings.clear()
        settings.update(kept)
    settings[last] = value


def _cross_validate(source: Any, recipe: Recipe, options: argparse.Namespace) -> None:
    with _bar() as bar:
        task = bar.add_task("patches are read", total=None)

        def show(epoch: int, step: int, steps: int, loss: float) -> None:
            bar.update(
                task,
                description=f"epoch {epoch} of at most {recipe.epochs}, loss {loss:.3f}",
                completed=step,
                total=steps,
            )

        summary = cross_validate(source, options.output, recipe, options.folds, show)
    if os.environ.get("RANK", "0") == "0":
        _LOG.info("%s", told(summary))


def told(summary: Summary) -> str:
    """The scores of all test folds as lines of text."""
    lines = ["fold     OA   mIoU   Dice"]
    for fold, found in zip(summary.folds, summary.scores, strict=True):
        lines.append(f"{fold:4d}  {found.oa:.3f}  {found.miou:.3f}  {found.dice:.3f}")
    for name, spread in summary.over_folds.items():
        lines.append(f"{name:10s} mean {spread.mean:.4f}, standard deviation over folds {spread.std:.4f}")
    return "\n".join(lines)


def _tune(source: Any, recipe: Recipe, options: argparse.Namespace) -> None:
    from agrunet.training.tuning import tune  # Optuna is slow to import

    with _bar() as bar:
        task = bar.add_task("trial 1", total=options.trials)

        def show(number: int, dice: float) -> None:
            bar.update(task, description=f"trial {number + 1} reached Dice {dice:.4f}", completed=number + 1)

        found = tune(source, options.output, recipe, trials=options.trials, test_fold=options.test_fold, progress=show)
    _LOG.info("%s", found.model_dump_json(indent=1))


def _bar() -> Progress:
    first = os.environ.get("RANK", "0") == "0"
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), disable=not first)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agrunet", description="AgrUNet and its rivals on a data set.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("cross-validate", "train and test a model per fold"),
        ("tune", "search a recipe's settings with Optuna"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--data", required=True, help="pastis:FOLDER, or a folder of training patches with folds")
        command.add_argument("--output", type=Path, required=True, help="folder of models, states, curves and summary")
        command.add_argument("--recipe", default="orthopastis", help=f"{', '.join(sorted(RECIPES))}, or a JSON file")
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting")
        if name == "tune":
            command.add_argument("--trials", type=int, default=20)
            command.add_argument("--test-fold", type=int, default=1, help="the fold that is not looked at")
        else:
            command.add_argument("--folds", type=int, nargs="+", help="test folds; all by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
