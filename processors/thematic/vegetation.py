"""Vegetation through the season: NDVI per month, and beside other years. A small processor; read it to write your own.

A processor answers three questions, one method each: what does a patch say (`run`), what must be known of the whole area
(`summarise`), and what is delivered (`finish`). Everything else (reading, blending, files) is done around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from agrunet.data.patches import Patch, PatchSource
from catalog.errors import RequestError
from catalog.products import Frozen, season_months, season_period
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable
from processors.thematic.protocol import Fields, Job

LEAST_YEARS = 3
"""Other years with a value in a month from which a standard deviation is told: of two it says nothing."""

Year = Annotated[int, Field(ge=2015, le=2100)]


class VegetationParameters(Frozen):
    """What a request may set under `parameters`."""

    red: Annotated[str, Field(description="band of red light, e.g. B04 (665 nm)")] = "B04"
    nir: Annotated[str, Field(description="band of near-infrared light, e.g. B08 (833 nm) or B8A (865 nm)")] = "B08"
    reference_years: Annotated[
        tuple[Year, ...],
        Field(max_length=20, description="years whose same months the season is compared with, such as [2017, 2018]"),
    ] = ()


class Vegetation:
    """Mean NDVI of each month's clear dates, its deviation from the area's mean curve and from the same months of other years."""

    # What the registry and the reports read, without making one.
    name: ClassVar[str] = "vegetation"
    title: ClassVar[str] = "NDVI per month and its deviation from the area's mean curve"
    version: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = False
    Parameters: ClassVar[type[BaseModel]] = VegetationParameters

    def __init__(self, job: Job) -> None:
        """Prepare for a job. Raises `RequestError` where a band is missing in one of the acquisitions."""
        parameters = VegetationParameters.model_validate(job.parameters)
        for role, band in (("red", parameters.red), ("nir", parameters.nir)):
            if band not in job.bands:
                raise RequestError(
                    f"processor vegetation, parameter {role}: no band {band} in every acquisition of the season. "
                    f"There are {', '.join(job.bands)}."
                )
        # What the patches will hold, in this order: `run` relies on it.
        self.bands: tuple[str, ...] = (parameters.red, parameters.nir)
        # NDVI of a pixel needs no neighbours, but patches of a usual size, overlapping, are read just as fast.
        self.grid = PatchGrid(size=128, overlap=0)

        start, _ = season_period(job.year, job.months)
        dates = [start + timedelta(days=days) for days in job.days]
        years = self.other_years(parameters, job.year)
        # (1 + Y, M, T): which dates belong to which month, of the season and then of each other year.
        months = [season_months(year, job.months) for year in (job.year, *years)]
        self._of_month = np.array(
            [[[(date.year, date.month) == month for date in dates] for month in of_year] for of_year in months]
        )
        self.months: tuple[str, ...] = tuple(map(_month_text, months[0]))
        # One field per month; where there are other years, their mean and their spread in that month too.
        kinds = ("", " in other years", " spread of other years") if years else ("",)
        self.fields: tuple[str, ...] = tuple(f"{month}{kind}" for kind in kinds for month in self.months)
        self.variables: tuple[Variable, ...] = tuple(self._variables(years))
        self.notes: tuple[str, ...] = tuple(self._notes(months))

    @staticmethod
    def other_years(parameters: BaseModel, year: int) -> tuple[int, ...]:
        """The years to compare with, rising. Raises `RequestError` where the season's own is among them."""
        years = VegetationParameters.model_validate(parameters.model_dump()).reference_years
        if year in years:
            raise RequestError(
                f"parameters.reference_years: {year} is the year of the season itself, which is compared with others. Leave it out."
            )
        return tuple(sorted(set(years)))

    def _variables(self, years: tuple[int, ...]) -> Iterator[Variable]:
        same: dict[str, Any] = {"dtype": "float32", "bands": self.months, "nodata": float("nan")}
        yield Variable(name="ndvi", title="NDVI, mean of the month's clear dates", limits=(0.0, 1.0), **same)
        yield Variable(
            name="ndvi_deviation", title="NDVI minus the area's mean of the month", limits=(-0.4, 0.4), **same
        )
        if years:
            title = f"NDVI minus the mean of the same month in {_listed([str(year) for year in years])}"
            yield Variable(name="ndvi_anomaly", title=title, limits=(-0.4, 0.4), **same)
        if len(years) >= LEAST_YEARS:
            title = f"NDVI anomaly in standard deviations of the other years, where {LEAST_YEARS} or more have a value"
            yield Variable(name="ndvi_anomaly_z", title=title, limits=(-3.0, 3.0), **same)

    def _notes(self, months: list[tuple[tuple[int, int], ...]]) -> Iterator[str]:
        seen = [list(map(bool, of_year.any(axis=1))) for of_year in self._of_month]  # (1 + Y, M)
        names = [list(map(_month_text, of_year)) for of_year in months]
        empty = [name for name, there in zip(names[0], seen[0], strict=True) if not there]
        if empty:
            yield f"no acquisition in {', '.join(empty)}"
        if len(months) == 1:
            return
        compared = map(any, zip(*seen[1:], strict=True))
        lost = [name for name, there in zip(names[0], compared, strict=True) if not there]
        if lost:
            yield f"nothing to compare {', '.join(lost)} with: no acquisition of the same month in the other years"
        some = [
            name
            for of_year, there in zip(names[1:], seen[1:], strict=True)
            for name, month, is_there in zip(of_year, names[0], there, strict=True)
            if not is_there and month not in lost
        ]
        if some:
            yield f"the mean of other years is without {', '.join(some)}: no acquisition"

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """Fields (K, H, W) of one patch after the other: NDVI of each month; NaN where a month has no clear date."""
        for index in indices:
            yield index, self._monthly(patches.read(index))

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        """The area's mean curve: one NDVI per month, None where no pixel has one."""
        total = np.zeros(len(self.months))
        count = np.zeros(len(self.months), np.int64)
        for block in blocks:
            own = block[: len(self.months)]
            total += np.nansum(own, axis=(1, 2), dtype=np.float64)
            count += np.isfinite(own).sum(axis=(1, 2))
        return {
            "months": list(self.months),
            "mean_ndvi": [float(t / c) if c else None for t, c in zip(total, count, strict=True)],
            "pixels": [int(c) for c in count],
        }

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """All variables of one block, (M, H, W)."""
        curve = np.array([np.nan if mean is None else mean for mean in summary["mean_ndvi"]], np.float32)
        ndvi, *others = np.split(fields, len(self.fields) // len(self.months))
        made = {"ndvi": ndvi, "ndvi_deviation": ndvi - curve[:, None, None]}
        if others:
            made["ndvi_anomaly"] = ndvi - others[0]
            made["ndvi_anomaly_z"] = _ratio(made["ndvi_anomaly"], others[1])
        return {variable.name: made[variable.name] for variable in self.variables}

    def _monthly(self, patch: Patch) -> Fields:
        ndvi = normalised_difference(patch.values[:, 1], patch.values[:, 0])
        seen = patch.clear & (patch.values > 0).all(axis=1)  # 0 = no data
        of_month = self._of_month.astype(np.float32)
        # Sums over the dates of each month: (1 + Y, M, T) x (T, H, W).
        total = np.tensordot(of_month, np.where(seen, ndvi, 0), axes=1)
        means = _ratio(total, np.tensordot(of_month, seen.astype(np.float32), axes=1))
        others = mean_and_spread(means[1:]) if len(means) > 1 else ()
        return np.concatenate([means[0], *others])


def mean_and_spread(years: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean over years (Y, M, H, W) of those with a value, NaN where none has, and their standard deviation (that of a sample, with
    Y - 1), NaN where fewer than `LEAST_YEARS` have one: both (M, H, W)."""
    known = np.isfinite(years)
    count = known.sum(axis=0).astype(np.float32)
    mean = _ratio(np.where(known, years, 0).sum(axis=0), count)
    squares = (np.where(known, years - mean, 0) ** 2).sum(axis=0)
    spread: npt.NDArray[np.float32] = np.sqrt(_ratio(squares, np.where(count >= LEAST_YEARS, count - 1, 0)))
    return mean, spread


def normalised_difference(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """(first - second) / (first + second), NaN where both are 0.

    With near-infrared first and red second this is the NDVI (Rouse et al., 1974).
    """
    a, b = first.astype(np.float32), second.astype(np.float32)
    return _ratio(a - b, a + b)


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Quotient where the divisor is positive, NaN elsewhere."""
    quotient = np.full(above.shape, np.nan, np.float32)
    np.divide(above, below, out=quotient, where=below > 0, casting="same_kind")
    return quotient


def _month_text(month: tuple[int, int]) -> str:
    return f"{month[0]}-{month[1]:02d}"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
