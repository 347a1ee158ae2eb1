"""The stages of a run, in their order: each a thin call into `catalog` and `processors`. What they leave is in the run's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from prefect.runtime import task_run

from catalog.area import Area
from catalog.candidates import Against, Choice
from catalog.delivered_maps import ITEM
from catalog.errors import AccessError, NoProductError, NotEnoughAcquisitionsError, SourceError
from catalog.grid import Cell
from catalog.order import make_order, with_other_years
from catalog.products import LeftOut, Order
from catalog.registry import Registry
from catalog.sources.protocol import Source
from catalog.sources.registry import open_source
from catalog.storage.store import CellPath
from catalog.storage.whole import write_json
from flows.choice import Known, choose_maker
from flows.credentials import load_credentials
from flows.job import job_of
from flows.rates import millions_of_pixels
from flows.reporting.progress import counted
from flows.request import SIMULATED_HERE, MapRequest
from flows.request_ground import request_crop_mask
from flows.run import Run
from flows.settings import Settings
from flows.stage import Batch, batch_task, in_batches, stage
from flows.totals import count_ingested, count_masked
from flows.training import train_model
from processors.conformity.declarations import read_declarations
from processors.conformity.judge import Conformity
from processors.delivery.deliver import deliver as write_delivery
from processors.delivery.provenance import DeliveryFacts
from processors.engine.machine import gpus
from processors.ingest.acquisition import IngestResult, extend_cells
from processors.ingest.within_limits import ingest_within
from processors.mask.acquisition import MaskResult, mask_acquisition
from processors.mosaic import mosaic as blend
from processors.patches.cube_patches import CubePatches, cover
from processors.season import Season, choose_season
from processors.thematic.protocol import Job, Processor
from processors.thematic.registry import judgement_of, load_processor, make_processor, other_years
from processors.thematic.run_results import forget_shared, results_path
from processors.thematic.runner import run_processor
from processors.views.make import make_views
from processors.views.parcels import Map
from processors.views.views import Views


@stage(
    "order",
    waits_for="the source's catalogue",
    outcome=lambda made: _ordered(made),
    reads_source=True,
)
def order(run: Run) -> Order:
    """Search the source and write down what is taken, what is not, and why.

    While attempts are left, a product whose description is not reachable now is a failure, as its pixels are to `ingest_batch`.
    """
    made = order_of(run.request, run.settings)
    _ask_again(run, made.left_out)
    write_json(run.folder.order, made.model_dump(mode="json"))
    return made


def order_of(request: MapRequest, settings: Settings, source: Source | None = None) -> Order:
    """What a request takes of its source now, and of the years that its processor compares the season with.

    ``source``: the same, where it is open already. Raises what the source raises, and `NoProductError` where there is nothing of the
    season itself.
    """
    source, area = source or open_source(str(request.source), load_credentials()), request.polygon

    def order_in(year: int, offsets: Mapping[str, int]) -> Order:
        asked = (area, year, request.season, request.level, request.max_cloud, offsets)
        return make_order(source, *asked, until=settings.today)

    years = other_years(load_processor(request.processor), request.parameters, request.year)
    if not years:
        return order_in(request.year, request.offset)
    own, others = order_in(request.year, {}), []
    for year in years:
        with suppress(NoProductError):  # the processor says which months it can't compare
            others.append(order_in(year, {}))
    return with_other_years(own, others, request.offset)


@stage("extend", waits_for="the cells' time axes{squares}", outcome=lambda cells: counted(len(cells), "cell"))
def extend(run: Run, order: Order) -> list[Cell]:
    """Extend the time axes of the cells that the area touches. Returns those that have any date."""
    cells: list[Cell] = run.engine.run(extend_cells, run.store, order, run.zone.cells)
    return cells


def ingest(run: Run, order: Order, cells: list[Cell]) -> list[LeftOut]:
    """Read the acquisitions' pixels into the cells, each once. Returns what can't be read.

    Raises `AccessError` or `SourceError` where nothing at all can.
    """
    results = in_batches(
        run, ingest_batch, order, cells, waits_for="pixels from the source", outcome=done_text, reads_source=True
    )
    run.reached.update({result.acquisition: result.done for result in results})
    run.work["written"] = sum(len(result.written) for result in results)
    run.work["cell_dates"] = run.work["written"] + sum(len(result.skipped) for result in results)
    refuse_nothing(results, order.source)
    return [left for result in results for left in result.dropped]


@batch_task("ingest")
def ingest_batch(run: Run, order: Order, cells: list[Cell], batch: Batch) -> list[IngestResult]:
    """Read acquisitions into their cells.

    While attempts are left, what is not reachable now is a failure: the next attempt reads what this one could not, and the last one
    goes on without.
    """
    results: list[IngestResult] = [
        run.engine.run(
            ingest_within,
            run.settings.read_limits,
            run.store,
            order,
            acquisition,
            cells,
            order.source,
            load_credentials(),
            run.settings.downloads,
        )
        for acquisition in batch.ids
    ]
    count_ingested(run.store, order, results)
    _ask_again(run, [left for result in results for left in result.dropped])
    return results


def _ask_again(run: Run, left_out: Sequence[LeftOut]) -> None:
    """Raise `SourceError` where something is not reachable now, and the task has an attempt left."""
    passing = [left for left in left_out if left.passing]
    if passing and 0 < task_run.run_count <= run.settings.ingest_retries:
        raise SourceError(f"{_first(passing)} It is tried again.")


def mask(run: Run, order: Order, cells: list[Cell]) -> list[LeftOut]:
    """Write where the acquisitions are clear into the cells. Returns what can't be masked."""
    results = in_batches(run, mask_batch, order, cells, waits_for="cloud masks", outcome=done_text)
    run.work["masked"] = sum(len(result.masked) for result in results)
    return [left for result in results for left in result.dropped]


@batch_task("mask")
def mask_batch(run: Run, order: Order, cells: list[Cell], batch: Batch) -> list[MaskResult]:
    """Write the masks of acquisitions, with the options that the installation is set to."""
    results: list[MaskResult] = [
        run.engine.run(mask_acquisition, run.store, order, acquisition, cells, run.settings.mask)
        for acquisition in batch.ids
    ]
    count_masked(run.store, order, results)
    return results


@stage(
    "season",
    waits_for="clear fractions over the area",
    outcome=lambda chosen: f"{len(chosen.used)} of {len(chosen.acquisitions)} acquisitions are clear enough",
)
def season(run: Run, order: Order, unusable: Sequence[LeftOut], over: Area | None = None) -> Season:
    """Choose the acquisitions that are clear enough over the area, or ``over`` a part of it. Raises `NotEnoughAcquisitionsError`."""
    zone, request = run.zone, run.request
    asked = (run.store, order, over or zone.area, zone.epsg, request.min_clear, request.min_acquisitions)
    try:
        chosen: Season = run.engine.run(choose_season, *asked)
    except NotEnoughAcquisitionsError as error:
        raise with_reasons(error, unusable) from None
    write_json(run.folder.season, chosen.model_dump(mode="json"))
    return chosen


def model(run: Run, order: Order, season: Season) -> Choice:
    """The processor and the checkpoint that make the map: chosen among what there is, else trained from the request's labels, or simulated.

    A model that was trained and isn't promoted leaves the request to the one in use. Raises `ModelError` and `RequestError` where nothing
    serves.
    """
    if not load_processor(run.request.processor).needs_model:
        return _choose(run, order, season)
    found = found_maker(run, order, season)
    if not must_train(found):
        return found
    if run.request.model == SIMULATED_HERE:
        from flows.simulated_model import simulated_model  # the simulated land comes with it

        return _choose(run, order, season, model=simulated_model(run, season).name)
    trained = train_model(run, order, season, processes=max(1, len(gpus())))
    return replace(_choose(run, order, season, trains=False), decision=trained.decision)


@stage("model", waits_for="a model that fits", outcome=lambda chosen: _chosen_text(chosen))
def found_maker(run: Run, order: Order, season: Season) -> Choice:
    """What makes the map, of what is there or can be trained. Raises `ModelError` and `RequestError` where nothing serves."""
    return _choose(run, order, season)


def must_train(choice: Choice) -> bool:
    """Whether what was chosen has to be trained first."""
    return choice.folder is None and load_processor(choice.processor).needs_model


def _choose(run: Run, order: Order, season: Season, *, trains: bool = True, model: str | None = None) -> Choice:
    request = run.request if model is None else run.request.model_copy(update={"model": model})
    pixels = millions_of_pixels(run.zone.area)
    known = Known(
        bands=frozenset(season.bands),
        synthetic=order.synthetic,
        source=order.source,
        work={"pixels": pixels, "pixel_dates": pixels * len(season.used)},
        dates=len(season.own),
    )
    return choose_maker(request, run.settings, run.store, run.zone, known, begun=True, trains=trains)


@dataclass(frozen=True)
class Patches:
    """Work of the processor: its job, and windows over the area that are read from the cells."""

    job: Job
    processor: Processor
    source: CubePatches
    choice: Choice


@stage(
    "patch", waits_for="windows over the area", outcome=lambda patches: counted(len(patches.source), "patch", "patches")
)
def patch(run: Run, order: Order, season: Season, choice: Choice) -> Patches:
    """Write the processor's job down, check that it can be done, and cover the area with windows."""
    request = run.request
    job = job_of(request, order, season.used, season.bands, choice.folder)
    write_json(run.folder.job, job.model_dump(mode="json"))
    processor = make_processor(choice.processor, job)
    judgement = judgement_of(processor)
    declared = None if judgement is None else run.parcels
    if judgement is not None and declared is not None:
        read_declarations(declared, judgement)  # what is wrong with them is said before hours of work
    windows = cover(run.zone.window, processor.grid, zone_area=run.zone.geometry)
    source = CubePatches(run.store, order.source_id, order.level, season, windows, processor.bands)
    return Patches(job, processor, source, choice)


@stage("thematic", waits_for="the processor")
def thematic(run: Run, patches: Patches) -> CellPath:
    """Run the processor over the patches. Returns their results, each patch written once, unblended."""
    results = results_path(run.folder.results, run.folder.shared_results, run.store.cubes, run.engine)
    run_processor(
        patches.processor.name,
        patches.job,
        patches.source,
        results,
        run.settings.processes,
        run.reporter.advance,
        engine=run.engine,
        resolve=load_credentials,
    )
    return results


@stage("mosaic", waits_for="blended blocks")
def mosaic(run: Run, patches: Patches, results: CellPath) -> dict[str, Path]:
    """Blend the results, and lay the crop mask over them. Returns the raster of each variable over the area."""
    zone, request = run.zone, run.request
    crop_mask = request_crop_mask(request)
    if crop_mask is not None:
        crop_mask.check(zone.geometry, zone.epsg)
    run.folder.mosaic.mkdir(exist_ok=True)
    return blend(
        patches.processor.name,
        patches.job,
        patches.source.windows,
        results,
        zone.area,
        zone.window,
        run.folder.mosaic,
        run.engine,
        crop_mask=crop_mask,
        progress=run.reporter.advance,
    )


@stage("views", waits_for="what the season looked like")
def views(run: Run, season: Season, patches: Patches, rasters: dict[str, Path]) -> Views:
    """Make true colour, parcels and curves of the season, for whoever looks at the delivery."""
    source, zone = patches.source, run.zone
    run.folder.views.mkdir(exist_ok=True)
    return make_views(
        run.store,
        source.source_id,
        source.level,
        season,
        Map(rasters, patches.processor.variables, zone.window, zone.geometry),
        run.folder.views,
        run.engine,
        run.parcels,
        run.reporter.advance,
    )


@stage("deliver", waits_for="files")
def deliver(
    run: Run,
    patches: Patches,
    rasters: dict[str, Path],
    facts: DeliveryFacts,
    views: Views,
    conformity: Conformity | None = None,
) -> list[Path]:
    """Write the delivery, swap it in whole, and list it in the store. Returns its files."""
    request, declared = run.request, patches.processor.variables
    files = write_delivery(
        request.delivery_folder, rasters, declared, facts, views, conformity, replace=request.replace
    )
    Registry(run.store).add_map(next(file for file in files if file.name == ITEM))
    forget_shared(run.folder.shared_results, run.store.cubes)
    return files


def _chosen_text(choice: Choice) -> str:
    """Name of the model, and of others that fit and are not in use."""
    if must_train(choice):
        return "none fits; one is trained from the labels"
    others = (one for one in choice.candidates if one.against is Against.NOT_IN_USE and not one.taken)
    passed = dict.fromkeys(f"; not {one.model}: {one.reason}" for one in others if one.processor == choice.processor)
    return f"{choice.taken.model}{''.join(passed)}"


def done_text(results: Sequence[IngestResult | MaskResult]) -> str:
    """Number of acquisitions, and what of them is left out, by its first example."""
    dropped = [left for result in results for left in result.dropped]
    return counted(len(results), "acquisition") + (f"; left out: {_first(dropped)}" if dropped else "")


def refuse_nothing(results: Sequence[IngestResult], source: str) -> None:
    """Raise `AccessError` or `SourceError` where the network left nothing at all of a source."""
    if any(result.written or result.skipped for result in results):
        return
    dropped = [left for result in results for left in result.dropped]
    if dropped and all(left.denied for left in dropped):
        raise AccessError(f"source {source}: nothing of it may be read. {_first(dropped)}")
    if dropped and all(left.denied or left.passing for left in dropped):
        raise SourceError(f"source {source}: nothing of it can be reached. {_first(dropped)} Try again later.")


def with_reasons(error: NotEnoughAcquisitionsError, dropped: Sequence[LeftOut]) -> NotEnoughAcquisitionsError:
    """Add to the error what could not be read, which may be why too little is left."""
    if not dropped:
        return error
    if error.without_data:  # then this is the cause, and stands first
        text = f"Nothing could be read: {_first(dropped)}\n{error}"
    else:
        text = f"{error}\nNot all could be read: {_first(dropped)}"
    return NotEnoughAcquisitionsError(text, without_data=error.without_data, usable=error.usable)


def _ordered(order: Order) -> str:
    """What was ordered and what was found and left out, by kind."""
    kinds = Counter(left.kind.words for left in order.left_out)
    left = f"; left out: {', '.join(f'{count} {words}' for words, count in kinds.most_common())}" if kinds else ""
    return counted(len(order.acquisitions), "acquisition") + left


def _first(left: Sequence[LeftOut]) -> str:
    """Text of what was left out, by its first example."""
    rest = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"{left[0].product}{rest}: {left[0].reason.rstrip('.')}."
