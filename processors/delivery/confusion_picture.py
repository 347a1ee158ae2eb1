"""The picture of a confusion matrix, with user's and producer's accuracies at its edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from catalog.storage.whole import written_whole
from processors.delivery.evaluation_section import figure_text
from processors.delivery.evaluations import ClassFigures, Evaluation
from processors.delivery.picture_page import AMBER, INK, LINE, SOFT, save_figure, shortened

MOST = 30
"""Classes that are shown; of more the cells could not be read."""

_RIGHT = LinearSegmentedColormap.from_list("right", ["#f5f7f4", "#2f7d4f"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#f5f7f4", "#c8322b"])
_NAME = 28
"""Characters of a class's name."""


def draw_confusion(path: Path, evaluation: Evaluation) -> None:
    """Write the picture (PNG), whole or not at all. Raises `StoreError`.

    Classes that neither map nor reference show are left out; of more than `MOST` those with the most units are shown.
    """
    matrix = np.array(evaluation.matrix, np.int64)
    kept = _kept(matrix, evaluation.classes)
    classes = [evaluation.classes[number] for number in kept]
    count = len(classes)
    cell = 0.62 if count <= 12 else 0.5 if count <= 20 else 0.42
    banner = 0.45 if evaluation.synthetic else 0.0
    names = 0.1 + 0.088 * max(6, *(min(_NAME, len(entry.name)) for entry in classes))
    below = 0.62 * (names + 1.2)  # names and figures that are written at 45 degrees
    left, top, edge = max(names + 0.3, below - cell / 2), banner + 1.2, cell * count
    width = max(left + edge + 1.75, 7.2)
    height = top + edge + below + 0.25
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    if evaluation.synthetic:
        figure.add_artist(
            Rectangle((0, 1 - banner / height), 1, banner / height, transform=figure.transFigure, facecolor=AMBER)
        )
        figure.text(
            0.5, 1 - banner / 2 / height, "SYNTHETIC DATA: simulated fields, no observation", ha="center", va="center",
            fontsize=11, weight="bold", color="#3b2a00",
        )  # fmt: skip
    _heading(figure, evaluation, banner, width, height, len(evaluation.classes) - count)
    axes = figure.add_axes((left / width, 1 - (top + edge) / height, edge / width, edge / height))
    _cells(axes, matrix[np.ix_(kept, kept)], cell)
    _edges(axes, classes, cell)
    about = {"Title": f"Confusion matrix: {evaluation.title}", "Synthetic": "yes" if evaluation.synthetic else "no"}
    with written_whole(path) as temporary:
        save_figure(figure, temporary, about)


def _kept(matrix: npt.NDArray[np.int64], classes: tuple[ClassFigures, ...]) -> npt.NDArray[np.int64]:
    units = matrix.sum(axis=0) + matrix.sum(axis=1)
    shown = np.flatnonzero(units)
    if not len(shown):
        shown = np.arange(len(classes))
    most = shown[np.argsort(-units[shown], kind="stable")][:MOST]
    return np.sort(most)


def _heading(figure: Figure, evaluation: Evaluation, banner: float, width: float, height: float, hidden: int) -> None:
    room = int((width - 0.4) * 11)
    lines: tuple[tuple[float, str, dict[str, Any]], ...] = (
        (banner + 0.34, shortened(evaluation.title, room), {"fontsize": 13, "weight": "bold", "color": INK}),
        (
            banner + 0.58,
            f"overall accuracy {figure_text(evaluation.overall)}  ·  {evaluation.used:,} {evaluation.unit}s"
            + ("  ·  ± is the 95 % interval" if evaluation.intervals else ""),
            {"fontsize": 9.5, "color": INK},
        ),
        (
            banner + 0.79,
            shortened(f"reference {evaluation.reference}, {evaluation.created:%Y-%m-%d}", room)
            + (f"  ·  {hidden} classes of few or no units not shown" if hidden else ""),
            {"fontsize": 9, "color": SOFT},
        ),
    )
    for y, text, options in lines:
        figure.text(0.2 / width, 1 - y / height, text, parse_math=False, **options)


def _cells(axes: Axes, matrix: npt.NDArray[np.int64], cell: float) -> None:
    """Cells, darker where they hold more of their row: green where map and reference agree, red elsewhere."""
    rows = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(rows, 1)
    colours = _WRONG(np.clip(0.1 + 0.9 * shares, 0, 1))
    diagonal = np.arange(len(matrix))
    colours[diagonal, diagonal] = _RIGHT(np.clip(0.1 + 0.9 * shares[diagonal, diagonal], 0, 1))
    colours[matrix == 0] = (1, 1, 1, 1)
    axes.imshow(colours, interpolation="nearest")
    size = 9 if cell > 0.55 else 7
    for row, column in np.argwhere(matrix):
        strong = shares[row, column] > 0.55
        axes.text(
            column, row, f"{matrix[row, column]:,}", ha="center", va="center",
            fontsize=size if matrix[row, column] < 100_000 else size - 2.5, color="white" if strong else INK,
        )  # fmt: skip


def _edges(axes: Axes, classes: list[ClassFigures], cell: float) -> None:
    count = len(classes)
    size = 9 if cell > 0.55 else 7.5
    places = np.arange(count)
    axes.set_xticks(places, [""] * count)
    axes.set_yticks(places, [""] * count)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=LINE, linewidth=0.6)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    plain: dict[str, Any] = {"fontsize": size, "color": INK, "parse_math": False}
    for place, entry in enumerate(classes):
        name = shortened(entry.name, _NAME)
        axes.text(-0.62, place, name, ha="right", va="center", **plain)
        below = f"{name}  {figure_text(entry.producers)}"
        axes.text(place, count - 0.38, below, ha="right", va="top", rotation=45, rotation_mode="anchor", **plain)
        axes.text(count - 0.4, place, figure_text(entry.users), ha="left", va="center", **plain)
    soft: dict[str, Any] = {"fontsize": size, "color": SOFT, "style": "italic"}
    axes.text(count - 0.4, -0.72, "user's accuracy", ha="left", va="bottom", **soft)
    axes.text(-0.62, -0.72, "map", ha="right", va="bottom", **soft)
    axes.text(count - 0.4, count - 0.3, "reference, with\nproducer's accuracy", ha="left", va="top", **soft)
