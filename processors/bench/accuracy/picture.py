"""A picture of what was measured: the kinds of each row beside each other with what was asked, and the curves over the number of fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from catalog.storage.whole import written_whole
from processors.bench.accuracy.rows import Curve, Measured, Row

# Okabe and Ito (2008).
_COLOURS = {
    "chosen": "#000000", "fine-tuned": "#D55E00", "pixel": "#0072B2", "forest": "#009E73", "simulated": "#CC79A7", "agrunet": "#E69F00",
}  # fmt: skip
_FIGURES = {"oa": "overall accuracy", "miou": "mean IoU"}


def draw(measured: Measured, path: Path) -> None:
    """Write a PNG."""
    panels = max(len(measured.curves), 1)
    height = 0.75 * len(measured.rows) + 1.2
    figure = Figure(figsize=(11, height + 3.6), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, panels, height_ratios=(height, 3.6))
    _rows(figure.add_subplot(grid[0, :]), measured.rows)
    for number, curve in enumerate(measured.curves):
        axes = figure.add_subplot(grid[1, number])
        _curve(axes, curve)
    figure.suptitle("Accuracy on real fields that were never seen")
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png")


def _rows(axes: Axes, rows: tuple[Row, ...]) -> None:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.kinds))
    width = 0.8 / max(len(kinds), 1)
    for place, row in enumerate(rows):
        for number, kind in enumerate(kinds):
            if kind not in row.kinds:
                continue
            at = place + (number - (len(kinds) - 1) / 2) * width
            value = row.mean(kind)
            axes.barh(at, value, width, color=_COLOURS.get(kind, "#999999"))
            axes.text(value + 0.005, at, f"{value:.3f}", va="center", fontsize=7)
        if row.wanted is not None:
            axes.plot([row.wanted] * 2, [place - 0.45, place + 0.45], color="#444444", linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(rows)), [f"{row.name}\n({_FIGURES[row.figure]})" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.set_title("mean over the seeds; dashed: what was asked for", fontsize=9)
    for kind in kinds:
        axes.barh(0, 0, color=_COLOURS.get(kind, "#999999"), label=kind)
    axes.legend(loc="lower right", fontsize=8)


def _curve(axes: Axes, curve: Curve) -> None:
    for kind, values in curve.kinds.items():
        means = [float(np.mean(part)) for part in values]
        spread = [float(np.std(part)) for part in values]
        axes.errorbar(
            curve.fields, means, spread, marker="o", capsize=3, label=kind, color=_COLOURS.get(kind, "#999999")
        )
    axes.set_xscale("log")
    axes.set_xticks(curve.fields, [str(count) for count in curve.fields])
    axes.minorticks_off()
    axes.set(xlabel="fields of each crop", ylabel="mean IoU", title=curve.name)
    axes.legend(fontsize=8)
