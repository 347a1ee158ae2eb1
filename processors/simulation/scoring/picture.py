"""The picture of a delivery beside the truth: map, truth, where they differ, and what the cloud masks and NDVI are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from catalog.storage.whole import written_whole
from processors.delivery.picture_page import AMBER, DPI, INK, LINE, NO_DATA, SOFT
from processors.simulation.scoring.crop_scores import CropCounts
from processors.simulation.scoring.scores import TruthScores

_RIGHT, _WRONG, _MIXED = "#e4ebe6", "#c8322b", "#e9a03b"
_TICKS = 11
"""Dates that are written below the bars."""

_CLEAR, _CALLED = "#2f7d4f", "#8fc3a4"


def draw_truth(path: Path, scores: TruthScores, crops: CropCounts | None) -> None:
    """Write the picture (PNG), whole or not at all. Raises `StoreError`."""
    height = 4.2 if crops is None else 9.6
    figure = Figure(figsize=(14, height), facecolor="white")
    FigureCanvasAgg(figure)
    top = 1 - 0.42 / height
    band = figure.add_axes((0, top, 1, 1 - top), facecolor=AMBER)
    band.set_xticks([])
    band.set_yticks([])
    for spine in band.spines.values():
        spine.set_visible(False)
    band.text(
        0.5, 0.5, "SYNTHETIC DATA against the simulation's own truth", ha="center", va="center", fontsize=14, weight="bold",
        color="#3b2a00", transform=band.transAxes,
    )  # fmt: skip
    if crops is not None:
        _maps(figure, scores, crops, height)
    _masks(figure.add_axes((0.06, 0.55 / height, 0.55, 2.6 / height)), scores)
    _ndvi(figure.add_axes((0.72, 0.55 / height, 0.25, 2.6 / height)), scores)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png", metadata={"Title": scores.caveat, "Synthetic": "yes"})


def _maps(figure: Figure, scores: TruthScores, crops: CropCounts, height: float) -> None:
    colours = np.array([to_rgb(colour) for colour in (*crops.colours, NO_DATA)])  # -1 picks the last
    wrong = crops.shown_truth != crops.shown_map
    differs = np.array([to_rgb(colour) for colour in (_RIGHT, _WRONG, _MIXED, NO_DATA)])
    kind = np.where(wrong, np.where(crops.shown_pure, 1, 2), 0)
    kind[(crops.shown_truth < 0) | (crops.shown_map < 0)] = 3
    found = scores.crops
    said = "" if found is None else f"OA {found.scores['all'].oa:.3f}, inside fields {found.scores['pure'].oa:.3f}"
    panels: list[tuple[str, npt.NDArray[Any]]] = [
        (f"Crop map, {scores.year}", colours[crops.shown_map]),
        ("Truth", colours[crops.shown_truth]),
        (f"Where they differ: {said}", differs[kind]),
    ]
    for number, (title, pixels) in enumerate(panels):
        axes = figure.add_axes((0.02 + 0.33 * number, 4.85 / height, 0.31, 4.0 / height))
        axes.imshow(pixels, interpolation="nearest")
        axes.set_title(title, fontsize=12, color=INK, loc="left", parse_math=False)
        axes.set_axis_off()
    shown = sorted(
        {int(index) for index in np.unique(crops.shown_truth)} | {int(i) for i in np.unique(crops.shown_map)}
    )
    handles = [Patch(color=crops.colours[index], label=crops.names[index]) for index in shown if index >= 0]
    handles += [
        Patch(color=_WRONG, label="wrong"),
        Patch(color=_MIXED, label="wrong, a pixel of several fields"),
        Patch(color=NO_DATA, label="nothing said"),
    ]
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 4.75 / height),
        ncols=8,
        fontsize=9,
        frameon=False,
        labelcolor=INK,
    )


def _masks(axes: Axes, scores: TruthScores) -> None:
    columns = np.arange(len(scores.dates))
    axes.bar(columns - 0.2, [date.truly_clear for date in scores.dates], 0.4, color=_CLEAR, label="clear in truth")
    axes.bar(columns + 0.2, [date.called_clear for date in scores.dates], 0.4, color=_CALLED, label="clear by the mask")
    step = max(1, -(-len(columns) // _TICKS))
    axes.set_xticks(columns[::step], [f"{date.time:%d %b}" for date in scores.dates[::step]], fontsize=8)
    axes.set_ylim(0, 1.22)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=8)
    f1, count = scores.mask.not_clear.f1, len(scores.dates)
    said = "none" if f1 is None else f"{f1:.3f}"
    dates = "1 date" if count == 1 else f"{count} dates"
    axes.set_title(f"Cloud masks of {dates}: F1 of not clear {said}", fontsize=12, color=INK, loc="left")
    axes.legend(fontsize=9, frameon=False, ncols=2, loc="upper right")
    _plain(axes)


def _ndvi(axes: Axes, scores: TruthScores) -> None:
    if scores.ndvi is None:
        axes.set_axis_off()
        return
    errors = [scores.ndvi.unmasked, scores.ndvi.masked, scores.ndvi.perfect]
    values = [0.0 if error.mean_absolute is None else error.mean_absolute for error in errors]
    bars = axes.barh([2, 1, 0], values, 0.55, color=[LINE, _CALLED, _CLEAR])
    axes.bar_label(bars, [f"{value:.3f}" for value in values], padding=4, fontsize=10, color=INK)
    axes.set_yticks([2, 1, 0], ["everywhere", "clear by the mask", "clear in truth"], fontsize=10)
    axes.set_xlim(0, max(values) * 1.25 or 1)
    axes.set_xticks([])
    axes.set_title("Mean error of NDVI", fontsize=12, color=INK, loc="left")
    _plain(axes)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=SOFT)
