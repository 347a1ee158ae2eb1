"""What a request would take, told before anything is downloaded: `cropline run --dry-run`, and the limits of requests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from catalog.area import Area, area_km2
from catalog.errors import RequestError
from catalog.grid import PIXEL
from catalog.products import LEVEL_BANDS, Order
from catalog.sources.protocol import Downloading, Metered, Source
from catalog.sources.registry import open_source
from catalog.storage.store import Store
from catalog.zone import Zone
from flows.checks import nearest_there
from flows.choice import TOO_LATE, Known, choose_maker
from flows.credentials import load_credentials
from flows.job import check_job
from flows.rates import RunRecord, benchmark, millions_of_pixels, recorded, runs_behind, seconds_for
from flows.reporting.foreseen import AcquisitionForeseen, DiskForeseen, Estimate
from flows.request import SIMULATED_HERE, Limits, MapRequest
from flows.settings import Settings
from flows.stages import must_train, order_of
from flows.work_places import load_places
from processors.ingest.foresight import Reading, foresee

PACKED = 0.7
"""Of the bytes of pixels, what real land comes to in a cube."""

DELIVERY_BYTES, RESULTS_BYTES = 5.7, 138
"""Bytes of a pixel of the area in a crop map's delivery, and in its run's folder until that is pruned, as the benchmark had them."""


def estimate_request(request: MapRequest, settings: Settings, *, stays: bool = True) -> Estimate:
    """Search the source for a checked request, and tell what it would take. Raises what the search raises.

    ``stays``: what it would take here, whatever other places could.
    """
    source = open_source(str(request.source), load_credentials())
    order = order_of(request, settings, source)
    return estimate(request, settings, settings.open_store(create=False), order, source, stays=stays)


def estimate(
    request: MapRequest, settings: Settings, store: Store, order: Order, source: Source, *, stays: bool = True
) -> Estimate:
    """What a run would take that has this order. ``source``: the one that was searched, which knows sizes of what it found.

    Raises what a processor raises that can't work on it, and `ModelError` where no model fits and none can be trained.
    """
    check_job(request, order)
    readings = _readings(settings, store, order, Zone.of(request.polygon), source)
    return _foreseen(request, settings, store, order, source, readings, stays=stays)


def _readings(settings: Settings, store: Store, order: Order, zone: Zone, source: Source) -> list[Reading]:
    return list(foresee(store, order, zone.cells, source, settings.mask.record(order.level)))


def _foreseen(
    request: MapRequest,
    settings: Settings,
    store: Store,
    order: Order,
    source: Source,
    readings: Sequence[Reading],
    *,
    stays: bool,
) -> Estimate:
    zone = Zone.of(request.polygon)
    km2 = area_km2(zone.area)
    records = recorded(store)
    work = _work(readings, zone.area)
    choice = choose_maker(request, settings, store, zone, _known(request, order, work), stays=stays, begun=True)
    trains = must_train(choice) and request.model != SIMULATED_HERE  # which takes a minute, however large the area
    seconds, unmeasured = seconds_for({**work, "trained": float(trains)}, order.source, choice.processor, records)
    foreseen = Estimate(
        source=order.source,
        area_km2=round(km2, 3),
        cells=len(zone.cells),
        squares=len(zone.squares) if zone.around_points else None,
        acquisitions=tuple(
            AcquisitionForeseen(
                id=reading.acquisition.id,
                time=reading.acquisition.time,
                cloud_cover=reading.acquisition.cloud_cover,
                cells_to_read=len(reading.cells),
                cells_there=reading.whole,
                gigabytes=round(reading.gigabytes, 6),
                processing_units=round(reading.processing_units, 4),
            )
            for reading in readings
        ),
        left_out=order.left_out,
        gigabytes=round(sum(reading.gigabytes for reading in readings), 4),
        sized=all(reading.sized for reading in readings),
        processing_units=round(sum(reading.processing_units for reading in readings), 2)
        if isinstance(source, Metered)
        else None,
        disk=_disk(store, readings, order, km2),
        minutes={stage: round(spent / 60, 3) for stage, spent in seconds.items()},
        measured_runs=runs_behind(seconds.keys() - unmeasured, order.source, choice.processor, records),
        unmeasured=tuple(sorted(unmeasured)),
        candidates=choice.candidates,
        notes=tuple(_notes(order, trains, unmeasured, seconds, isinstance(source, Downloading))),
    )
    late = [f"deadline: {choice.taken.reason}"] if choice.taken.reason.startswith(TOO_LATE) else []
    return foreseen.model_copy(update={"over_limits": (*_exceeded(foreseen, request.limits), *late)})


def place_of(
    request: MapRequest, settings: Settings, elsewhere: Callable[[Settings], Sequence[RunRecord]] = lambda _: ()
) -> str:
    """The place where a checked request's map is made: this one, unless rules or wishes ask for another. No pixel is read.

    ``elsewhere``: what is known of the speed of other places, asked where there is a choice. Raises what the search raises, and what the
    choice does.
    """
    refusals = load_places(settings).refusals(request.polygon, request.places)
    allowed = [place for place, against in refusals.items() if not against]
    if len(allowed) == 1:
        return allowed[0]
    store, zone = settings.open_store(), Zone.of(request.polygon)
    records = [*recorded(store), *elsewhere(settings)]
    source = open_source(str(request.source), load_credentials())
    order = order_of(request, settings, source)
    work = _work(_readings(settings, store, order, zone, source), zone.area)
    return choose_maker(
        request, settings, store, zone, _known(request, order, work), stays=False, records=records
    ).taken.place


def _known(request: MapRequest, order: Order, work: Mapping[str, float]) -> Known:
    """What is known before anything is read: the bands that the level has, and no dates."""
    return Known(frozenset(LEVEL_BANDS[request.level]), order.synthetic, order.source, work)


def _work(readings: Sequence[Reading], area: Area) -> dict[str, float]:
    written = sum(len(reading.cells) for reading in readings)
    there = sum(reading.whole for reading in readings)
    pixels = millions_of_pixels(area)
    return {
        "run": 1,
        "written": written,
        "masked": written + sum(reading.unmasked for reading in readings),
        "cell_dates": written + there,
        "pixel_dates": pixels * len(readings),
        "pixels": pixels,
    }


def _disk(store: Store, readings: Sequence[Reading], order: Order, km2: float) -> DiskForeseen:
    layers = 2 * len(LEVEL_BANDS[order.level]) * PACKED + 1  # bands of 16 bits, and masks that pack well
    pixels = km2 * 1e6 / PIXEL**2
    free = None if not isinstance(store.cubes, Path) else shutil.disk_usage(nearest_there(store.cubes)).free / 1e9
    return DiskForeseen(
        cubes=round(sum(reading.valid_pixels for reading in readings) * layers / 1e9, 3),
        run=round(pixels * RESULTS_BYTES / 1e9, 3),
        delivery=round(pixels * DELIVERY_BYTES / 1e9, 4),
        free=None if free is None else round(free, 1),
    )


def _notes(
    order: Order, trains: bool, unmeasured: frozenset[str], seconds: dict[str, float], downloads: bool
) -> list[str]:
    notes = []
    if unmeasured:
        notes.append(
            f"Minutes of {', '.join(sorted(unmeasured))} come from the benchmark of the software ({benchmark().machine}), since no run "
            "here has measured them yet."
        )
        if "ingest" in unmeasured and (downloads or "://" in order.source or order.source.startswith("cdse:")):
            notes.append("The benchmark read files of its own disk: what the network takes is not in the minutes.")
    if trains:
        told = (
            "as here before"
            if "model" in seconds
            else "how long that takes isn't known here yet, and not in the minutes"
        )
        notes.append(f"No model fits: one is trained from the labels first ({told}).")
    return notes


def check_limits(foreseen: Estimate, limits: Limits) -> None:
    """Raise `RequestError` where limits of a request are exceeded: all that are, on one line."""
    over = _exceeded(foreseen, limits)
    if over:
        raise RequestError(
            f"limits: {'; '.join(over)}. Nothing was downloaded. Raise the limit, or ask for a smaller area, fewer months or a lower "
            "max_cloud; `cropline run --dry-run` shows what it is made of."
        )


def _exceeded(foreseen: Estimate, limits: Limits) -> list[str]:
    """The limits that a run would exceed, each in words."""
    amounts = {
        "gb": (foreseen.gigabytes, "GB to read"),
        "processing_units": (foreseen.processing_units or 0.0, "processing units"),
        "minutes": (foreseen.total_minutes, "minutes"),
    }
    return [
        f"{name} is {limit:g}, and it would take about {amounts[name][0]:,.4g} {amounts[name][1]}"
        for name, limit in limits.items()
        if amounts[name][0] > limit
    ]


def check_before_download(request: MapRequest, settings: Settings, store: Store, order: Order) -> None:
    """See that the processor can work on this order, that the request's limits are kept, and that something makes the map in time.

    Raises `RequestError` and `ModelError`.
    """
    check_job(request, order)
    zone, work = Zone.of(request.polygon), dict[str, float]()
    if request.limits or request.deadline is not None or request.prefer == "time":
        source = open_source(str(request.source), load_credentials())
        # Once more: a source that searched knows the sizes of what it found.
        searched = order_of(request, settings, source)
        readings = _readings(settings, store, searched, zone, source)
        if request.limits:
            check_limits(_foreseen(request, settings, store, searched, source, readings, stays=True), request.limits)
        work = _work(readings, zone.area)
    choose_maker(request, settings, store, zone, _known(request, order, work))
