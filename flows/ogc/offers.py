"""What partners may order: processes, each a deployment with some of its parameters.

Partners have no files on this machine. So parameters that name files or folders are not offered, and what is offered names none:
areas are GeoJSON, a bbox or a place on a tile; sources and models go by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.area_tile import is_tile
from catalog.errors import RequestError
from catalog.quoting import shown
from catalog.sources.presets import PRESETS
from flows.own_server import REQUEST

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
    "model": "Name of a model of this installation; by default the best that fits.",
}
"""What is said of inputs that take less than the parameter of that name does."""


def check_names(inputs: Mapping[str, Any], usual_source: str | None) -> None:
    """Raise `RequestError` where an input names a file, a folder or an address. ``usual_source``: the one that the settings name."""
    area, source, model = (inputs.get(name) for name in ("area", "source", "model"))
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
    if isinstance(model, str) and not _MODEL.fullmatch(model):
        raise RequestError(f"model: {shown(model)} is no name of a model. Leave it out for the best that fits.")
