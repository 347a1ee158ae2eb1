"""The commands of `python -m agrunet`, one function each; torch and Optuna are imported when a command needs them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agrunet.errors import AgrunetError

if TYPE_CHECKING:
    from agrunet.training.cross_validation import Summary

_LOG = logging.getLogger("agrunet")

_STEPS_PER_LINE = 10
"""Steps of a training between two lines of progress."""


def train(
    data: str,
    output: Path,
    config: Path | None,
    preset: str,
    kind: str = "agrunet",
    start_from: Path | None = None,
    replay: Path | None = None,
    months: Sequence[int] | None = None,
    end_with_input: bool = False,
) -> None:
    """Train a model of a kind and write the checkpoint ``output``; a line of progress for every few steps."""
    if end_with_input:
        Thread(target=_end_with_input, daemon=True).start()
    from agrunet.training.kinds import AUTO, candidates
    from agrunet.training.settings import read_training_config
    from agrunet.training.train import train as train_model

    def log(step: int, steps: int, loss: float) -> None:
        if step % _STEPS_PER_LINE == 0 or step == steps:
            _LOG.info("step %d of %d, loss %.4f", step, steps, loss)

    season = None if months is None else (months[0], months[1])
    if kind == AUTO and config is not None:
        raise AgrunetError(
            f"settings {config} are those of one kind, and --kind {AUTO} compares several. Name the kind."
        )
    train_model(
        data,
        output,
        read_training_config(config, preset, kind, start_from, replay)
        if kind != AUTO
        else lambda source: candidates(source, preset, start_from, replay),
        log,
        season,
    )


def map_fields(data: str, model: Path, output: Path, end_with_input: bool = False) -> None:
    """Map the fields of patches or series by a checkpoint, and write how as JSON into ``output``."""
    if end_with_input:
        Thread(target=_end_with_input, daemon=True).start()
    from agrunet.evidence import write_evidence
    from agrunet.training.field_mapping import map_fields as map_all

    write_evidence(output, map_all(data, model))


def hull(data: str, model: Path) -> None:
    """Fit the hull of what a checkpoint learnt from, and write it into the checkpoint."""
    from agrunet.training.later_hull import hull_for_checkpoint

    fitted = hull_for_checkpoint(data, model)
    _LOG.info("%d series from %d pixels, limits from %d others", len(fitted.series), fitted.learnt, fitted.unseen)


def _end_with_input() -> None:
    """End this process when its standard input ends, at once: a checkpoint that isn't whole is worth nothing."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(1)


def cross_validate(data: str, output: Path, recipe: str, changes: Sequence[str], folds: Sequence[int] | None) -> None:
    """Train and test a model per fold below ``output``, and write the scores into the log."""
    from agrunet.data.public.datasets import open_dataset
    from agrunet.training.cross_validation import cross_validate as validate
    from agrunet.training.recipe import read_recipe

    settings = read_recipe(recipe, changes)
    source = open_dataset(data)
    with _progress() as bar:
        task = bar.add_task("patches are read", total=None)

        def show(epoch: int, step: int, steps: int, loss: float) -> None:
            text = f"epoch {epoch} of at most {settings.epochs}, loss {loss:.3f}"
            bar.update(task, description=text, completed=step, total=steps)

        summary = validate(source, output, settings, folds, show)
    if _is_first():
        _LOG.info("%s", _score_table(summary))


def tune(data: str, output: Path, recipe: str, changes: Sequence[str], trials: int, test_fold: int) -> None:
    """Search a recipe's settings; the best ones are written below ``output`` and into the log."""
    from agrunet.data.public.datasets import open_dataset
    from agrunet.training.recipe import read_recipe
    from agrunet.training.tuning import tune as search

    settings = read_recipe(recipe, changes)
    source = open_dataset(data)
    with _progress() as bar:
        task = bar.add_task("trial 1", total=trials)

        def show(number: int, dice: float) -> None:
            bar.update(task, description=f"trial {number + 1} reached Dice {dice:.4f}", completed=number + 1)

        best = search(source, output, settings, trials=trials, test_fold=test_fold, progress=show)
    _LOG.info("%s", best.model_dump_json(indent=1))


def convert_munich(
    source: Path,
    output: Path,
    size: int,
    months: Sequence[int] | None,
    years: Sequence[str],
    bands: Sequence[str] | None,
    unknown: str,
    folds: int,
) -> None:
    """Convert Munich (MTLCC) into the folder of training patches ``output``."""
    from agrunet.data.public.mtlcc import BANDS, convert
    from agrunet.data.public.mtlcc_record import ALL_BANDS

    with _progress() as bar:
        task = bar.add_task("patches", total=None)
        convert(
            source,
            output,
            size=size,
            years=years,
            months=None if months is None else (months[0], months[1]),
            bands=ALL_BANDS if bands == ["all"] else bands or BANDS,
            unknown=unknown,
            folds=folds,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _score_table(summary: Summary) -> str:
    lines = ["fold     OA   mIoU   Dice"]
    for fold, scores in zip(summary.folds, summary.scores, strict=True):
        lines.append(f"{fold:4d}  {scores.oa:.3f}  {scores.miou:.3f}  {scores.dice:.3f}")
    for name, spread in summary.over_folds.items():
        lines.append(f"{name:10s} mean {spread.mean:.4f}, standard deviation over folds {spread.std:.4f}")
    return "\n".join(lines)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error; of the processes that `torchrun` started, the first one's only."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not _is_first()) as bar:
        yield bar


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"
