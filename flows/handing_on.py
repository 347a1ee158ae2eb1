"""Requests handed on: a run whose map is made in another place starts the same deployment there, before anything is read, and ends."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from catalog.errors import RequestError
from catalog.guards.json_text import parse_json, parse_model
from flows.own_server import REQUEST
from flows.rates import MOST_RECORDS, RunRecord
from flows.reporting.artifacts import RATE
from flows.request import MapRequest
from flows.settings import Settings

HANDED_ON = "HandedOn"
"""Name of the state of a run that handed its request on."""


def in_own_pool(settings: Settings) -> Settings:
    """The settings of a run, in the place that it was sent to: the work pool says it, else the settings do.

    Raises `RequestError` where both do and differ: a rule would be kept for a place where the run isn't.
    """
    context = FlowRunContext.get()
    flow_run = None if context is None else context.flow_run
    pool = getattr(flow_run, "work_pool_name", None)
    if pool is not None and pool != settings.place:
        raise RequestError(
            f"places: this run comes from the work pool {pool}, and its worker is set to the place {settings.place}. Set "
            f"CROPLINE_PLACE={pool} for `cropline up` on the worker's machine."
        )
    return settings


def measured_elsewhere(settings: Settings) -> list[RunRecord]:
    """What runs in other places of this server told of their speed, the last ones; what can't be read is passed over."""
    asked = ArtifactFilter(key=ArtifactFilterKey(any_=[RATE]))
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=asked, limit=MOST_RECORDS, sort=ArtifactSort.CREATED_DESC)
    records = []
    for artifact in artifacts:
        with suppress(RequestError, TypeError, ValueError):
            (row,) = parse_json(str(artifact.data), RequestError)
            record = parse_model(RunRecord, json.dumps(row), RequestError)
            if record.place != settings.place:
                records.append(record)
    return records


def hand_on(request: MapRequest, place: str, settings: Settings) -> State[dict[str, Any]]:
    """Start a checked request in another place, once, and end this run: it doesn't wait, so it keeps no other request waiting.

    Raises `RequestError` where the server has no deployment for that place.
    """
    deployment = deployment_for(place)
    context = FlowRunContext.get()
    own = None if context is None or context.flow_run is None else str(context.flow_run.id)
    try:
        run: Any = run_deployment(
            deployment,
            parameters={**request.model_dump(mode="json"), "stay": True},
            timeout=0,
            tags=[f"handed on by {settings.place}"],
            idempotency_key=own,  # a run that crashes now and is taken up again finds the one that it started
        )
    except ObjectNotFound as error:
        raise RequestError(
            f"places: the map has to be made in {place}, and the server has no deployment {deployment}. Start the server again with the "
            "rules in its store: `cropline up`."
        ) from error
    get_run_logger().info("handed on to %s: run %s, %s", place, run.name, run.id)
    handed: State[dict[str, Any]] = Completed(
        name=HANDED_ON,
        message=f"The map is made in {place}: run {run.id} of {deployment}.",
        data={"handed_on_to": place, "run": str(run.id), "deployment": deployment},
    )
    return handed


def deployment_for(place: str, deployment: str = REQUEST) -> str:
    """The deployment that does in another place what one of the own place does here."""
    return f"{deployment}-{place}"
