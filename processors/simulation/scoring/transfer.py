"""How a classifier does on real fields that learnt from simulated series alone: the judge of the simulated land.

``python -m processors.simulation.scoring.transfer FOLDER [--json FILE] [--region NAME] [--fit NAME]``. Each region of `regions.REGIONS`
is scored with the fit of the land that left the region out, the choice limited to the crops that grow there. What is known of the
region beside its crops is where it lies, on which days it was seen and where its series have gaps. The classifier, two ensembles of
extremely randomised trees (Geurts et al., 2006) on reflectance and on normalised differences, their probabilities averaged, was fixed
before. Beside it stands the same classifier trained on the region itself, other blocks or other fields than those it is tested on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalog.products import CROP_BANDS
from processors.simulation.land.fits import fitted_crops, without
from processors.simulation.scoring.regions import REGIONS, RealSeries, Region, read_region
from processors.simulation.series import Place, simulate

Floats = npt.NDArray[np.float32]

PLACES, FIELDS = 150, 50
TREES, LEAF, FOLDS = 200, 3, 5
_PAIRS = (("B08", "B04"), ("B08", "B11"), ("B11", "B12"), ("B07", "B05"), ("B03", "B04"), ("B02", "B03"))
"""Pairs of bands whose normalised difference is a feature."""


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


def transfer(
    folder: Path, name: str, fit: str | None = None, places: int = PLACES, fields: int = FIELDS, seed: int = 0
) -> Transfer:
    """Scores of one region; the fit that left it out unless another one is named. Raises what reading the region raises."""
    region, real = REGIONS[name], read_region(folder, name)
    chosen = fit or without(name)
    values, label = learnt_from(region, real, chosen, places, fields, seed)
    features = _features(real.values, real.bands)
    by_simulation = _predict(_features(values, real.bands), label, features, seed)
    by_real = np.full(len(real.label), -1)
    turns = np.arange(real.group.max() + 1)
    fold = np.random.default_rng(seed).permutation(turns)[real.group] % FOLDS
    for held in range(FOLDS):
        out, rest = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
        if len(out) and len(rest):
            by_real[out] = _predict(
                [part[rest] for part in features], real.label[rest], [part[out] for part in features], seed
            )
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


def learnt_from(
    region: Region, real: RealSeries, fit: str, places: int, fields: int, seed: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Simulated series (N, T, C) on the region's days, with its gaps, and their classes (N,). Uses no label of the region."""
    random = np.random.default_rng([seed, 0x7F])
    at = random.integers(0, len(real.label), places)
    share = {code: 1 / len(kind.codes) for kind in region.classes.values() for code in kind.codes}
    made = simulate(
        [
            Place(float(real.longitude[row]), float(real.latitude[row]), 1000 * seed + turn)
            for turn, row in enumerate(at)
        ],
        share,
        fields,
        [int(day) for day in real.days],
        crops=fitted_crops(fit),
        window=region.window,
        gaps=0.0,
    )
    values = made.values[:, :, [CROP_BANDS.index(band) for band in real.bands]]
    seen = np.asarray((real.values > 0).all(axis=2))[random.integers(0, len(real.label), len(values))]
    class_of = {code: number for number, kind in enumerate(region.classes.values()) for code in kind.codes}
    return np.where(seen[..., None], values, 0), np.array([class_of[int(code)] for code in made.crop])


def _features(values: npt.NDArray[np.uint16], bands: tuple[str, ...]) -> list[Floats]:
    """Reflectance with differences, and differences alone, (N, K) each."""
    seen = _without_gaps(values) * np.float32(1e-4)
    pairs = [(seen[..., bands.index(one)], seen[..., bands.index(other)]) for one, other in _PAIRS]
    differences = np.stack([(one - other) / (one + other + 1e-3) for one, other in pairs], axis=-1)
    flat = differences.reshape(len(seen), -1)
    return [np.concatenate([seen.reshape(len(seen), -1), flat], axis=1), flat]


def _without_gaps(values: npt.NDArray[np.uint16]) -> Floats:
    """(N, T, C) with gaps filled between the dates on either side, by the number of dates."""
    clear = (values > 0).all(axis=2)
    count = values.shape[1]
    position = np.arange(count)
    before = np.maximum.accumulate(np.where(clear, position, -1), axis=1)
    after = np.minimum.accumulate(np.where(clear, position, count)[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(before < 0, after, before), np.where(after == count, before, after)
    left, right = np.clip(left, 0, count - 1), np.clip(right, 0, count - 1)
    way = (position - left) / np.maximum(right - left, 1)
    row = np.arange(len(values))[:, None]
    start, end = (values[row, part].astype(np.float32) for part in (left, right))
    return np.asarray(start + np.clip(way, 0, 1)[..., None].astype(np.float32) * (end - start))


def _predict(
    learnt: list[Floats], label: npt.NDArray[np.int64], asked: list[Floats], seed: int
) -> npt.NDArray[np.int64]:
    from sklearn.ensemble import ExtraTreesClassifier

    total = 0.0
    for known, wanted in zip(learnt, asked, strict=True):
        trees = ExtraTreesClassifier(TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed)
        total = total + trees.fit(known, label).predict_proba(wanted)
    chosen: npt.NDArray[np.int64] = trees.classes_[np.asarray(total).argmax(axis=1)]
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
