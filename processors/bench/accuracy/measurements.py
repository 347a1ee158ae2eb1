"""What is measured: each row and curve, on which labels, and what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.folds import AllScored
from agrunet.data.series_rows import take_rows
from agrunet.data.series_source import SeriesSource
from agrunet.data.series_table import SeriesTable, write_series
from agrunet.metrics import score
from agrunet.training.distributed import ranks
from agrunet.training.fitting import StepCount, fit, steps_of
from agrunet.training.kinds import REPLAY
from agrunet.training.settings import KINDS, Settings, TrainingConfig
from agrunet.training.starting import FineTuning
from catalog.registry import SHIPPED
from processors.bench.accuracy import points, square
from processors.bench.accuracy.kinds import Kinds, across, by_folds, mapped, with_seed
from processors.bench.accuracy.rows import Curve, Figure, Row, Run
from processors.simulation.land.fits import without
from processors.simulation.scoring.transfer import TransferScores, simulated_for, transfer
from processors.simulation.training_series import SeriesSettings, training_series

FIELDS = (5, 10, 20)
"""Fields of each crop that a curve is drawn over."""

FOREST, PIXEL, TUNED = "forest", "pixel", "fine-tuned"

SERIES_KINDS: Kinds = {PIXEL: KINDS[PIXEL]["standard"], FOREST: KINDS[FOREST]["standard"]}

_CHOOSING: Kinds = {PIXEL: KINDS[PIXEL]["quick"], FOREST: KINDS[FOREST]["quick"]}

JULY = 212
"""Day of the year that January to July end with."""

_SHIPPED = SHIPPED / "simulated-18-crops"
_START_SERIES, _START_STEPS = 12_000, 1500
"""Simulated series that the start of a curve learns from, and its steps."""

_STARTS = {"grapes": ("grapevine",), "alfalfa": ("leguminous fodder",), "orchards": ("orchard",)}
_STARTS |= {"maize": ("corn",), "soybean": ("soybeans",)}
"""Simulated classes that mean a region's."""


def flanders(data: Path, scratch: Path, seeds: Sequence[int]) -> Row:
    """Fields never seen of the square of Flanders, by kinds that suit a handful of fields."""
    source = square.write_square(data, scratch / "flanders")
    tuned = KINDS[TUNED]["standard"].model_copy(update={"start_from": _SHIPPED})
    return Row(
        name="Flanders 2019, fields never seen",
        what=(
            "14 fields of four crops in the project's folds, January to July; fine-tuned from the model that comes with the "
            "software, which saw no real field, but whose land had been tuned while looking at this square"
        ),
        figure="miou",
        asked=0.65,
        kinds=by_folds(source, {TUNED: tuned, REPLAY: _replayed(data, "flanders", scratch), **SERIES_KINDS}, seeds),
    )


def arkansas(data: Path, months: tuple[int, int], seeds: Sequence[int]) -> Row:
    """The south of Arkansas, by what learnt from the north."""
    north = SeriesSource(points.ARKANSAS_NORTH.table(data), months)
    south = SeriesSource(points.ARKANSAS_SOUTH.table(data), months)
    whole = months == (1, 12)
    return Row(
        name=f"Arkansas 2021, north to south, {'whole year' if whole else 'January to July'}",
        what="5,000 points to learn from, 5,000 others to map, five classes, ten-day medians; labels of a map, not of the ground",
        figure="oa",
        asked=0.955 if whole else None,
        above_forest=None if whole else 0.02,
        kinds=across(north, south, SERIES_KINDS, _CHOOSING, seeds),
    )


def canada(data: Path, seeds: Sequence[int]) -> Row:
    """Western Canada, in blocks of a degree."""
    table = points.in_degrees(points.large_classes(points.CANADA.table(data)))
    return Row(
        name="Canada 2017, west, blocks of a degree",
        what=f"points surveyed on the ground, April to November by month; classes of {points.LEAST} points and more, the rest as one",
        figure="oa",
        above_forest=0.03,
        kinds=by_folds(SeriesSource(table, points.CANADA.months), SERIES_KINDS, seeds),
    )


def no_labels(data: Path, region: str, figure: Figure, asked: float | None, seeds: Sequence[int]) -> Row:
    """A region mapped from simulated series alone, by the fit of the land that used nothing of it."""
    found = [transfer(data, region, seed=seed) for seed in seeds]
    return Row(
        name=f"{region.capitalize()}, no real label",
        what=(
            f"the model that a request makes which names simulated-here: a forest of series simulated there and on its dates, limited "
            f"to its crops; the land's fit is {without(region)!r}. "
            "The forest learnt from other blocks or fields of the region itself"
        ),
        figure=figure,
        asked=asked,
        kinds={
            "simulated": tuple(_run(part.simulated, seed) for seed, part in zip(seeds, found, strict=True)),
            FOREST: tuple(_run(part.real, seed) for seed, part in zip(seeds, found, strict=True)),
        },
        notes=tuple(
            f"All labelled pixels, seed {seed}: OA {part.simulated_all.oa}, mIoU {part.simulated_all.miou}."
            for seed, part in zip(seeds, found, strict=True)
        ),
    )


def few_fields(data: Path, scratch: Path, region: str, seeds: Sequence[int]) -> Curve:
    """Kinds by the number of points of each crop that they learn from, all other points mapped; the start never saw the region."""
    table, names = _region(data, region)
    start = _start(region, scratch / f"start-{region}")
    kinds: dict[str, Settings] = {
        TUNED: _tuned("standard", start, names),
        REPLAY: _replayed(data, region, scratch),
        **SERIES_KINDS,
    }
    found: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in kinds}
    for count in FIELDS:
        runs: dict[str, list[float]] = {kind: [] for kind in kinds}
        for seed in seeds:
            learnt, rest = _drawn(table, count, seed)
            source, target = SeriesSource(learnt, (1, 7)), AllScored(SeriesSource(rest, (1, 7)))
            with ranks("cpu") as group:
                for kind, settings in with_seed(kinds, seed).items():
                    network, config = fit(source, settings, steps_of(source, settings, group), group, StepCount(None))
                    tally = mapped(network, config, target)
                    reached = score(tally.confusion["hold-out"], "hold-out", target.header.classes)
                    runs[kind].append(round(reached.miou, 4))
        for kind, values in runs.items():
            found[kind].append(tuple(values))
    return Curve(
        name=f"few fields, {region}",
        what=(
            f"points of {', '.join(sorted(names))}, January to July; the start of fine-tuned models is a pixel network of simulated series "
            f"of the world, what forest-replay has beside the points is simulated there; both by the land's fit {without(region)!r}"
        ),
        fields=FIELDS,
        kinds={kind: tuple(values) for kind, values in found.items()},
    )


def _run(found: TransferScores, seed: int) -> Run:
    return Run(seed=seed, oa=found.oa, miou=found.miou, n_pixels=found.pixels, iou=found.iou)


def _region(data: Path, region: str) -> tuple[SeriesTable, set[str]]:
    table = {"arkansas": points.ARKANSAS, "california": points.CALIFORNIA}[region].table(data)
    names = set(_STARTS) & {label for label in table.labels if label is not None}
    return points.relabelled(table, lambda label: label if label in names else None), names


def _start(region: str, path: Path) -> Path:
    """A pixel network of simulated series of the fit that left the region out, as the checkpoint ``path``."""
    simulated = training_series(SeriesSettings(count=_START_SERIES, months=(1, 7), fit=without(region), seed=1))
    source = SeriesSource(simulated)
    settings = KINDS[PIXEL]["standard"]
    if not isinstance(settings, TrainingConfig):
        raise TypeError("a pixel network is trained in steps")
    settings = settings.model_copy(update={"shift": 0.15, "noise": 0.05})
    with ranks("cpu") as group:
        network, config = fit(source, settings, _START_STEPS, group, StepCount(None))
    save_checkpoint(path, network, config)
    return path


def _replayed(data: Path, region: str, scratch: Path) -> Settings:
    """Forests that learn from series simulated for a region, too, January to July, by the fit that left it out."""
    path = scratch / f"simulated-{region}.parquet"
    write_series(path, simulated_for(data, region, last=JULY))
    return KINDS[REPLAY]["standard"].model_copy(update={"replay": path})


def _tuned(preset: str, start: Path, names: set[str]) -> Settings:
    tuning = FineTuning(classes={name: _STARTS[name] for name in names})
    return KINDS[TUNED][preset].model_copy(update={"start_from": start, "fine_tuning": tuning})


def _drawn(table: SeriesTable, count: int, seed: int) -> tuple[SeriesTable, SeriesTable]:
    """So many rows of each class, and the others."""
    random = np.random.default_rng([seed, count])
    labels = np.array(table.labels)
    taken = np.concatenate([random.permutation(np.flatnonzero(labels == name))[:count] for name in np.unique(labels)])
    rest = np.setdiff1d(np.arange(len(labels)), taken)
    return take_rows(table, np.sort(taken)), take_rows(table, rest)
