"""The job of a request's processor: what it is told of the acquisitions, once they are ordered and once the season is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catalog.products import LEVEL_BANDS, Acquisition, Order
from flows.request import MapRequest
from processors.season import SeasonAcquisition, days_since
from processors.thematic.protocol import Job
from processors.thematic.registry import load_processor, make_processor


def job_of(
    request: MapRequest,
    order: Order,
    acquisitions: Sequence[Acquisition] | Sequence[SeasonAcquisition],
    bands: Sequence[str],
    model: Path | None = None,
) -> Job:
    """The job of a processor that is to work on these acquisitions, by time, which all have these bands."""
    return Job(
        level=request.level,
        year=request.year,
        months=request.season,
        days=days_since(order.start, acquisitions),
        relative_orbits=tuple(acquisition.relative_orbit for acquisition in acquisitions),
        bands=tuple(bands),
        synthetic=order.synthetic,
        parameters=request.parameters,
        model=model,
        crops=request.crop_weights,
        crop_mask=request.crop_mask is not None,
    )


def check_job(request: MapRequest, order: Order) -> None:
    """See that the request's processor can work on what is ordered, with all bands of the level, before any of it is downloaded.

    One that needs a checkpoint is left to the choice of its model. Raises what the processor raises.
    """
    if order.acquisitions and not load_processor(request.processor).needs_model:
        make_processor(request.processor, job_of(request, order, order.acquisitions, LEVEL_BANDS[order.level]))
