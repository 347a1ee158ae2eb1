"""Comparison of the simulated land with real fields: ``python -m processors.simulation.scoring.land_realism FOLDER [--json FILE]``.

FOLDER holds ``flanders-2019`` (Sentinel-2 L2A with declared crops). Two measures: per crop and month the distribution of NDVI and ten bands
beside that of the real clear pixels; and a random forest (needs `scikit-learn`) trained on simulated fields at the real dates and
tested on the real ones, beside the same forest trained on real ones in a block split. The simulation's weather is a draw for the
latitude, not that of 2019, and has no atmosphere here: `processors.simulation.scoring.product_realism` compares whole products.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from catalog.grid import Window
from catalog.products import BANDS, CROP_BANDS
from processors.simulation.land.appearance import Geometry
from processors.simulation.land.land import Land
from processors.simulation.land.rotation import FLANDERS
from processors.simulation.land.weather import Climate

Floats = npt.NDArray[np.float32]

CLASSES = {
    "winter wheat": (2, (1110,)),
    "maize": (3, (1200,)),
    "barley": (4, (1500, 1510)),
    "potato": (13, (5100,)),
    "sugar beet": (9, (8100,)),
    "grassland": (1, (9120,)),
}
"""Code of the simulated crop and codes of the real labels."""

LATITUDE, EPSG = 51.0, 32631
SEEDS = (1, 2, 3)
SIZE = 256
PIXELS = 600
"""Simulated pixels of each class and seed."""
TREES, BLOCK = 300, 16
CLEAR = (4, 5, 6, 7)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """N pixels over T dates."""

    days: tuple[date, ...]
    values: Floats
    """(T, 10, N) reflectance."""
    clear: npt.NDArray[np.bool_]
    """(T, N)"""
    label: npt.NDArray[np.int64]
    """(N,): position in `CLASSES`."""
    fold: npt.NDArray[np.int64]
    """(N,): 0 to 3, by blocks of 16 x 16 pixels."""
    position: npt.NDArray[np.int64] | None = None
    """(2, N): row and column in the square; None for simulated pixels."""


Mask = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.bool_]]
"""Function that tells what is clear (H, W) by a scene classification (H, W) at 10 m."""


def by_classes(scl: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Clear by the classification alone, nothing widened."""
    return np.isin(scl, CLEAR)


def read(folder: Path, mask: Mask = by_classes) -> Series:
    """The labelled pixels of 2019 with every date that has clear ones."""
    root = folder / "flanders-2019"
    codes = _band(root / "labels" / "crop_type.tif").astype(np.int64)
    label = np.full(codes.shape, -1)
    for number, (_, real) in enumerate(CLASSES.values()):
        label[np.isin(codes, real)] = number
    here = label >= 0
    days, values, clear = [], [], []
    for item in sorted((root / "sentinel-2-l2a").glob("S2_*_L2A")):
        day = date.fromisoformat(item.name.split("_")[2][:8])
        if day.year != 2019:
            continue
        numbers = np.stack([_band(item / f"{name}.tif")[here] for name in CROP_BANDS])
        seen = mask(_band(item / "SCL.tif").astype(np.uint8))[here] & (numbers > 0).all(axis=0)
        if seen.any():
            days.append(day)
            values.append(numbers * np.float32(1e-4))
            clear.append(seen)
    rows, columns = np.nonzero(here)
    fold = (rows // BLOCK + columns // BLOCK) % 4
    return Series(tuple(days), np.stack(values), np.stack(clear), label[here], fold, np.stack([rows, columns]))


def simulate(days: tuple[date, ...]) -> Series:
    """Pure pixels of simulated fields on the same days, a few hundred of each class and seed."""
    columns = [list(BANDS).index(name) for name in CROP_BANDS]
    parts, labels = [], []
    for seed in SEEDS:
        land = Land(EPSG, Climate.at(LATITUDE), seed, FLANDERS)
        window = Window(EPSG, 50_000, 565_000, SIZE, SIZE)
        truth = land.truth(window, 2019)
        random = np.random.default_rng(seed)
        chosen, label = [], []
        for number, (code, _) in enumerate(CLASSES.values()):
            here = np.flatnonzero((truth.crop == code) & (truth.share == 1))
            here = random.permutation(here)[:PIXELS]
            chosen.append(here)
            label.append(np.full(len(here), number))
        at = np.concatenate(chosen)
        seen = [
            land.reflectance(window, day, Geometry(sun_zenith(day)))[columns].reshape(len(columns), -1)[:, at]
            for day in days
        ]
        parts.append(np.stack(seen))
        labels.append(np.concatenate(label))
    values, joined = np.concatenate(parts, axis=2), np.concatenate(labels)
    return Series(days, values, np.ones((len(days), len(joined)), bool), joined, np.zeros(len(joined), np.int64))


def sun_zenith(day: date) -> float:
    """Degrees, at the site when Sentinel-2 passes (10:57 UTC, 3 degrees east); declination after Cooper (1969)."""
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day.timetuple().tm_yday) / 365)
    hour, latitude = math.radians(15 * (10.95 + 3 / 15 - 12)), math.radians(LATITUDE)
    up = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.acos(up))


def distributions(real: Series, simulated: Series) -> list[dict[str, Any]]:
    """Quartiles of NDVI and bands by class and month, on the real dates, and the differences of the medians."""
    rows = []
    for name, month, observed, made in by_class_and_month(real, simulated):
        if observed.shape[1] < 20:
            continue
        row: dict[str, Any] = {"crop": name, "month": month, "real_pixels": observed.shape[1]}
        for column, band in enumerate(("NDVI", *CROP_BANDS)):
            quartiles = [np.percentile(sample[column], (25, 50, 75)) for sample in (observed, made)]
            row[band] = {
                "real": [round(float(value), 4) for value in quartiles[0]],
                "simulated": [round(float(value), 4) for value in quartiles[1]],
                "difference": round(float(quartiles[1][1] - quartiles[0][1]), 4),
            }
        rows.append(row)
    return rows


def by_class_and_month(real: Series, simulated: Series) -> Iterator[tuple[str, int, Floats, Floats]]:
    """Class, month, and (11, K) NDVI and bands of its clear pixels, real and simulated."""
    for number, name in enumerate(CLASSES):
        for month in range(1, 13):
            times = [index for index, day in enumerate(real.days) if day.month == month]
            yield name, month, pooled(real, number, times), pooled(simulated, number, times)


def pooled(series: Series, number: int, times: list[int]) -> Floats:
    """(11, K): NDVI and bands of all clear pixels of a class."""
    of_class = series.label == number
    parts = [series.values[time][:, series.clear[time] & of_class] for time in times]
    values = np.concatenate(parts, axis=1) if parts else np.zeros((len(CROP_BANDS), 0), np.float32)
    red, infrared = values[CROP_BANDS.index("B04")], values[CROP_BANDS.index("B08")]
    return np.concatenate([((infrared - red) / (infrared + red))[None], values])


def transfer(real: Series, simulated: Series) -> dict[str, dict[str, Any]]:
    """Scores on the real pixels of forests trained on real blocks and on simulated fields; both series have the same days.

    Simulated pixels without gaps are given those of real ones.
    """
    from sklearn.ensemble import RandomForestClassifier

    used = [
        time for time, day in enumerate(real.days) if day.month <= 7 and real.clear[time].mean() > 0.5
    ]  # as the accuracy benchmark has it
    random = np.random.default_rng(0)
    if simulated.clear.all():
        gaps = real.clear[:, random.integers(0, real.clear.shape[1], len(simulated.label))]
        made = _features(simulated, gaps, used)
    else:
        made = _features(simulated, simulated.clear, [t for t, day in enumerate(real.days) if day.month <= 7])
    observed = _features(real, real.clear, used)
    by_blocks = np.zeros_like(real.label)
    for fold in range(4):
        learnt = real.fold != fold
        forest = RandomForestClassifier(TREES, random_state=0).fit(observed[learnt], real.label[learnt])
        by_blocks[~learnt] = forest.predict(observed[~learnt])
    by_simulation = RandomForestClassifier(TREES, random_state=0).fit(made, simulated.label).predict(observed)
    return {
        "trained_on_real_blocks": _scores(real.label, by_blocks),
        "trained_on_simulated": _scores(real.label, by_simulation),
    }


def _features(series: Series, clear: npt.NDArray[np.bool_], used: list[int]) -> Floats:
    """(N, 10 * 22): bands interpolated in time to every tenth day of January to July."""
    moments = np.arange(0, 212, 10)
    days = np.array([series.days[time].timetuple().tm_yday - 1 for time in used])
    made = np.zeros((len(series.label), len(CROP_BANDS) * len(moments)), np.float32)
    for pixel in range(len(series.label)):
        seen = clear[used, pixel]
        if seen.any():
            values = series.values[np.array(used)[seen], :, pixel].T
            made[pixel] = np.concatenate([np.interp(moments, days[seen], band) for band in values])
    return made


def _scores(truth: npt.NDArray[np.int64], mapped: npt.NDArray[np.int64]) -> dict[str, Any]:
    confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(confusion, (truth, mapped), 1)
    right = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    shares = right / np.maximum(union, 1)
    return {
        "oa": round(float(right.sum() / confusion.sum()), 4),
        "miou": round(float(shares.mean()), 4),
        "iou": {name: round(float(share), 4) for name, share in zip(CLASSES, shares, strict=True)},
        "confusion": confusion.tolist(),
    }


def _band(path: Path) -> npt.NDArray[np.uint16]:
    with rasterio.open(path) as file:
        pixels = file.read(1)
    factor = 64 // pixels.shape[0]
    return np.repeat(np.repeat(pixels, factor, 0), factor, 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the real test data")
    parser.add_argument("--json", type=Path, help="where to write the record")
    given = parser.parse_args(arguments)
    real = read(given.folder)
    simulated = simulate(real.days)
    record = {
        "caveat": (
            "Simulated land beside one real square of 640 m. Crop parameters were adjusted while looking at these very pixels, so the "
            "distributions are no independent test. trained_on_real_blocks interpolates inside fields and isn't what a model for "
            "other fields would reach."
        ),
        "scores": transfer(real, simulated),
        "distributions": distributions(real, simulated),
    }
    text = json.dumps(record, indent=1) + "\n"
    if given.json:
        given.json.write_text(text, encoding="utf-8")
    sys.stdout.write(json.dumps(record["scores"], indent=1) + "\n")


if __name__ == "__main__":
    main()
