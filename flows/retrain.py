"""Stages of the flow `retrain`, from labels to a model that later requests find by themselves, in their order."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from catalog.errors import RequestError
from catalog.grid import Cell
from catalog.products import LeftOut, Level, Order
from flows import stages
from flows.checked_request import check_request
from flows.handing_on import in_own_pool
from flows.reporting.artifacts import TRAINING_SHARES, Artifacts
from flows.reporting.progress import Reporter
from flows.reporting.run_log import make_readable
from flows.request import (
    TRAINING_PARAMETERS,
    AreaValue,
    Classifier,
    Count,
    Fraction,
    MapRequest,
    Metres,
    Months,
    Offsets,
    Percent,
    Promote,
    Text,
    Training,
    Year,
)
from flows.run import again_where_rewritten, open_run
from flows.run_name import run_name
from flows.settings import Settings, load_settings
from flows.training import Trained, train_model
from processors.season import Season

NAME = "retrain"


@again_where_rewritten
def learn_area(
    request: MapRequest, processes: int, promote: Promote, settings: Settings, *reporters: Reporter
) -> Trained:
    """Train a model from the labels of a checked request. Returns it, and what was decided about it."""
    if request.labels is None:
        raise RequestError("labels: missing. A model is trained from them.")
    with open_run(request, settings, *reporters) as run:
        order: Order = stages.order(run)  # the acquisitions that the source has
        cells: list[Cell] = stages.extend(run, order)  # cells of the cube with these dates
        unread: list[LeftOut] = stages.ingest(run, order, cells)  # pixels are in the cells, but for these
        unmasked: list[LeftOut] = stages.mask(run, order, cells)  # and where they are clear, but for these
        season: Season = stages.season(run, order, unread + unmasked)  # the acquisitions clear over the area
        return train_model(
            run, order, season, processes, promote
        )  # a checkpoint among the store's models, in use or not


def _run_name() -> str:
    given = {name: value for name, value in flow_run.parameters.items() if name in TRAINING_PARAMETERS}
    return run_name(NAME, given, load_settings())


@flow(
    name=NAME,
    flow_run_name=_run_name,
    persist_result=False,
)
def retrain(
    area: AreaValue,
    year: Year,
    labels: Text,
    months: Months = [1, 7],  # noqa: B006 - Prefect copies it into the schema; nobody changes it
    level: Level = "L2A",
    source: Text | None = None,
    max_cloud: Percent = 95,
    min_clear: Fraction = 0.5,
    min_acquisitions: Count = 5,
    offset: Offsets = {},  # noqa: B006
    labels_layer: Text | None = None,
    labels_column: Text | None = None,
    labels_radius: Metres = 0,
    legend: Text | None = None,
    training: Training = "standard",
    classifier: Classifier = "auto",
    start_from: Text | None = None,
    processes: Annotated[int, Field(ge=1, le=1024)] = 1,
    promote: Promote = "evidence",
) -> str:
    """Train a model from labels and one season, add it to this installation, and put it in use where it beats the one in use.

    Args:
        area: GeoJSON or bbox [west, south, east, north] in degrees, a place on a tile (tile:31UES42), or a vector file's path.
        year: Year that the season ends in; from 2015.
        labels: GeoTIFF or vector file of known crops.
        months: First and last month of the season; [10, 7] starts in October of the year before.
        level: Processing level of the products: L2A (surface) or L1C (top of atmosphere).
        source: Where products come from, such as earth-search, cdse or stac:path/to/catalog.json; by default CROPLINE_SOURCE.
        max_cloud: Products whose whole tile is cloudier than this are not ordered, percent.
        min_clear: An acquisition is used when at least this fraction of the area is clear, 0 to 1.
        min_acquisitions: Fewest acquisitions to train from; with less the run fails.
        offset: Radiometric offset by acquisition or product, in units of 0.0001 reflectance such as -1000, where the source errs.
        labels_layer: Layer of the labels' file, where it holds several with polygons.
        labels_column: Column of the labels' file that says the class; by default the one that is called so.
        labels_radius: Radius of the round parcel that a point of the labels stands for, m; 0 is the pixel that it falls in.
        legend: CSV that says what the labels' codes mean; by default the file beside the labels.
        training: How the model is trained: standard, or quick for a try.
        classifier: Kind of model that is trained: agrunet, fine-tuned, pixel, forest, forest-replay, or auto: the best that suits.
        start_from: Model that a fine-tuned one goes on from; by default the one that comes with the software, where it fits.
        processes: Processes that train together, through torchrun; one on a CPU.
        promote: When the model is put in use: evidence, where it beats the one in use on the same held-out fields, or always.
    """
    given = {name: value for name, value in locals().items() if name in TRAINING_PARAMETERS}
    make_readable()
    settings = in_own_pool(load_settings())
    request = check_request(given, settings.folder, settings, delivers=False)
    with Artifacts(TRAINING_SHARES) as artifacts:
        trained = learn_area(request, processes, promote, settings, artifacts)
        artifacts.publish_model(trained.model.scores, trained.decision)
    return str(trained.model.folder)
