"""How a model does on real fields that learnt from simulated series alone: the judge of the simulated land, and of such models.

``python -m processors.simulation.scoring.transfer FOLDER [--json FILE] [--region NAME] [--fit NAME]``. Each region of `regions.REGIONS`
is mapped by the model that a request gets which names `simulated-here` (`place_series`), made with the fit of the land that left the
region out and limited to the crops that grow there. What is known of the region beside its crops is where it lies, on which days it was
seen and how much of it was clear. Beside it stands the same kind of model trained on the region itself, other blocks or other fields than
those it is tested on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agrunet.data.series_rows import take_rows
from agrunet.data.series_source import SeriesSource
from agrunet.data.series_table import SeriesMetadata, SeriesTable
from agrunet.inference import predict
from agrunet.training.distributed import ranks
from agrunet.training.fitting import StepCount, fit
from agrunet.training.forest import ForestSettings
from catalog.legend import LegendClass
from processors.simulation.land.fits import without
from processors.simulation.place_series import FOREST, Sight, place_series
from processors.simulation.scoring.regions import REGIONS, RealSeries, Region, read_region

FOLDS = 5
YEAR = 2019
"""Year that series are put into: days of the year are all that counts."""


@dataclass(frozen=True, slots=True)
class TransferScores:
    """Scores on a region."""

    oa: float
    miou: float
    iou: dict[str, float]
    pixels: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """One region's row."""

    region: str
    fit: str
    simulated: TransferScores
    """Trained on simulated series alone."""
    real: TransferScores
    """Trained on other blocks or fields of the region."""
    simulated_all: TransferScores
    """As `simulated`, over all labelled pixels and not those of larger fields alone."""


def transfer(folder: Path, name: str, fit: str | None = None, seed: int = 0) -> Transfer:
    """Scores of one region; the fit that left it out unless another one is named. Raises what reading the region raises."""
    region, real = REGIONS[name], read_region(folder, name)
    chosen = fit or without(name)
    table = _table(region, real)
    simulated = _simulated(real, region, chosen, seed)
    by_simulation = _mapped(simulated, table, seed)
    by_real = np.full(len(real.label), -1)
    turns = np.arange(real.group.max() + 1)
    fold = np.random.default_rng(seed).permutation(turns)[real.group] % FOLDS
    everyone = np.arange(len(real.label))
    for held in range(FOLDS):
        out, rest = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
        if len(out) and len(rest):
            asked = out if len(np.unique(real.label[out])) > 1 else everyone  # a table tells two classes apart
            by_real[out] = _mapped(take_rows(table, rest), take_rows(table, asked), seed)[np.isin(asked, out)]
    classes = tuple(region.classes)

    def scored(mapped: npt.NDArray[np.int64], of: npt.NDArray[np.bool_]) -> TransferScores:
        return _scores(real.label[of], mapped[of], classes)

    everything: npt.NDArray[np.bool_] = np.ones(len(real.label), np.bool_)
    return Transfer(
        name,
        chosen,
        scored(by_simulation, real.scored),
        scored(by_real, real.scored),
        scored(by_simulation, everything),
    )


def simulated_for(folder: Path, name: str, last: int = 366) -> SeriesTable:
    """Series simulated for a region as a request there has them simulated, by the fit that left it out, to a ``last`` day of the year.

    Raises what reading the region raises.
    """
    region, real = REGIONS[name], read_region(folder, name)
    seen = real.days <= last
    early = replace(real, days=real.days[seen], values=real.values[:, seen])
    return _simulated(early, region, without(name), 0)


def _simulated(real: RealSeries, region: Region, fit: str, seed: int) -> SeriesTable:
    return place_series(_sight(real, region), _crops(region), fit, seed)


def _crops(region: Region) -> tuple[LegendClass, ...]:
    return tuple(
        LegendClass(value=number + 1, name=name, colour="#808080", source_codes=kind.codes)
        for number, (name, kind) in enumerate(region.classes.items())
    )


def _sight(real: RealSeries, region: Region) -> Sight:
    """What is known of a region without its labels."""
    return Sight(
        points=np.stack([real.longitude, real.latitude], axis=1),
        year=YEAR,
        months=_months(real.days),
        days=[int(day) for day in real.days],
        clear=(real.values > 0).all(axis=2).mean(axis=0).tolist(),
        bands=real.bands,
        window=region.window,
    )


def _table(region: Region, real: RealSeries) -> SeriesTable:
    """The region's series, each with its class."""
    count, dates, bands = real.values.shape
    names = tuple(region.classes)
    return SeriesTable(
        ids=tuple(str(row) for row in range(count)), lon=real.longitude, lat=real.latitude, year=np.full(count, YEAR),
        labels=tuple(names[label] for label in real.label), bands=real.bands, offsets=np.arange(count + 1) * dates,
        days=np.tile(real.days.astype(np.int16), count), values=real.values.reshape(-1, bands),
        metadata=SeriesMetadata(
            months=_months(real.days), legend=[crop.model_dump(mode="json") for crop in _crops(region)]
        ),
    )  # fmt: skip


def _months(days: npt.NDArray[np.int64]) -> tuple[int, int]:
    first, last = (date(YEAR, 1, 1) + timedelta(days=int(day) - 1) for day in (days[0], min(days[-1], 365)))
    return first.month, last.month


def _mapped(learnt: SeriesTable, asked: SeriesTable, seed: int) -> npt.NDArray[np.int64]:
    """Class (N,) of each row of a table, by its position in the legend, from a forest that learnt from another table."""
    source, target = SeriesSource(learnt), SeriesSource(asked)
    with ranks("cpu") as group:
        settings = ForestSettings.model_validate({**FOREST, "seed": seed})
        network, config = fit(source, settings, 1, group, StepCount(None))
    order = [entry["name"] for entry in asked.metadata.legend]
    position = np.array([order.index(name) for name in config.classes])
    chosen: npt.NDArray[np.int64] = np.full(len(asked), -1, np.int64)
    for index, probabilities in predict(network, config, target, range(len(target))):
        rows = target.rows(index)
        best = position[np.nan_to_num(probabilities).argmax(axis=0).reshape(-1)]
        chosen[rows] = best[: len(rows)]
    return chosen


def _scores(truth: npt.NDArray[np.int64], mapped: npt.NDArray[np.int64], classes: tuple[str, ...]) -> TransferScores:
    """Over the classes that there are."""
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, mapped), 1)
    right = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    here = confusion.sum(axis=1) > 0
    share = right / np.maximum(union, 1)
    return TransferScores(
        round(float(right.sum() / confusion.sum()), 4),
        round(float(share[here].mean()), 4),
        {name: round(float(part), 4) for name, part, there in zip(classes, share, here, strict=True) if there},
        int(confusion.sum()),
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the real test data")
    parser.add_argument("--region", choices=sorted(REGIONS), nargs="+", default=list(REGIONS))
    parser.add_argument("--fit", help="fit of the land; the one that left the region out by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the record")
    given = parser.parse_args(arguments)
    rows = [asdict(transfer(given.folder, name, given.fit, seed=given.seed)) for name in given.region]
    text = json.dumps({"regions": rows}, indent=1) + "\n"
    if given.json:
        given.json.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
