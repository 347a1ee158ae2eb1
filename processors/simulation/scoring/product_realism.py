"""Comparison of simulated products with real ones.

Run as ``python -m processors.simulation.scoring.product_realism FOLDER [--json FILE] [--figure FILE]``.

FOLDER holds ``flanders-2019``, Sentinel-2 L2A with declared crops. On the days of its acquisitions the simulated mission flies over the
same place; what its products become in the cube, with its air, clouds, noise and misjudged atmosphere, is compared with the real
pixels, both by the mask that maps are made with. Weather, clouds and fields are the simulation's own draws: only
distributions can be compared, never dates or places. `processors.simulation.scoring.land_realism` compares the bare land.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import wasserstein_distance
from shapely.geometry import box

from catalog.grid import PIXEL, Window, to_lonlat
from catalog.products import CROP_BANDS
from catalog.storage.whole import written_whole
from processors.delivery.picture_page import AMBER, DPI, INK, LINE, SOFT
from processors.mask.acquisition import clear_by_classes
from processors.mask.options import L2AMask
from processors.simulation.mission.mission import Mission
from processors.simulation.mission.overpass import Overpass, overpasses
from processors.simulation.scoring.land_realism import CLASSES, Series, by_class_and_month, pooled, read, transfer
from processors.simulation.training_patches import date_of

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

TILE = "31UES"
SIZE = 480
"""Pixels along the simulated square, around the real one."""
SEEDS = (1, 2, 3, 4, 5, 6)
"""More than the bare land needs: on a date only those are seen whose sky is clear, and each has its own weather."""
PIXELS = 300
"""Simulated pixels of each class and seed."""
FEWEST = 20
"""Clear pixels from which a distribution is looked at."""
ALIGNED = 6
"""Pixels of 10 m to which the instrument's windows are aligned."""

CAVEAT = (
    "SYNTHETIC products beside one real square of 640 m. The land's crop parameters were adjusted while looking at these very pixels, so "
    "nothing here is an independent test. Weather and clouds are the simulation's own, not those of 2019: months are compared, not "
    "dates. trained_on_real_blocks interpolates inside fields and isn't what a model for other fields would reach."
)
_REAL, _MADE = "#4a5751", "#c8322b"


def usual_mask(scl: npt.NDArray[np.uint8]) -> Bools:
    """Pixels that maps take for clear."""
    return clear_by_classes(scl, None, L2AMask())


def square_around(raster: Path) -> Window:
    """The window of `SIZE` pixels about the middle of a raster on the grid."""
    with rasterio.open(raster) as file:
        west, south, east, north = file.bounds
        epsg = file.crs.to_epsg()
    left, top = ((west + east) / 2 / PIXEL - SIZE / 2), ((south + north) / 2 / PIXEL + SIZE / 2)
    return Window(epsg, round(left / ALIGNED) * ALIGNED, round(top / ALIGNED) * ALIGNED, SIZE, SIZE)


def overpasses_on(days: Sequence[date], window: Window) -> list[Overpass]:
    """Overpasses over a window on these days, in their order. Raises `LookupError` where the satellites flew elsewhere on one of them."""
    start = datetime(min(days).year, min(days).month, min(days).day, tzinfo=UTC)
    end = datetime(max(days).year, max(days).month, max(days).day, tzinfo=UTC) + timedelta(days=1)
    area = to_lonlat(box(*window.bounds), window.epsg)
    found = {one.sensed.date(): one for one in overpasses(area, window.epsg, start, end) if one.tile.name == TILE}
    if missing := [day for day in days if day not in found]:
        raise LookupError(f"no overpass of {TILE} on {', '.join(map(str, missing))}")
    return [found[day] for day in days]


def simulate(days: tuple[date, ...], window: Window, seeds: Sequence[int] = SEEDS) -> Series:
    """Pure pixels of simulated fields as the cube holds them, a few hundred of each class and seed, clear by the usual mask."""
    flown = overpasses_on(days, window)
    values, clear, labels = [], [], []
    for seed in seeds:
        mission = Mission(seed, "flanders")
        truth = mission.land(flown[0].tile).truth(window, days[0].year)
        random = np.random.default_rng(seed)
        chosen = [
            random.permutation(np.flatnonzero((truth.crop == code) & (truth.share == 1)))[:PIXELS]
            for code, _ in CLASSES.values()
        ]
        at = np.concatenate(chosen)
        labels.append(np.repeat(np.arange(len(chosen)), [len(part) for part in chosen]))
        seen = np.zeros((len(days), len(CROP_BANDS), len(at)), np.float32)
        kept = np.zeros((len(days), len(at)), bool)
        for time, overpass in enumerate(flown):
            made = date_of(mission, overpass, window)
            if made is not None:
                seen[time] = made.values.reshape(len(CROP_BANDS), -1)[:, at] * np.float32(1e-4)
                kept[time] = made.clear.ravel()[at]
        values.append(seen)
        clear.append(kept)
    label = np.concatenate(labels).astype(np.int64)
    return Series(
        days, np.concatenate(values, axis=2), np.concatenate(clear, axis=1), label, np.zeros(len(label), np.int64)
    )


def distributions(real: Series, simulated: Series) -> list[dict[str, Any]]:
    """Mean, standard deviation, 5th, 50th and 95th percentile of clear pixels by class, month and band (NDVI and ten), and the distance.

    The distance is Wasserstein's, in units of reflectance (or of NDVI): how far values have to be moved, in the mean.
    """
    rows = []
    for name, month, observed, made in by_class_and_month(real, simulated):
        if min(observed.shape[1], made.shape[1]) < FEWEST:
            continue
        row: dict[str, Any] = {
            "crop": name,
            "month": month,
            "real_pixels": observed.shape[1],
            "simulated_pixels": made.shape[1],
        }
        for column, band in enumerate(("NDVI", *CROP_BANDS)):
            row[band] = {
                "real": described(observed[column]),
                "simulated": described(made[column]),
                "distance": round(float(wasserstein_distance(observed[column], made[column])), 4),
            }
        row["distance_of_bands"] = round(float(np.mean([row[band]["distance"] for band in CROP_BANDS])), 4)
        rows.append(row)
    return rows


def described(values: Floats) -> list[float]:
    """Mean, standard deviation, 5th, 50th and 95th percentile."""
    return [round(float(value), 4) for value in (values.mean(), values.std(), *np.percentile(values, (5, 50, 95)))]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean distances, by crop, by month and by band, each crop and month counting alike; and what differs most."""

    def mean(chosen: Sequence[dict[str, Any]]) -> dict[str, float]:
        return {
            "NDVI": round(float(np.mean([row["NDVI"]["distance"] for row in chosen])), 4),
            "bands": round(float(np.mean([row["distance_of_bands"] for row in chosen])), 4),
        }

    worst = sorted(rows, key=lambda row: -float(row["NDVI"]["distance"]))[:12]
    return {
        "all": mean(rows),
        "by_crop": {name: mean(own) for name in CLASSES if (own := [row for row in rows if row["crop"] == name])},
        "by_month": {
            str(month): mean(own) for month in range(1, 13) if (own := [row for row in rows if row["month"] == month])
        },
        "by_band": {
            band: round(float(np.mean([row[band]["distance"] for row in rows])), 4) for band in ("NDVI", *CROP_BANDS)
        },
        "differs_most": [
            {
                "crop": row["crop"],
                "month": row["month"],
                "NDVI_median": {"real": row["NDVI"]["real"][3], "simulated": row["NDVI"]["simulated"][3]},
                "NDVI_distance": row["NDVI"]["distance"],
                "worst_band": max(CROP_BANDS, key=lambda band: float(row[band]["distance"])),
            }
            for row in worst
        ],
    }


def compare(folder: Path) -> tuple[dict[str, Any], Series, Series]:
    """The record, and both series. ``folder``: that of the real test data."""
    real = read(folder, usual_mask)
    simulated = simulate(real.days, square_around(folder / "flanders-2019" / "labels" / "crop_type.tif"))
    rows = distributions(real, simulated)
    record = {
        "caveat": CAVEAT,
        "statistics": "mean, standard deviation, 5th, 50th, 95th percentile; distance: Wasserstein, reflectance or NDVI",
        "seeds": list(SEEDS),
        "days": len(real.days),
        "clear": {"real": round(float(real.clear.mean()), 4), "simulated": round(float(simulated.clear.mean()), 4)},
        "scores": transfer(real, simulated),
        "summary": summary(rows),
        "distributions": rows,
    }
    return record, real, simulated


def draw(path: Path, real: Series, simulated: Series) -> None:
    """NDVI of each crop over the year (PNG): medians and 5 to 95 % of the clear pixels of each date. Raises `StoreError`."""
    figure = Figure(figsize=(14, 8.2), facecolor="white")
    FigureCanvasAgg(figure)
    band = figure.add_axes((0, 0.945, 1, 0.055), facecolor=AMBER)
    band.set_xticks([])
    band.set_yticks([])
    band.text(
        0.5, 0.5, "SYNTHETIC products vs. real ones: NDVI over the year, Flanders 2019", ha="center", va="center", fontsize=14,
        weight="bold", color="#3b2a00", transform=band.transAxes,
    )  # fmt: skip
    for number, name in enumerate(CLASSES):
        axes = figure.add_axes((0.045 + 0.325 * (number % 3), 0.53 - 0.44 * (number // 3), 0.29, 0.345))
        _line(axes, real, number, _REAL, "real")
        _line(axes, simulated, number, _MADE, "synthetic")
        axes.set_title(name, fontsize=12, color=INK, loc="left")
        axes.set_ylim(-0.1, 1)
        axes.set_xlim(1, 365)
        axes.set_xticks([1, 60, 121, 182, 244, 305], ["Jan", "Mar", "May", "Jul", "Sep", "Nov"], fontsize=9)
        axes.tick_params(colors=SOFT, labelsize=9)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(LINE)
        if number == 0:
            axes.legend(frameon=False, fontsize=9, loc="lower left")
    figure.text(
        0.045, 0.018, "Median and 5 to 95 % of the clear pixels of each date with at least 20. Synthetic: pure pixels of fields of "
        f"{len(SEEDS)} seeds, weather and clouds of the simulation; real: one square of 640 m.", fontsize=9, color=SOFT,
    )  # fmt: skip
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png", metadata={"Title": CAVEAT, "Synthetic": "yes"})


def _line(axes: Axes, series: Series, number: int, colour: str, label: str) -> None:
    drawn = []
    for time, day in enumerate(series.days):
        values = pooled(series, number, [time])[0]
        if values.size >= FEWEST:
            drawn.append((day.timetuple().tm_yday, *np.percentile(values, (5, 50, 95))))
    if drawn:
        days, low, middle, high = np.array(drawn).T
        axes.fill_between(days, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(days, middle, color=colour, linewidth=1.6, marker="o", markersize=2.5, label=label)


def write_record(path: Path, record: dict[str, Any]) -> None:
    """JSON with one line a distribution. Raises `StoreError`."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in record["distributions"])
    head = json.dumps({**record, "distributions": []}, indent=1)
    with written_whole(path) as temporary:
        temporary.write_text(head.removesuffix("[]\n}") + f"[\n{rows}\n ]\n}}\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the real test data")
    parser.add_argument("--json", type=Path, help="where to write the record")
    parser.add_argument("--figure", type=Path, help="where to draw NDVI over the year (PNG)")
    given = parser.parse_args(arguments)
    record, real, simulated = compare(given.folder)
    if given.json:
        write_record(given.json, record)
    if given.figure:
        draw(given.figure, real, simulated)
    sys.stdout.write(json.dumps({"scores": record["scores"], "summary": record["summary"]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
