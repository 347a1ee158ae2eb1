"""Stages of the flow `crop-map`, from a request to a delivered map, in their order. What they do is in `flows.stages`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from catalog.candidates import Choice, Preference
from catalog.grid import Cell
from catalog.products import LeftOut, Level, Order
from catalog.storage.store import CellPath
from flows import judging, stages
from flows.checked_request import check_request
from flows.delivery_address import reachable
from flows.estimate import check_before_download, estimate_request, place_of
from flows.facts import describe, hand_over
from flows.handing_on import hand_on, in_own_pool, measured_elsewhere
from flows.reporting.artifacts import MAP_SHARES, Artifacts
from flows.reporting.delivery import Delivery
from flows.reporting.progress import Reporter
from flows.reporting.run_log import make_readable
from flows.request import (
    RUN_PARAMETERS,
    AreaValue,
    Classifier,
    Count,
    Crops,
    Fraction,
    Limits,
    MapRequest,
    Metres,
    Months,
    Offsets,
    Percent,
    PlaceNames,
    Text,
    Training,
    Year,
)
from flows.run import again_where_rewritten, open_run
from flows.run_name import run_name
from flows.settings import Settings, load_settings
from processors.conformity.judge import Conformity
from processors.delivery.provenance import DeliveryFacts
from processors.season import Season
from processors.thematic.domain import Domain
from processors.views.views import Views

NAME = "crop-map"


@again_where_rewritten
def map_area(request: MapRequest, settings: Settings, *reporters: Reporter) -> tuple[Delivery, DeliveryFacts]:
    """Make the map that a checked request asks for. Returns what was delivered, and all that is told of it.

    Each stage takes what those before it made, looks at its own outputs in the store, and does what is missing.
    """
    with open_run(request, settings, *reporters) as run:
        order: Order = stages.order(run)  # the acquisitions that the source has
        check_before_download(
            run.request, run.settings, run.store, order
        )  # the processor can do it, limits are kept, a model is had
        cells: list[Cell] = stages.extend(run, order)  # cells of the cube with these dates
        unread: list[LeftOut] = stages.ingest(run, order, cells)  # pixels are in the cells, but for these
        unmasked: list[LeftOut] = stages.mask(run, order, cells)  # and where they are clear, but for these
        season: Season = stages.season(run, order, unread + unmasked)  # the acquisitions clear over the area
        choice: Choice = stages.model(run, order, season)  # a processor and its checkpoint, chosen or trained
        patches: stages.Patches = stages.patch(run, order, season, choice)  # windows over the area, and the job
        results: CellPath = stages.thematic(run, patches)  # fields of each patch, such as probabilities
        rasters: dict[str, Path] = stages.mosaic(run, patches, results)  # blended variables over the area
        views: Views = stages.views(run, season, patches, rasters)  # what the season looked like there
        conformity: Conformity | None = judging.conformity(run, patches, results, views)  # verdicts on declared parcels
        domain: Domain | None = judging.domain(run, patches)  # whether the model knows such a season
        judged = conformity, domain
        facts: DeliveryFacts = describe(run, order, unread + unmasked, season, patches, views, *judged)  # its origin
        files: list[Path] = stages.deliver(run, patches, rasters, facts, views, conformity)  # what the user opens
        return hand_over(run, order, facts, files), facts


def _run_name() -> str:
    given = flow_run.parameters
    what = f"dry run of {given['processor']}" if given.get("dry_run") else given["processor"]
    return run_name(what, {name: value for name, value in given.items() if name not in RUN_PARAMETERS}, load_settings())


@flow(
    name=NAME,
    flow_run_name=_run_name,
    persist_result=False,
    validate_parameters=True,
)
def crop_map(
    area: AreaValue,
    year: Year,
    months: Months = [1, 7],  # noqa: B006 - Prefect copies it into the schema; nobody changes it
    level: Level = "L2A",
    source: Text | None = None,
    max_cloud: Percent = 95,
    min_clear: Fraction = 0.5,
    min_acquisitions: Count = 5,
    offset: Offsets = {},  # noqa: B006
    processor: str = "crop-map",
    labels: Text | None = None,
    labels_layer: Text | None = None,
    labels_column: Text | None = None,
    labels_radius: Metres = 0,
    legend: Text | None = None,
    crops: Crops = [],  # noqa: B006
    crop_mask: Text | None = None,
    crop_mask_layer: Text | None = None,
    parcels: Text | None = None,
    parcels_layer: Text | None = None,
    model: Text | None = None,
    output: Text | None = None,
    replace: bool = False,
    parameters: dict[str, Any] = {},  # noqa: B006
    training: Training = "standard",
    classifier: Classifier = "auto",
    start_from: Text | None = None,
    limits: Limits = {},  # noqa: B006
    prefer: Preference = "quality",
    deadline: datetime | None = None,
    places: PlaceNames = [],  # noqa: B006
    dry_run: bool = False,
    stay: bool = False,
) -> dict[str, Any] | State[dict[str, Any]]:
    """One map of one area and season, from order to delivery.

    Args:
        area: GeoJSON or bbox [west, south, east, north] in degrees, a place on a tile (tile:31UES42), or a vector file's path.
        year: Year that the season ends in; from 2015.
        months: First and last month of the season; [10, 7] starts in October of the year before.
        level: Processing level of the products: L2A (surface) or L1C (top of atmosphere).
        source: Where products come from, such as earth-search, cdse or stac:path/to/catalog.json; by default CROPLINE_SOURCE.
        max_cloud: Products whose whole tile is cloudier than this are not ordered, percent.
        min_clear: An acquisition is used when at least this fraction of the area is clear, 0 to 1.
        min_acquisitions: Fewest acquisitions to make a map from; with less the run fails.
        offset: Radiometric offset by acquisition or product, in units of 0.0001 reflectance such as -1000, where the source errs.
        processor: Thematic processor; `cropline processors` lists them.
        labels: GeoTIFF or vector file of known crops; a model is trained from it where none fits.
        labels_layer: Layer of the labels' file, where it holds several with polygons.
        labels_column: Column of the labels' file that says the class; by default the one that is called so.
        labels_radius: Radius of the round parcel that a point of the labels stands for, m; 0 is the pixel that it falls in.
        legend: CSV that says what the labels' codes mean; by default the file beside the labels.
        crops: Crops that may be named, by the model's names or HCAT codes; as an object with the weight of each. By default all.
        crop_mask: GeoTIFF or vector file of cropland; what lies outside is mapped as background.
        crop_mask_layer: Layer of the crop mask's file, where it holds several with polygons.
        parcels: Vector file of parcels: the delivery says the crop of each; by default those of the map.
        parcels_layer: Layer of the parcels' file, where it holds several with polygons.
        model: Model of this installation, folder of a checkpoint, or simulated-here, made without labels; by default the best.
        output: Folder of the delivery; by default `deliveries/PROCESSOR-YEAR-HASH` of the request.
        replace: Replace the delivery of another request that the output folder holds.
        parameters: Parameters of the processor itself.
        training: How a missing model is trained: standard, or quick for a try.
        classifier: Kind of model that is trained: agrunet, fine-tuned, pixel, forest, forest-replay, or auto: the best that suits.
        start_from: Model that a fine-tuned one goes on from; by default the one that comes with the software, where it fits.
        limits: Most that the run may take: gb to read, processing_units, minutes; if it would take more, nothing is downloaded.
        prefer: What decides where several processors, models or places can make the map: quality, or time.
        deadline: Time by which the map must be there, UTC where it names no zone; what takes longer is not begun.
        places: Names of the places (work pools) where the data may be processed; by default all that the operator's rules allow.
        dry_run: Make no map: tell what it would read, cost and take, and download nothing.
        stay: Make the map in the place where the run is, and refuse it where that isn't allowed; else it may be handed on.
    """
    given = {name: value for name, value in locals().items() if name not in RUN_PARAMETERS}
    make_readable()
    settings = in_own_pool(load_settings())
    request = check_request(given, settings.folder, settings, routes=not stay)
    if dry_run:
        foreseen = estimate_request(request, settings, stays=stay)
        with Artifacts({"estimate": 100}) as artifacts:
            artifacts.publish_estimate(foreseen)
        return foreseen.model_dump(mode="json")
    if not stay and (place := place_of(request, settings, measured_elsewhere)) != settings.place:
        return hand_on(request, place, settings)
    with Artifacts(MAP_SHARES) as artifacts:
        delivery, facts = map_area(request, settings, artifacts)
        web = reachable(settings.open_store(create=False), Path(delivery.delivery), settings.web_folder)
        artifacts.publish(delivery, facts, web)
        artifacts.publish_rate(delivery, str(request.source), settings.place)
    return delivery.model_dump(mode="json")
