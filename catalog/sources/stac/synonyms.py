"""Synonyms of what STAC items say: one table of property names per concept, and the first usable value of them.

Providers describe the same products with prefixes of their own: Earth Search ``earthsearch:``, ``s2:`` and, in its version 0,
``sentinel:``, which Digital Earth Africa keeps; the Planetary Computer ``s2:``; the Copernicus Data Space ``eopf:`` and
``processing:``. What one of them says is understood from all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from catalog.baseline import normal_baseline
from catalog.products import UNKNOWN

Value = TypeVar("Value")

PREFIXES = ("s2", "sentinel", "sentinel2", "sentinel-2", "earthsearch", "eopf", "odc")


def _prefixed(*names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}:{name}" for name in names for prefix in PREFIXES)


SYNONYMS: dict[str, tuple[str, ...]] = {
    "baseline": (*_prefixed("processing_baseline", "baseline"), "processing:baseline", "processing:version", "processingBaseline"),
    "product": (*_prefixed("product_uri", "product_id", "product_name"), "productIdentifier", "product_id", "title"),
    "tile": ("grid:code", *_prefixed("mgrs_tile", "tile", "tile_id", "region_code"), "tileId"),
    "utm zone": ("mgrs:utm_zone", *_prefixed("utm_zone")),
    "latitude band": ("mgrs:latitude_band", *_prefixed("latitude_band")),
    "grid square": ("mgrs:grid_square", *_prefixed("grid_square")),
    "datatake": _prefixed("datatake_id"),
    "datastrip": _prefixed("datastrip_id"),
    "granule": _prefixed("granule_id"),
    "orbit": ("sat:relative_orbit", *_prefixed("relative_orbit"), "relativeOrbitNumber"),
    "level": ("processing:level", *_prefixed("product_type"), "product:type"),
    "generation time": (*_prefixed("generation_time"), "processing:datetime"),
    "sun zenith": _prefixed("mean_solar_zenith"),
    "sun azimuth": (*_prefixed("mean_solar_azimuth"), "view:sun_azimuth"),
    "offset applied": (*(f"{prefix}:boa_offset_applied" for prefix in ("earthsearch", "sentinel", "s2", "sentinel2")),),
}  # fmt: skip
"""Names of properties by concept, those first that are believed first."""

_MAKERS_OF_PRODUCTS = re.compile(r"baseline|\bipf\b|^sentinel[- _]?2([- _](ipf|processor|pdgs|msi))?$", re.IGNORECASE)
"""Keys of `processing:software` that stand for ESA's processor; others name the tool that wrote the item."""

_IN_ID = re.compile(r"_N(\d{2}\.?\d{2})(?![0-9])")


def values_of(properties: dict[str, Any], concept: str) -> Iterator[Any]:
    """All that the properties say of a concept, in the table's order; nothing that is empty."""
    for name in SYNONYMS[concept]:
        if (value := properties.get(name)) is not None and value != "":
            yield value


def first_of(properties: dict[str, Any], concept: str, read: Callable[[Any], Value | None]) -> Value | None:
    """The first value of a concept that ``read`` makes something of."""
    return next((made for value in values_of(properties, concept) if (made := read(value)) is not None), None)


def item_baseline(item: dict[str, Any], properties: dict[str, Any]) -> str:
    """Processing baseline as ``04.00``: a property's, else the one in the product's id, else in ids of its parts; else `UNKNOWN`."""
    software = properties.get("processing:software")
    of_software = (
        [version for name, version in software.items() if _MAKERS_OF_PRODUCTS.search(str(name))]
        if isinstance(software, dict)
        else []
    )
    for text in (*values_of(properties, "baseline"), *of_software):
        if (baseline := normal_baseline(text)) != UNKNOWN:
            return baseline
    ids = (
        *values_of(properties, "product"),
        item.get("id"),
        *(text for concept in ("granule", "datatake", "datastrip") for text in values_of(properties, concept)),
    )
    for text in ids:
        if (match := _IN_ID.search(str(text))) and (baseline := normal_baseline(match.group(1))) != UNKNOWN:
            return baseline
    return UNKNOWN
