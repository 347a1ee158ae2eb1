"""The hull of what a model learnt from: how near to series that it saw those are that it is to map. Needs numpy only.

A pixel's season is told by a few ratios of bands and its brightness, month by month. Its distance is that to the nearest of some
hundred typical series of the training, the mean over months and indices of the absolute difference in standard deviations. How far is
far is told by pixels that the model did not learn from: 95 % of them lie inside, 99 % at the edge or nearer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.files import verify_listed, write_whole
from agrunet.json_text import read_model
from agrunet.settings import Frozen

HULL = "hull.json"
"""File of a checkpoint: the hull of what it learnt from."""

PAIRS = (("B08", "B04"), ("B08", "B11"), ("B8A", "B05"), ("B03", "B11"))
"""Bands whose normalised difference is an index, where a model has both: greenness (NDVI), leaf water (NDMI), red edge, water (MNDWI)."""

QUANTILES = (0.95, 0.99)
"""Parts of pixels that a model didn't learn from that lie inside, and inside or at the edge."""

MOST_SERIES = 256
"""Typical series that a hull remembers: means of clusters, which told regions apart better than as many pixels drawn at random."""

_CLUSTERED = 6_000
"""Pixels that are clustered."""

_ROUNDS = 10
"""Rounds of k-means; more of them moved no share by a percent."""

_STEP = 10
"""Days between the moments whose mean is a month's."""

_DIGITS = 3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PixelSeries:
    """Series of N pixels on the same dates."""

    values: npt.NDArray[np.integer]
    """(N, T, C) as stored."""
    clear: npt.NDArray[np.bool_]
    """(N, T)"""
    days: npt.NDArray[np.integer]
    """(T,) since the season's start, rising."""

    @classmethod
    def of(cls, patch: Patch, pixels: npt.NDArray[np.integer]) -> PixelSeries:
        """The series of some pixels of a patch, by their flat positions."""
        T, C = patch.values.shape[:2]
        values = patch.values.reshape(T, C, -1)[:, :, pixels].transpose(2, 0, 1)
        return cls(values, patch.clear.reshape(T, -1)[:, pixels].T, patch.days)

    def until(self, end: int, least_dates: int) -> PixelSeries:
        """The dates before a day, of the pixels that are clear on so many of them."""
        there = int(np.searchsorted(self.days, end))
        clear = self.clear[:, :there]
        seen = clear.sum(axis=1) >= least_dates
        return PixelSeries(self.values[seen, :there], clear[seen], self.days[:there])


class Place(IntEnum):
    """The place of a pixel in respect to a hull."""

    INSIDE = 0
    EDGE = 1
    OUTSIDE = 2


class Hull(Frozen):
    """Series of the training, how they are told, and how far others may lie from them."""

    bands: Annotated[tuple[str, ...], Field(min_length=1, description="of the patches, in their order")]
    ends: Annotated[
        tuple[int, ...], Field(min_length=1, description="days from the season's start to the end of each month")
    ]
    least_dates: Annotated[int, Field(ge=1, description="clear dates that a pixel needs")]
    mean: Annotated[tuple[float, ...], Field(description="of each index")]
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(description="of each index")]
    series: Annotated[
        tuple[tuple[float, ...], ...],
        Field(
            min_length=1, description="of the training: indices of the first month, of the second one, …, normalised"
        ),
    ]
    limits: Annotated[
        tuple[tuple[float, float], ...],
        Field(description="distances up to which pixels lie inside, and at the edge, by the number of months compared"),
    ]
    learnt: Annotated[int, Field(ge=1, description="pixels that the series were drawn from")]
    unseen: Annotated[int, Field(ge=1, description="pixels that the limits rest on")]

    @model_validator(mode="after")
    def _consistent(self) -> Hull:
        width = len(self.ends) * len(self.mean)
        if len(self.mean) != len(self.std) or len(self.mean) != len(index_names(self.bands)):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} deviations for bands {', '.join(self.bands)}")
        if len(self.limits) != len(self.ends) or any(len(row) != width for row in self.series):
            raise ValueError(f"series or limits don't fit {len(self.ends)} months of {len(self.mean)} indices")
        return self

    def places(self, pixels: PixelSeries, months: int | None = None) -> npt.NDArray[np.uint8]:
        """Values of `Place` (n,) of those pixels that have clear dates enough.

        ``months``: the first so many are compared, where a season isn't over; at least one, at most all.
        """
        count = len(self.ends) if months is None else min(max(1, months), len(self.ends))
        seen = pixels.until(self.ends[count - 1], self.least_dates)
        if not len(seen.values):
            return np.zeros(0, np.uint8)
        normalised = (monthly_indices(seen, self.bands, self.ends[:count]) - self.mean) / self.std
        series = np.array(self.series).reshape(len(self.series), len(self.ends), -1)
        places: npt.NDArray[np.uint8] = np.searchsorted(self.limits[count - 1], distances(normalised, series)).astype(
            np.uint8
        )
        return places


def index_names(bands: Sequence[str]) -> tuple[str, ...]:
    """Names of the indices that bands give: their brightness, and a normalised difference for each of `PAIRS` that is there."""
    return "brightness", *(f"{first}-{second}" for first, second in PAIRS if first in bands and second in bands)


def monthly_indices(pixels: PixelSeries, bands: Sequence[str], ends: Sequence[int]) -> Floats:
    """Indices (N, M, I) of pixels, each of which is clear on some date.

    Between clear dates values lie on the line between them; before the first and after the last they hold. Each month is the mean of
    moments ten days apart.
    """
    starts = (0, *ends[:-1])
    months = []
    for start, end in zip(starts, ends, strict=True):
        moments = np.arange(start + _STEP / 2, end, _STEP)
        months.append(np.mean([_indices(_at(moment, pixels), bands) for moment in moments], axis=0))
    return np.stack(months, axis=1)


def _at(moment: float, pixels: PixelSeries) -> Floats:
    """Values (N, C) at a moment, between the nearest clear dates."""
    values, clear, days = pixels.values, pixels.clear, pixels.days
    there, (N, T) = int(np.searchsorted(days, moment, side="right")), clear.shape
    before = np.where(clear[:, :there], np.arange(there), -1).max(axis=1, initial=-1)
    after = np.where(clear[:, there:], np.arange(there, T), T).min(axis=1, initial=T)
    left, right = np.where(before < 0, after, before), np.where(after == T, before, after)
    span = np.maximum(days[right] - days[left], 1)
    weight = np.clip((moment - days[left]) / span, 0, 1)[:, None]
    between: Floats = values[np.arange(N), left] * (1 - weight) + values[np.arange(N), right] * weight
    return between


def _indices(values: Floats, bands: Sequence[str]) -> Floats:
    """Indices (N, I) of values (N, C)."""
    columns = [np.log(np.maximum(values.mean(axis=1), 1))]
    for first, second in PAIRS:
        if first in bands and second in bands:
            a, b = values[:, bands.index(first)], values[:, bands.index(second)]
            columns.append((a - b) / np.maximum(a + b, 1))
    return np.stack(columns, axis=1)


def distances(seen: Floats, series: Floats) -> Floats:
    """Distances (N,) of pixels (N, m, I) to the nearest of the series (K, M, I), over the months that the pixels have."""
    flat, known = seen.reshape(len(seen), -1), series[:, : seen.shape[1]].reshape(len(series), -1)
    nearest = np.full(len(seen), np.inf)
    for one in known:
        np.minimum(nearest, np.abs(flat - one).mean(axis=1), out=nearest)
    return nearest


def fit_hull(
    learnt: Floats, unseen: Sequence[Floats], bands: Sequence[str], ends: Sequence[int], least_dates: int
) -> Hull:
    """Fit a hull to indices of pixels that were learnt from (N, M, I), and of others that tell how far is far.

    ``unseen``: for each number m of months the indices (n, m, I) of the others, as they are known at the end of month m.
    """
    mean, std = learnt.mean(axis=(0, 1)), learnt.std(axis=(0, 1))
    std = np.where(std > 1e-6, std, 1.0)
    chosen = np.random.default_rng(0).permutation(len(learnt))[:_CLUSTERED]
    series = _typical((learnt[chosen] - mean) / std).round(_DIGITS)
    limits: list[tuple[float, float]] = []
    for known in reversed(unseen):  # where by then nobody is seen, what holds a month later does
        if len(known):
            inside, edge = np.quantile(distances((known - mean) / std, series), QUANTILES)
            limits.insert(0, (round(float(inside), 4), round(float(edge), 4)))
        else:
            limits.insert(0, limits[0])
    return Hull(
        bands=tuple(bands),
        ends=tuple(ends),
        least_dates=least_dates,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        series=tuple(map(tuple, series.reshape(len(series), -1).tolist())),
        limits=tuple(limits),
        learnt=len(learnt),
        unseen=len(unseen[-1]),
    )


def _typical(pixels: Floats) -> Floats:
    """Means (K, M, I) of clusters of pixels (N, M, I) in random order, by k-means (Lloyd, 1982), begun at the first ones."""
    flat = pixels.reshape(len(pixels), -1)
    means = flat[:MOST_SERIES].copy()
    for _ in range(_ROUNDS):
        nearest = ((means**2).sum(axis=1) - 2 * flat @ means.T).argmin(axis=1)
        count, total = np.bincount(nearest, minlength=len(means)), np.zeros_like(means)
        np.add.at(total, nearest, flat)
        means = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], means)
    return means.reshape(-1, *pixels.shape[1:])


def write_hull(path: Path, hull: Hull) -> None:
    """Write a hull as JSON, whole or not at all. Raises `AgrunetError`."""
    write_whole(path, hull.model_dump_json() + "\n")


def load_hull(folder: Path) -> Hull | None:
    """Read the hull of a checkpoint; None where it holds none. Raises `AgrunetError` where the file isn't the one that was written."""
    path = folder / HULL
    if not path.is_file():
        return None
    verify_listed(folder, "hull", HULL)
    return read_model(path, Hull, lambda why: AgrunetError(f"{path}{why}. Fit it again: python -m agrunet hull."))
