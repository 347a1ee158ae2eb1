"""The domain check: whether a season's series are like those that a model learnt from.

Some pixels of some patches are looked at, spread over the area: a few thousand tell the shares to a percent or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field
from shapely.geometry.base import BaseGeometry

from agrunet.data.patches import PatchSource
from agrunet.errors import AgrunetError
from agrunet.hull import Hull, PixelSeries, Place, load_hull
from catalog.errors import ModelError
from catalog.grid import Window, inside
from catalog.products import Frozen

INSIDE_FROM = 0.8
"""Share of the pixels that lie inside from which on a map is inside. Of pixels like those of the training 95 % do."""

OUTSIDE_FROM = 0.25
"""Share of the pixels that lie outside from which on a map is outside. Of pixels like those of the training 1 % do; of a real square on
which a model of simulated land lost a fifth of its accuracy 11 %, of regions on which it lost two fifths over 90 %."""

_PATCHES = 48
"""Patches that are looked at."""

_PIXELS = 8_192
"""Pixels that are looked at, about."""


class Verdict(StrEnum):
    """What is said of a map as a whole."""

    INSIDE = "inside"
    EDGE = "edge"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"
    """The model doesn't say what it learnt from, or nothing could be compared."""


class Domain(Frozen):
    """How much of a map is like what its model learnt from."""

    verdict: Verdict
    shares: Annotated[
        dict[str, float], Field(description="of the pixels compared, by place: inside, edge, outside; empty if unknown")
    ] = {}
    pixels: Annotated[int, Field(ge=0, description="compared, spread over the area")] = 0
    months: Annotated[int, Field(ge=0, description="of the season, from its first one on, that were compared")] = 0

    masked: Annotated[bool, Field(description="whether only pixels of the request's crop mask were compared")] = False

    @property
    def words(self) -> str:
        """The verdict, and the shares behind it."""
        parts = ", ".join(f"{100 * share:.0f} % {place}" for place, share in self.shares.items())
        return f"{self.verdict} ({parts} of {self.pixels} pixels)" if parts else str(self.verdict)

    @property
    def remedy(self) -> str:
        """What to do about the verdict."""
        match self.verdict:
            case Verdict.INSIDE:
                return "Nothing is to be done: the model learnt from series like these."
            case Verdict.EDGE:
                return (
                    "Expect less than the model's scores; labels of this region would train one that knows it."
                    + self._unmasked
                )
            case Verdict.OUTSIDE:
                return (
                    "The model's scores say nothing here: give labels of this region, from which a model is trained."
                    + self._unmasked
                )
            case Verdict.UNKNOWN:
                return (
                    "The model doesn't say what it learnt from, as those of earlier versions: train it again to know."
                )

    @property
    def _unmasked(self) -> str:
        return "" if self.masked else " Towns and woods count, too: a crop_mask leaves them out."

    @property
    def note(self) -> str | None:
        """A sentence for whoever looks at the map, where it is told to be at the edge or outside."""
        if self.verdict not in (Verdict.EDGE, Verdict.OUTSIDE):
            return None
        unlike = 100 * (1 - self.shares[Place.INSIDE.name.lower()])
        return f"Domain: {self.verdict}. {unlike:.0f} % of the pixels have a season unlike those that the model learnt from. {self.remedy}"


class Kept(Protocol):
    """Reader of a crop mask."""

    def read(self, window: Window) -> npt.NDArray[np.bool_]:
        """True (H, W) on cropland."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Pixels of one patch that are looked at: its number, and their flat positions."""

    patch: int
    pixels: npt.NDArray[np.intp]


def draw_samples(windows: Sequence[Window], zone_area: BaseGeometry, mask: Kept | None = None) -> list[Sample]:
    """Draw pixels of the area, and of the crop mask where there is one, from windows spread over it; the same each time."""
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _PATCHES)).round().astype(int)
    random, most = np.random.default_rng(0), -(-_PIXELS // len(chosen))
    samples = []
    for number in chosen.tolist():
        window = windows[number]
        there = inside(zone_area, window)
        if mask is not None and there.any():
            there = there & mask.read(window)
        drawn = random.permutation(np.flatnonzero(there))[:most]
        if len(drawn):
            samples.append(Sample(number, np.sort(drawn)))
    return samples


def model_hull(model: Path) -> Hull | None:
    """The hull of a checkpoint; None for one of earlier versions. Raises `ModelError` where it is damaged."""
    try:
        return load_hull(model)
    except AgrunetError as error:
        raise ModelError(str(error)) from error


def judge_domain(
    patches: PatchSource,
    samples: Sequence[Sample],
    hull: Hull | None,
    months: int,
    bands: Sequence[str],
    *,
    masked: bool,
) -> Domain:
    """Compare pixels of a season with a hull.

    ``months``: of the season that are over; ``bands``: of the patches; ``masked``: whether the samples lie in a crop mask.
    """
    if hull is None or tuple(bands) != hull.bands:
        return Domain(verdict=Verdict.UNKNOWN)
    counts = np.zeros(len(Place), np.int64)
    for sample in samples:
        series = PixelSeries.of(patches.read(sample.patch), sample.pixels)
        counts += np.bincount(hull.places(series, months), minlength=len(Place))
    total = int(counts.sum())
    if not total:
        return Domain(verdict=Verdict.UNKNOWN)
    shares = {place.name.lower(): round(float(counts[place]) / total, 4) for place in Place}
    verdict = Verdict.INSIDE if shares["inside"] >= INSIDE_FROM else Verdict.EDGE
    if shares["outside"] >= OUTSIDE_FROM:
        verdict = Verdict.OUTSIDE
    compared = min(max(1, months), len(hull.ends))
    return Domain(verdict=verdict, shares=shares, pixels=total, months=compared, masked=masked)
