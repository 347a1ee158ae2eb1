"""Descriptions of processes, made from the schemas of the deployments' parameters as Prefect has them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from flows.ogc.offers import DESCRIPTIONS, Offer

_DROPPED = ("position", "title", "description", "propertyNames")
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


def description(offer: Offer, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The process as OGC describes it; ``parameters``: the JSON schema of its deployment's parameters."""
    required = set(parameters.get("required", ()))
    properties = parameters["properties"]
    return {
        "id": offer.id,
        "version": version("cropline"),
        "title": offer.title,
        "description": offer.description,
        "keywords": ["Sentinel-2", "crops", "STAC"],
        "inputs": {
            name: {
                "title": name,
                "description": DESCRIPTIONS.get(name, properties[name].get("description", "")),
                "schema": open_api_schema(properties[name], parameters.get("definitions", {})),
                "minOccurs": int(name in required),
                "maxOccurs": 1,
            }
            for name in offer.inputs
            if name in properties
        },
        "outputs": {offer.output: {"title": offer.output_title, "schema": dict(offer.output_schema)}},
    }


def open_api_schema(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the words of OpenAPI 3.0, which the standard takes: without null, references, and numbers as open bounds."""
    if reference := schema.get("$ref"):
        return open_api_schema(definitions[reference.rsplit("/", 1)[-1]], definitions)
    names = schema.get("propertyNames", {}).get("enum")
    converted: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key in _BOUNDS and not isinstance(value, bool):
            converted |= {_BOUNDS[key]: value, key: True}
        elif key in ("anyOf", "oneOf", "allOf"):
            parts = [open_api_schema(part, definitions) for part in value if part.get("type") != "null"]
            converted |= parts[0] if len(parts) == 1 else {key: parts}
        elif key in ("items", "additionalProperties") and isinstance(value, Mapping):
            converted[key] = open_api_schema(value, definitions)
        elif key == "properties":
            converted[key] = {name: open_api_schema(part, definitions) for name, part in value.items()}
        elif key == "const":
            converted["enum"] = [value]
        else:
            converted[key] = value
    if names:  # keys by name, which OpenAPI 3.0 says as properties
        converted["properties"] = dict.fromkeys(names, converted["additionalProperties"])
        converted["additionalProperties"] = False
    return converted
