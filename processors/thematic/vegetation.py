"""Vegetation through the season: NDVI per month. The smallest processor; read it to write your own.

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


class VegetationParameters(Frozen):
    """What a request may set under `parameters`."""

    red: Annotated[str, Field(description="band of red light, e.g. B04 (665 nm)")] = "B04"
    nir: Annotated[str, Field(description="band of near-infrared light, e.g. B08 (833 nm) or B8A (865 nm)")] = "B08"


class Vegetation:
    """Mean NDVI of each month's clear dates, and its deviation from the area's mean curve."""

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
        months = season_months(job.year, job.months)
        # One field per month; (M, T): which dates belong to which month.
        self.fields: tuple[str, ...] = tuple(f"{year}-{month:02d}" for year, month in months)
        self._of_month = np.array([[(date.year, date.month) == month for date in dates] for month in months])

        self.variables: tuple[Variable, ...] = (
            Variable(
                name="ndvi", title="NDVI, mean of the month's clear dates", dtype="float32", bands=self.fields,
                nodata=float("nan"), limits=(0.0, 1.0),
            ),
            Variable(
                name="ndvi_deviation", title="NDVI minus the area's mean of the month", dtype="float32",
                bands=self.fields, nodata=float("nan"), limits=(-0.4, 0.4),
            ),
        )  # fmt: skip
        empty = [name for name, dates_of in zip(self.fields, self._of_month, strict=True) if not dates_of.any()]
        self.notes: tuple[str, ...] = (f"no acquisition in {', '.join(empty)}",) if empty else ()

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """NDVI of each month (M, H, W) of one patch after the other; NaN where a month has no clear date."""
        for index in indices:
            yield index, self._monthly(patches.read(index))

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        """The area's mean curve: one NDVI per month, None where no pixel has one."""
        total = np.zeros(len(self.fields))
        count = np.zeros(len(self.fields), np.int64)
        for block in blocks:
            total += np.nansum(block, axis=(1, 2), dtype=np.float64)
            count += np.isfinite(block).sum(axis=(1, 2))
        return {
            "months": list(self.fields),
            "mean_ndvi": [float(t / c) if c else None for t, c in zip(total, count, strict=True)],
            "pixels": [int(c) for c in count],
        }

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Both variables of one block, (M, H, W)."""
        curve = np.array([np.nan if mean is None else mean for mean in summary["mean_ndvi"]], np.float32)
        return {"ndvi": fields, "ndvi_deviation": fields - curve[:, None, None]}

    def _monthly(self, patch: Patch) -> Fields:
        ndvi = normalised_difference(patch.values[:, 1], patch.values[:, 0])
        seen = patch.clear & (patch.values > 0).all(axis=1)  # 0 = no data
        of_month = self._of_month.astype(np.float32)
        # Sums over the dates of each month: (M, T) x (T, H, W).
        total = np.tensordot(of_month, np.where(seen, ndvi, 0), axes=1)
        return _ratio(total, np.tensordot(of_month, seen.astype(np.float32), axes=1))


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
