"""The processor `mowing`: Cropline's patches in, rasters of cuts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from agrunet.data.patches import Patch, PatchSource
from catalog.errors import RequestError
from catalog.legend import MAP_NO_DATA, Legend, LegendClass
from catalog.products import UNKNOWN, Frozen, season_period
from processors.thematic.protocol import Fields, Job, PatchGrid, Variable
from pydantic import BaseModel, Field

from cropline_mowing.cuts import NAMES, Rule, find_cuts

MOST_CUTS = 4
"""Cuts from which on they are one class; intensive meadows are cut four to six times."""

NO_CUT = 10
"""Map value of pixels that were looked at often enough, and none was seen. 0 is what lies outside of a mask: not looked at."""

SELDOM = 11
"""Map value of pixels that were looked at too seldom for "no cut" to mean anything."""

LEGEND = Legend(
    entries=(
        LegendClass(value=1, name="1 cut", colour="#fee391"),
        LegendClass(value=2, name="2 cuts", colour="#fe9929"),
        LegendClass(value=3, name="3 cuts", colour="#d95f0e"),
        LegendClass(value=MOST_CUTS, name=f"{MOST_CUTS} cuts or more", colour="#8c2d04"),
        LegendClass(value=NO_CUT, name="no cut", colour="#a1c99a"),
        LegendClass(value=SELDOM, name="seen too seldom", colour="#bdbdbd"),
    )
)

NO_DAY = -32768
"""Value of rasters of days where there is none."""


class MowingParameters(Frozen):
    """What a request may set under `parameters`."""

    since: Annotated[
        date | None, Field(description="first day of the period, as 2019-05-01; by default the season's")
    ] = None
    until: Annotated[
        date | None, Field(description="last day of the period, as 2019-06-15; by default the season's")
    ] = None
    reference: Annotated[
        Literal["same-orbit", "any"],
        Field(
            description="clear pass that each is compared with: the last of the same relative orbit, or the last of any"
        ),
    ] = "same-orbit"
    reference_days: Annotated[int, Field(ge=5, le=90, description="most days between the two")] = 30
    least_loss: Annotated[float, Field(gt=0, le=1, description="NDVI that a cut takes away at least")] = 0.15
    least_green: Annotated[float, Field(ge=0, le=1, description="NDVI of the sward before a cut, at least")] = 0.5
    most_gap: Annotated[
        int, Field(ge=5, le=366, description='most days without a clear pass for "no cut" to mean something')
    ] = 30


class Mowing:
    """Number of cuts, the two passes around the first, the greatest loss of NDVI, and the longest time without a look."""

    name: ClassVar[str] = "mowing"
    title: ClassVar[str] = "Cuts of grassland between two dates"
    version: ClassVar[str] = "1.0.0"
    needs_model: ClassVar[bool] = False
    Parameters: ClassVar[type[BaseModel]] = MowingParameters

    def __init__(self, job: Job) -> None:
        """Prepare for a job. Raises `RequestError` where the level, a band, the period or the orbits don't suit."""
        parameters = MowingParameters.model_validate(job.parameters)
        # Thresholds are of surface reflectance: an atmosphere that changes between two passes changes NDVI, too.
        if job.level != "L2A":
            raise RequestError(f"level: mowing needs surface reflectance, L2A, not {job.level}.")
        self.bands: tuple[str, ...] = ("B04", "B08")
        if missing := [band for band in self.bands if band not in job.bands]:
            raise RequestError(f"mowing: no {' and no '.join(missing)} in every acquisition of the season.")
        # A pixel needs no neighbours: patches needn't overlap, and where they do all the same they say the same.
        self.grid = PatchGrid(size=128, overlap=0)
        self.fields: tuple[str, ...] = NAMES

        start, end = (moment.date() for moment in season_period(job.year, job.months))
        last = end - timedelta(days=1)
        since, until = parameters.since or start, parameters.until or last
        if not start <= since < until <= last:
            raise RequestError(
                f"parameters: since {since} and until {until} must lie one after the other in the season, {start} to {last}. "
                "Change them, or months."
            )
        self._most_gap = parameters.most_gap
        self._days = job.days
        self._groups = _groups(job, parameters)
        self._rule = Rule(
            parameters.least_loss,
            parameters.least_green,
            parameters.reference_days,
            (since - start).days,
            (until - start).days,
        )
        days: dict[str, Any] = {"dtype": "int16", "nodata": NO_DAY, "unit": "d"}
        self.variables: tuple[Variable, ...] = (
            Variable(name="cuts", title=f"Cuts, {since} to {until}", dtype="uint8", nodata=MAP_NO_DATA, legend=LEGEND),
            Variable(
                name="first_cut",
                title=f"First cut, days after {start}",
                bands=("last pass before it", "first pass after it"),
                limits=(float(self._rule.since), float(self._rule.until)),
                **days,
            ),
            Variable(
                name="greatest_loss",
                title="Greatest loss of NDVI between two passes",
                dtype="float32",
                nodata=float("nan"),
                limits=(0.0, 0.6),
            ),
            Variable(name="longest_gap", title="Longest time without a clear pass", limits=(0.0, 60.0), **days),
        )
        self.notes: tuple[str, ...] = tuple(_notes(job, parameters, self._groups))

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """Fields (K, H, W) of one patch after the other, NaN where a pixel was never compared."""
        for index in indices:
            patch = patches.read(index)
            yield index, find_cuts(_ndvi(patch), self._days, self._groups, self._rule).stacked()

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:  # noqa: ARG002
        """Nothing: no pixel depends on the others."""
        return {}

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:  # noqa: ARG002
        """All variables of one block."""
        count, after, seen, loss, gap = fields
        # Comparisons with NaN are False, so that the default stands where nothing is known.
        cuts = np.full(count.shape, MAP_NO_DATA, np.uint8)
        cuts[count == 0] = NO_CUT
        cuts[(count == 0) & (gap > self._most_gap)] = SELDOM
        cut = count >= 1
        cuts[cut] = np.minimum(count[cut], MOST_CUTS).astype(np.uint8)
        return {
            "cuts": cuts,
            "first_cut": np.stack([_whole_days(after), _whole_days(seen)]),
            "greatest_loss": loss.copy(),
            "longest_gap": _whole_days(gap),
        }


def _ndvi(patch: Patch) -> npt.NDArray[np.float32]:
    """NDVI (T, H, W) (Rouse et al., 1974), NaN where a pixel isn't seen clearly; 0 is no data."""
    red, near = (patch.values[:, band].astype(np.float32) for band in (0, 1))
    seen = patch.clear & (red > 0) & (near > 0)
    ndvi = np.full(red.shape, np.nan, np.float32)
    np.divide(near - red, near + red, out=ndvi, where=seen)
    return ndvi


def _whole_days(days: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return np.where(np.isfinite(days), days, NO_DAY).astype(np.int16)


def _groups(job: Job, parameters: MowingParameters) -> tuple[str, ...]:
    """Group (T,) within which each pass is compared; empty where its orbit isn't known. Raises `RequestError` where none is."""
    if parameters.reference == "any":
        return ("any",) * len(job.days)
    groups = tuple("" if orbit == UNKNOWN else orbit for orbit in job.relative_orbits)
    if not any(groups):
        raise RequestError(
            "parameters.reference: the source says no relative orbit of any pass, so none can be compared with one of the same. Take "
            'another source, or "reference": "any".'
        )
    return groups


def _notes(job: Job, parameters: MowingParameters, groups: tuple[str, ...]) -> Iterator[str]:
    if not job.crop_mask:
        yield "not masked to grassland: where something else grows, harvest, ploughing and ripening are counted as cuts"
    if parameters.reference == "any":
        yield "passes are compared whatever their relative orbit: part of a loss may be another viewing angle"
        return
    if unknown := sum(not group for group in groups):
        yield f"{unknown} of {len(groups)} passes are left out: the source doesn't say their relative orbit"
    if alone := [orbit for orbit, passes in Counter(filter(None, groups)).items() if passes == 1]:
        yield f"nothing to compare the only pass of {', '.join(sorted(alone))} with"
