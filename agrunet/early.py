"""The curve of accuracy over a season: how held-out pixels are mapped with data to the end of each month only."""

from __future__ import annotations

import math
from calendar import month_abbr
from pathlib import Path
from typing import Annotated

from pydantic import Field

from agrunet.settings import Frozen


class EarlyScore(Frozen):
    """Scores of a season that is cut after a month."""

    month: Annotated[int, Field(ge=1, le=12, description="last one with data")]
    oa: Annotated[float, Field(description="overall accuracy")]
    miou: Annotated[float, Field(description="mean intersection over union of the classes in the truth")]
    n_pixels: Annotated[int, Field(description="pixels with a known truth that were mapped")]
    n_unmapped: Annotated[int, Field(description="pixels with a known truth that had too few clear dates by then")]


class EarlyCurve(Frozen):
    """The same network on the same held-out pixels, month by month; the last point is the whole season."""

    split: Annotated[str, Field(description="what was held out: hold-out, grouped k-fold or test-fold")]
    points: Annotated[tuple[EarlyScore, ...], Field(description="in the season's order, from its third month on")]


def draw_early(curve: EarlyCurve, path: Path, *, synthetic: bool) -> None:
    """Write the curve as PNG: overall accuracy and mean IoU over the last month with data, below them the part that is mapped."""
    from matplotlib.figure import Figure  # slow to import, and needed where a checkpoint is written alone

    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    places = range(len(curve.points))
    for name, key, colour, shift in (("overall accuracy", "oa", "#2a6f4e", 7), ("mean IoU", "miou", "#7a4e9c", -14)):
        # Where no pixel has clear dates enough there is nothing that agrees or doesn't.
        values = [getattr(point, key) if point.n_pixels else math.nan for point in curve.points]
        upper.plot(places, values, "o-", color=colour, label=name)
        for place, value in zip(places, values, strict=True):
            if math.isnan(value):
                continue
            at = (place, value)
            upper.annotate(f"{value:.2f}", at, (0, shift), textcoords="offset points", ha="center", fontsize=8)
    upper.set(ylim=(0, 1.08), ylabel="agreement")
    upper.grid(axis="y", color="#dddddd")
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    mapped = [100 * point.n_pixels / max(1, point.n_pixels + point.n_unmapped) for point in curve.points]
    lower.bar(places, mapped, width=0.6, color="#7aa874")
    lower.set(ylim=(0, 105), ylabel="mapped, %", xlabel="data to the end of")
    lower.set_xticks(list(places), [month_abbr[point.month] for point in curve.points])
    figure.suptitle(f"How early can it map, {curve.split}" + (" (SYNTHETIC data)" if synthetic else ""))
    figure.savefig(path, dpi=120)
