"""Synonyms of what STAC says: one table per concept (properties, collections, assets), and the first usable value of them.

Providers describe the same products with prefixes of their own: Earth Search ``earthsearch:``, ``s2:`` and, in its version 0,
``sentinel:``, which Digital Earth Africa keeps; the Planetary Computer ``s2:``; the Copernicus Data Space ``eopf:`` and
``processing:``. What one of them says is understood from all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from catalog.baseline import normal_baseline
from catalog.products import BANDS, UNKNOWN, Level

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
    "platform": ("platform", "eo:platform", *_prefixed("spacecraft"), "platformShortName"),
    "constellation": ("constellation", "eo:constellation"),
    "cloud cover": ("eo:cloud_cover", *_prefixed("cloud_cover", "cloudy_pixel_percentage"), "cloudCover"),
    "datatake": _prefixed("datatake_id", "data_take_id"),
    "datastrip": _prefixed("datastrip_id", "data_strip_id"),
    "granule": _prefixed("granule_id"),
    "orbit": ("sat:relative_orbit", *_prefixed("relative_orbit"), "relativeOrbitNumber"),
    "level": ("processing:level", *_prefixed("product_type", "processing_level"), "product:type", "processingLevel"),
    "generation time": (*_prefixed("generation_time"), "processing:datetime"),
    "sun zenith": _prefixed("mean_solar_zenith"),
    "sun elevation": ("view:sun_elevation", "eo:sun_elevation"),
    "sun azimuth": (*_prefixed("mean_solar_azimuth"), "view:sun_azimuth", "eo:sun_azimuth"),
    "offset applied": (*(f"{prefix}:boa_offset_applied" for prefix in ("earthsearch", "sentinel", "s2", "sentinel2")),),
}  # fmt: skip
"""Names of properties by concept, those first that are believed first."""

COLLECTIONS: dict[Level, tuple[str, ...]] = {
    "L1C": ("sentinel-2-l1c", "sentinel-s2-l1c", "sentinel-2-c1-l1c", "s2_l1c", "SENTINEL-2"),
    "L2A": (
        "sentinel-2-l2a", "sentinel-2-c1-l2a", "sentinel-s2-l2a-cogs", "sentinel-s2-l2a", "s2_l2a", "s2_l2a_c1", "sentinel-2-pre-c1-l2a",
        "S2_L2A-1", "SENTINEL-2",
    ),
}  # fmt: skip
"""Collections of APIs, those first that are asked for first: Earth Search (v1, its Collection 1, v0), the Planetary Computer and the
Copernicus Data Space, Digital Earth Africa, the Brazil Data Cube."""

_ASSETS: dict[str, tuple[str, ...]] = {
    "B01": ("coastalaerosol",),
    "B05": ("rededge071",),
    "B06": ("rededge075",),
    "B07": ("rededge078",),
    "B08": ("nirbroad", "nir1", "nirwide"),
    "B8A": ("nirnarrow", "nir2"),
    "B11": ("swir1",),
    "B12": ("swir2",),
    "SCL": ("scl", "sceneclassification", "sceneclassificationmap"),
    "CLD": ("cld", "cloud", "cldprb", "mskcldprb", "cloudprobability"),
}
"""What assets are called beside the bands' own names and the common ones, without what separates words."""

_NAME_OF_ASSET = (
    {name.lower(): name for name in BANDS}
    | {name.lower().replace("b0", "b"): name for name in BANDS}
    | {band.common_name: name for name, band in BANDS.items()}
    | {synonym: name for name, synonyms in _ASSETS.items() for synonym in synonyms}
)


def band_named(text: str) -> str | None:
    """The band or mask that a name means (``B04``, ``b4``, ``red``, ``red_edge_1``, ``scl``); None where it means none."""
    return _NAME_OF_ASSET.get(re.sub(r"[-_ ]", "", text.lower()))


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
