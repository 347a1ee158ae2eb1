"""Results of jobs: what a run delivered, as a STAC item whose assets can be had here, and the files themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from catalog.delivered_maps import ITEM, delivered_files
from catalog.errors import RequestError
from catalog.guards.json_text import parse_json, parse_object
from flows.ogc.jobs import DOCUMENT, REFERENCE, cause_of, process_of, status_of
from flows.ogc.offers import OFFERS
from flows.ogc.refusals import INVALID_VALUE, OTHER, RESULT_NOT_READY, RefusedError
from flows.prefect_process.api import Api
from flows.reporting.markdown import plain_text
from flows.request import RUN_PARAMETERS, MapRequest
from processors.delivery.folder_swap import delivered_digest

_OF_THE_REQUEST = ("RequestError", "NoProductError", "NotEnoughAcquisitionsError", "ModelError", "DeliveryError")
"""Errors of runs whose cause is what was asked for."""

_FILE = "The delivery has no such file."


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to who asks for results."""

    content: Any
    """JSON; None where a link says it all."""
    media_type: str
    output: str
    """Identifier of the output."""
    link: str | None = None
    """Where the output lies that was wanted by reference."""


def check_over(run: Mapping[str, Any]) -> None:
    """Raise `RefusedError` where a job has no results: not yet, not any more, or because it failed."""
    status = status_of(run)
    if status in ("accepted", "running"):
        raise RefusedError(
            HTTPStatus.NOT_FOUND, f"The job is {status}; its results aren't there yet.", RESULT_NOT_READY
        )
    if status == "dismissed":
        raise RefusedError(HTTPStatus.GONE, "The job was dismissed; it has no results.")
    if status == "failed":
        kind, text = cause_of(run)
        if kind in _OF_THE_REQUEST:
            raise RefusedError(HTTPStatus.BAD_REQUEST, text, INVALID_VALUE)
        raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, text, OTHER)


def results_of(api: Api, run: Mapping[str, Any], address: str) -> Result:
    """What a job's results are, in the form that its order asked for; ``address``: of the job's results. Raises `RefusedError`."""
    check_over(run)
    offer = OFFERS[process_of(run)]
    media_type = str(offer.output_schema["contentMediaType"])
    link = f"{address}/{ITEM if offer.output == 'delivery' else f'{offer.output}.json'}"
    if REFERENCE in run["tags"]:
        if DOCUMENT not in run["tags"]:
            return Result(None, media_type, offer.output, link)
        return Result(
            {offer.output: {"href": link, "type": media_type, "title": offer.output_title}},
            "application/json",
            offer.output,
        )
    value = output_of(api, run, address)
    if DOCUMENT in run["tags"]:
        return Result({offer.output: {"value": value, "mediaType": media_type}}, "application/json", offer.output)
    return Result(value, media_type, offer.output)


def output_of(api: Api, run: Mapping[str, Any], address: str) -> dict[str, Any]:
    """The value of a job's one output, whatever form its order asked for. Raises `RefusedError`."""
    check_over(run)
    return item_of(run, address) if OFFERS[process_of(run)].output == "delivery" else estimate_of(api, run)


def file_of(api: Api, run: Mapping[str, Any], name: str, address: str) -> Path | dict[str, Any]:
    """A file of a job's results by the name in its link; JSON where it is made for who asks. Raises `RefusedError`."""
    check_over(run)
    if OFFERS[process_of(run)].output == "estimate":
        if name != "estimate.json":
            raise RefusedError(HTTPStatus.NOT_FOUND, _FILE)
        return estimate_of(api, run)
    if name == ITEM:
        return item_of(run, address)
    folder = folder_of(run)
    if name not in delivered_files(folder) or not (folder / name).is_file():
        raise RefusedError(HTTPStatus.NOT_FOUND, _FILE)
    return folder / name


def item_of(run: Mapping[str, Any], address: str) -> dict[str, Any]:
    """The STAC item of what a job delivered, its assets where they can be had. Raises `RefusedError` where it isn't here."""
    item = parse_object((folder_of(run) / ITEM).read_bytes(), RequestError)
    files = delivered_files(folder_of(run))
    named = {key: (asset, str(asset["href"]).removeprefix("./")) for key, asset in item["assets"].items()}
    here = {"rel": "self", "href": f"{address}/{ITEM}", "type": "application/geo+json"}
    return {
        **item,
        "links": [here, *(link for link in item.get("links", ()) if "://" in str(link["href"]))],
        "assets": {
            key: {**asset, "href": f"{address}/{quote(name)}"} for key, (asset, name) in named.items() if name in files
        },
    }


def folder_of(run: Mapping[str, Any]) -> Path:
    """The folder in which a job's delivery lies. Raises `RefusedError` where it is gone, or on another machine."""
    asked = {name: value for name, value in run["parameters"].items() if name not in RUN_PARAMETERS}
    try:
        request = MapRequest.model_validate(asked)
        folder, digest = request.delivery_folder, request.digest
    except (ValidationError, RequestError) as error:
        raise RefusedError(HTTPStatus.GONE, f"The request of this job can't be read any more: {error}") from error
    if delivered_digest(folder) != digest:
        raise RefusedError(
            HTTPStatus.GONE,
            "The delivery isn't here: it was removed, replaced, or made on another machine. Ask who runs this server, or order it again.",
        )
    return folder


def estimate_of(api: Api, run: Mapping[str, Any]) -> dict[str, Any]:
    """What a map would take, from the tables that the run showed."""
    keys = ("estimate", "acquisitions", "left-out")
    asked = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": list(keys)}}}
    tables = {artifact["key"]: artifact for artifact in api.ask("artifacts/filter", asked) or []}
    if "estimate" not in tables:
        raise RefusedError(HTTPStatus.GONE, "The server doesn't hold this job's estimate any more. Order it again.")
    return {
        "remarks": plain_text(tables["estimate"]["description"] or ""),
        **{key.replace("-", "_"): _rows(tables[key]) if key in tables else [] for key in keys},
    }


def _rows(artifact: Mapping[str, Any]) -> list[dict[str, str]]:
    data = artifact["data"]
    rows = parse_json(data, RequestError) if isinstance(data, str) else data
    return [{name: plain_text(str(value)) for name, value in row.items()} for row in rows]


def as_json(value: Any) -> bytes:
    """JSON for the wire."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
