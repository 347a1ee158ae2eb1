"""Stages from a request to a table of series: the season of its points or parcels, and no map."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agrunet.data.series_table import SeriesMetadata, SeriesTable, write_series
from agrunet.errors import AgrunetError
from catalog.errors import Reason, RequestError, StoreError
from catalog.products import LeftOut, Order
from catalog.sources.registry import open_source
from catalog.storage.whole import write_json
from flows import stages
from flows.credentials import load_credentials
from flows.estimate import check_limits, estimate
from flows.reporting.extracted import Extracted
from flows.reporting.progress import Reporter, counted
from flows.request import MapRequest
from flows.request_ground import request_places
from flows.run import Run, again_where_rewritten, open_run
from flows.settings import Settings
from flows.stage import stage
from processors.cube.held_source import HeldSource
from processors.patches.places import Places
from processors.patches.series import Series, read_series
from processors.season import Season

NAME = "extract"


@again_where_rewritten
def extract_area(
    request: MapRequest, table: Path, settings: Settings, *reporters: Reporter, offline: bool = False
) -> Extracted:
    """Write the series of a checked request's points or parcels. ``offline``: of what the cubes hold, without asking the source.

    Each stage looks at its own outputs in the store, and does what is missing.
    """
    with open_run(request, settings, *reporters) as run:
        places = locate(run)  # the points or parcels that lie in the area
        order: Order = held(run) if offline else stages.order(run)  # the acquisitions that the source has
        unusable: list[LeftOut] = []
        if not offline:
            _check_limits(run, order)
            cells = stages.extend(run, order)  # cells of the cube with these dates
            unusable += stages.ingest(run, order, cells)  # pixels are in the cells, but for these
            unusable += stages.mask(run, order, cells)  # and where they are clear, but for these
        # The acquisitions that are clear enough, not over all that is ordered, but where the points are.
        season: Season = stages.season(run, order, unusable, places.ground(run.zone.epsg))
        return extract(run, order, season, places, table).made


@dataclass(frozen=True)
class _Written:
    made: Extracted


@stage(
    "points",
    waits_for="the points or parcels in the area{squares}",
    outcome=lambda places: f"{counted(len(places.ids), 'point or parcel', 'points or parcels')}",
)
def locate(run: Run) -> Places:
    """Read the points or parcels of the request. Raises `RequestError` where there are none in the area."""
    return request_places(run.request, run.zone)


@stage("order", waits_for="what the cubes hold", outcome=lambda made: counted(len(made.acquisitions), "acquisition"))
def held(run: Run) -> Order:
    """Order what the cubes hold of the season. Raises `NoProductError` where that is nothing."""
    source = open_source(str(run.request.source), load_credentials())
    order = stages.order_of(
        run.request, run.settings, HeldSource(run.store, source.address, source.id, tuple(run.zone.cells))
    )
    write_json(run.folder.order, order.model_dump(mode="json"))
    return order


@stage(
    "series",
    waits_for="pixels from the cubes",
    outcome=lambda written: f"{counted(written.made.rows, 'row')} of {counted(len(written.made.days), 'date')}",
)
def extract(run: Run, order: Order, season: Season, places: Places, table: Path) -> _Written:
    """Read the series from the cubes, and write the table whole. Raises `StoreError` where it can't be written."""
    request, bands = run.request, season.crop_bands
    if not bands:
        raise RequestError(
            "bands: the season's acquisitions have none in common. Ask for other months, or another source."
        )
    series = read_series(
        run.store, order.source_id, order.level, season, bands, request.year, run.zone.epsg, places.places, run.engine,
        run.reporter.advance,
    )  # fmt: skip
    metadata = SeriesMetadata(
        level=order.level,
        months=request.season,
        min_clear=request.min_clear,
        min_acquisitions=request.min_acquisitions,
        baselines=tuple(sorted({used.baseline for used in season.used})),
        synthetic=order.synthetic,
        source=order.source,
        legend=[] if places.legend is None else [entry.model_dump(mode="json") for entry in places.legend.entries],
    )
    try:
        write_series(table, _table(places, series, request.year, metadata))
    except AgrunetError as error:
        raise StoreError(str(error)) from error
    return _Written(_described(run, order, season, places, series, table))


def _table(places: Places, series: Series, year: int, metadata: SeriesMetadata) -> SeriesTable:
    rows, dates = len(places.ids), len(series.days)
    return SeriesTable(
        ids=places.ids,
        lon=places.longitudes,
        lat=places.latitudes,
        year=np.full(rows, year, np.int64),
        labels=places.labels,
        bands=series.bands,
        offsets=np.arange(rows + 1, dtype=np.int64) * dates,
        days=np.tile(series.days, rows),
        values=series.values.reshape(rows * dates, len(series.bands)),
        codes=places.codes,
        fields=places.fields,
        pixels=np.array([len(place.columns) for place in places.places], np.int64) if places.medians else None,
        metadata=metadata,
    )


def _described(run: Run, order: Order, season: Season, places: Places, series: Series, table: Path) -> Extracted:
    classes: Counter[Any] = Counter(places.labels)
    unlabelled = classes.pop(None, 0)
    return Extracted(
        table=str(table),
        rows=len(places.ids),
        parcels=places.medians,
        year=run.request.year,
        days=tuple(series.days.tolist()),
        bands=series.bands,
        clear=round(series.clear, 4),
        empty=int((~(series.values > 0).any(axis=(1, 2))).sum()),
        classes=dict(classes),
        unlabelled=unlabelled,
        cells=len(run.zone.cells),
        synthetic=order.synthetic,
        notes=(*places.notes, *_left_out(run, season), *season.notes),
    )


def _left_out(run: Run, season: Season) -> tuple[str, ...]:
    cloudy = sum(acquisition.kind is Reason.TOO_CLOUDY for acquisition in season.acquisitions)
    if not cloudy:
        return ()
    return (
        f"{cloudy} of {len(season.acquisitions)} acquisitions are left out: they are clear over less than {run.request.min_clear:g} of the "
        "points' pixels (min_clear; with 0 each row has all of its clear dates).",
    )


def _check_limits(run: Run, order: Order) -> None:
    if run.request.limits:
        source = open_source(str(run.request.source), load_credentials())
        check_limits(estimate(run.request, run.settings, run.store, order, source), run.request.limits)
