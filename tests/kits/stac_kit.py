"""Validation of STAC documents by the schemas that they name, without a network."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

SCHEMAS = Path(__file__).resolve().parent.parent / "data" / "schemas"

_CORE = "https://schemas.stacspec.org/v1.1.0"
_KINDS = {
    "Feature": f"{_CORE}/item-spec/json-schema/item.json",
    "Catalog": f"{_CORE}/catalog-spec/json-schema/catalog.json",
}


@cache
def _registry() -> Registry[Any]:
    registry: Registry[Any] = Registry()
    for line in (SCHEMAS / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            name, address = (cell.strip(" `") for cell in line.strip("| ").split("|")[:2])
            schema = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
            resource = Resource.from_contents(schema, default_specification=DRAFT7)
            for uri in {address, schema.get("$id", address)}:
                registry = registry.with_resource(uri.removesuffix("#"), resource)
    return registry


def faults(document: dict[str, Any]) -> list[str]:
    """What is wrong with an item or a catalogue, by the schema of its kind and of each extension that it names."""
    found = []
    for address in (_KINDS[document["type"]], *document.get("stac_extensions", ())):
        validator = Draft7Validator({"$ref": address}, registry=_registry())
        found += [
            f"{address}: {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
            for error in validator.iter_errors(document)
        ]
    return found
