"""A picture of the rows: bars of images per second, with the ratio of times to U-TAE above each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agrunet.bench.problems import PURPOSES
from agrunet.bench.rows import Row
from agrunet.bench.table import QUICK_NOTE, SEASON_TITLES
from agrunet.errors import AgrunetError
from agrunet.files import file_written_whole
from agrunet.networks.registry import TITLES

# Arithmetic by colour (Okabe and Ito, 2008), compiled hatched.
_COLOURS = {"fp32": "#0072B2", "tf32": "#009E73", "bf16": "#E69F00"}
_LABELS = {"fp32": "fp32", "tf32": "TF32", "bf16": "AMP bf16"}
_WIDTH, _HEIGHT, _DPI = 7.5, 3.6, 120
"""Width and height of a panel, inches, and dots per inch."""


def plot_rows(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG: one line of panels per configuration and season, inference left, training right.

    Raises `AgrunetError` where there is nothing to draw or the file can't be written.
    """
    if not rows:
        raise AgrunetError("no row to draw. Measure something first.")
    lines = list(dict.fromkeys((row.config, row.season) for row in rows))
    figure = Figure(figsize=(_WIDTH * len(PURPOSES), _HEIGHT * len(lines) + 1), dpi=_DPI, layout="constrained")
    panels = figure.subplots(len(lines), len(PURPOSES), squeeze=False)
    for line, (config, season) in enumerate(lines):
        for column, purpose in enumerate(PURPOSES):
            _panel(panels[line][column], [row for row in rows if row.group == (config, season, purpose)])
    _head(figure, rows[0])
    with file_written_whole(path) as temporary:
        figure.savefig(temporary, format="png")


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        axes.set_axis_off()
        return
    first = rows[0]
    networks = list(dict.fromkeys(row.network for row in rows))
    variants = list(dict.fromkeys((row.compiled, row.precision) for row in rows))
    width = 0.84 / len(variants)
    highest = max([row.fastest or 0 for row in rows] + [row.talk or 0 for row in rows]) or 1
    for row in rows:
        offset = (variants.index((row.compiled, row.precision)) - (len(variants) - 1) / 2) * width
        _bar(axes, row, networks.index(row.network) + offset, width, highest)
    dates = f"{first.dates} dates{' assumed' if first.dates_assumed else ''}"
    title = f"{first.config}, {SEASON_TITLES[first.season]}, {first.purpose} ({dates}, batch {first.batch})"
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(networks)), [TITLES[network] for network in networks])
    axes.set_xlim(-0.5, len(networks) - 0.5)
    axes.set_ylim(0, highest * 1.18)
    axes.set_ylabel("images per second")
    axes.spines[["top", "right"]].set_visible(False)


def _bar(axes: Axes, row: Row, x: float, width: float, highest: float) -> None:
    small: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7, "rotation": 90}
    if row.images_per_second is None:
        axes.text(x, highest * 0.01, "failed", color="0.4", **small)
        return
    axes.bar(
        x,
        row.images_per_second,
        width * 0.94,
        color=_COLOURS[row.precision],
        hatch="///" if row.compiled else None,
        edgecolor="white",
        linewidth=0,
        label=f"{_LABELS[row.precision]}{', compiled' if row.compiled else ''}",
    )
    low, high = row.slowest or row.images_per_second, row.fastest or row.images_per_second
    axes.vlines(x, low, high, color="0.2", linewidth=1)
    if row.ratio_to_utae is not None:
        axes.text(x, high + highest * 0.015, f"{row.ratio_to_utae:.2f}", **small)
    if row.talk is not None:
        axes.hlines(row.talk, x - width / 2, x + width / 2, color="#D55E00", linewidth=2, label="the talk")


def _head(figure: Figure, row: Row) -> None:
    machine = f"{row.device_name}, torch {row.torch}, {row.threads} threads"
    note = "above the bars: time over U-TAE's, eager in fp32 (less is faster); line on a bar: slowest to fastest round"
    figure.suptitle("\n".join([machine, *([QUICK_NOTE] if row.quick else []), note]), fontsize=9)
    handles: dict[str, Artist] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), fontsize=8)
