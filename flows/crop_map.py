"""The flow `crop-map`: from a request to a delivery. It orders the stages; what they do is in `processors`."""

from __future__ import annotations

from typing import Any

from prefect import flow

from catalog.products import Level
from flows.mapping import map_area
from flows.reporting.artifacts import ArtifactProgress, publish
from flows.request import (
    AreaValue,
    Count,
    Fraction,
    Months,
    Percent,
    Training,
    Year,
    check_request,
)
from flows.run import open_run
from flows.settings import load_settings
from flows.stages import several_threads


@flow(
    name="crop-map",
    flow_run_name="{processor} {year}",
    task_runner=several_threads(),
    persist_result=False,
    validate_parameters=True,
)
def crop_map(
    area: AreaValue,
    year: Year,
    months: Months = [1, 7],  # noqa: B006 - Prefect copies it into the schema; nobody changes it
    level: Level = "L2A",
    source: str | None = None,
    max_cloud: Percent = 95,
    min_clear: Fraction = 0.5,
    min_acquisitions: Count = 5,
    processor: str = "crop-map",
    labels: str | None = None,
    legend: str | None = None,
    crop_mask: str | None = None,
    model: str | None = None,
    output: str | None = None,
    parameters: dict[str, Any] = {},  # noqa: B006
    training: Training = "standard",
) -> dict[str, Any]:
    """One map of one area and season, from order to delivery.

    Args:
        area: GeoJSON geometry, Feature or FeatureCollection in longitude and latitude, or a bbox [west, south, east, north].
        year: Year that the season ends in; from 2015.
        months: First and last month of the season; [10, 7] starts in October of the year before.
        level: Processing level of the products: L2A (surface) or L1C (top of atmosphere).
        source: Where products come from, such as stac:path/to/catalog.json or stac:https://…; by default CROPLINE_SOURCE.
        max_cloud: Products whose whole tile is cloudier than this are not ordered, percent.
        min_clear: An acquisition is used when at least this fraction of the area is clear, 0 to 1.
        min_acquisitions: Fewest acquisitions to make a map from; with less the run fails.
        processor: Thematic processor; `cropline processors` lists them.
        labels: GeoTIFF or vector file of known crops; a model is trained from it where none fits.
        legend: CSV that says what the labels' codes mean; by default the file beside the labels.
        crop_mask: GeoTIFF or vector file of cropland; what lies outside is mapped as background.
        model: Name of a model of this installation or folder of a checkpoint; by default the newest that fits.
        output: Folder of the delivery; by default `deliveries/PROCESSOR-YEAR-HASH` of the request.
        parameters: Parameters of the processor itself.
        training: How a missing model is trained: standard, or quick for a try.
    """
    given = dict(locals())
    settings = load_settings()
    request = check_request(given, settings.folder, settings)
    with open_run(request, settings, ArtifactProgress()) as run:
        delivery, facts = map_area(run)
    publish(delivery, facts)
    return delivery.model_dump(mode="json")
