"""What partners may order: processes, each a deployment with some of its parameters.

Partners have no files on this machine. So parameters that name files or folders are not offered, and what is offered names none:
areas are GeoJSON, a bbox or a place on a tile; sources and models go by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.area_tile import is_tile
from catalog.errors import RequestError
from catalog.quoting import shown
from catalog.registry import Registry
from catalog.sources.presets import PRESETS
from catalog.storage.store import Store
from flows.own_server import REQUEST
from flows.request import SIMULATED_HERE
from flows.settings import Settings
from flows.shared_store import exchange_models

_NAMES = ", ".join(PRESETS)
_SOURCE = re.compile(r"mission:[\w=,-]*|sentinelhub:")
_MODEL = re.compile(r"\w[\w.+-]{0,250}")


@dataclass(frozen=True, slots=True)
class Offer:
    """A process."""

    id: str
    title: str
    description: str
    deployment: str
    """Its name in Prefect, ``flow/deployment``."""
    inputs: tuple[str, ...]
    """Parameters of the deployment that are offered as inputs."""
    fixed: Mapping[str, Any]
    """Parameters that the process itself sets."""
    output: str
    """Identifier of its one output."""
    output_title: str
    output_schema: Mapping[str, Any]


_INPUTS = (
    "area", "year", "months", "level", "source", "max_cloud", "min_clear", "min_acquisitions", "offset", "processor", "crops",
    "model", "parameters", "limits",
)  # fmt: skip

OFFERS = {
    offer.id: offer
    for offer in (
        Offer(
            id="crop-map",
            title="Map of one area and season",
            description=(
                "Orders the Sentinel-2 acquisitions of a season, masks clouds and maps the area. The result is a STAC item, whose assets "
                "are the map, its report, parcels and areas."
            ),
            deployment=REQUEST,
            inputs=_INPUTS,
            fixed={"dry_run": False},
            output="delivery",
            output_title="STAC item of the delivery; its assets are the files",
            output_schema={"type": "object", "contentMediaType": "application/geo+json"},
        ),
        Offer(
            id="estimate",
            title="What a map would take",
            description="Searches the source and tells what a map would read, cost and take. Nothing is downloaded.",
            deployment=REQUEST,
            inputs=_INPUTS,
            fixed={"dry_run": True},
            output="estimate",
            output_title="What the run would read, cost and take, and from which acquisitions",
            output_schema={"type": "object", "contentMediaType": "application/json"},
        ),
    )
}
"""Processes by their identifiers."""

DESCRIPTIONS = {
    "area": "GeoJSON geometry or feature, or bbox [west, south, east, north], in degrees; or a place on a tile, such as tile:31UES42.",
    "source": f"Where products come from: {_NAMES}, sentinelhub: or mission: (simulated); by default what this installation is set to.",
    "processor": "Thematic processor, such as crop-map or vegetation.",
    "model": f"Name of a model of this installation, or {SIMULATED_HERE}, made without labels; by default the best that fits.",
}
"""What is said of inputs that take less than the parameter of that name does."""


def check_names(inputs: Mapping[str, Any], settings: Settings) -> None:
    """Raise `RequestError` where an input names a file, a folder or an address, or a model that isn't listed."""
    area, source, model = (inputs.get(name) for name in ("area", "source", "model"))
    usual_source = settings.source
    if isinstance(area, str) and not is_tile(area):
        raise RequestError(f"area: {shown(area)} is no place on a tile. Send GeoJSON, a bbox, or such as tile:31UES42.")
    if source is None and usual_source is None:
        raise RequestError(
            f"source: missing, and this installation is set to none. Take one of {_NAMES}, sentinelhub: or mission:."
        )
    if isinstance(source, str) and source not in PRESETS and source != usual_source and not _SOURCE.fullmatch(source):
        raise RequestError(
            f"source: {shown(source)} is not offered here. Take one of {_NAMES}, sentinelhub: or mission:, or leave it out."
        )
    if model is not None:
        _check_model(model, settings)


def folder_in_place(model: str, settings: Settings) -> Path | None:
    """The server's own folder that a request would take in place of a listed model, for it has the same name; None: there is none."""
    beside = settings.folder / model
    return beside if beside.is_dir() and beside.resolve() != _models(settings.open_store(create=False))[model] else None


def _check_model(model: object, settings: Settings) -> None:
    """Raise `RequestError` where a model isn't listed by that name. What isn't listed is never looked for on the disk."""
    store = settings.open_store(create=False)
    folders = _models(store)
    if model not in list(folders):
        exchange_models(store)  # other machines that share the cubes may have it
        folders = _models(store)
    if not isinstance(model, str) or model not in folders:
        raise RequestError(
            f"model: {shown(model)} is no model of this installation. Take one of {', '.join(folders)}, "
            "or leave it out for the best that fits."
        )


def _models(store: Store) -> dict[str, Path | None]:
    """Folders of the models that can be named, by their names; what is made when it is asked for has none."""
    registry = Registry(store)
    folders: dict[str, Path | None] = {}
    for entry in [*registry.models(), *registry.shipped_models()]:
        if _MODEL.fullmatch(entry.name):
            folders.setdefault(entry.name, entry.folder.resolve())
    return {**folders, SIMULATED_HERE: None}
