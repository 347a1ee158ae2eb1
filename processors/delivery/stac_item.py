"""The STAC item of a delivery: what was made, of what, with what, and the checksum of every file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pystac
import rasterio
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from shapely.geometry import shape

from catalog.antimeridian import bbox
from catalog.storage.store import sha256
from processors.delivery.areas import map_entries
from processors.delivery.changes import INPUTS, STATUS
from processors.delivery.folder_swap import DIGEST
from processors.delivery.provenance import DeliveryFacts
from processors.rasters import Variable

LEGAL_NOTICE = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"

PROCESSING = "https://stac-extensions.github.io/processing/v1.1.0/schema.json"

LEGEND = "cropline:legend"
"""Field of the class map's asset: its legend with the codes of the labels, which the classification extension has no place for."""

_MEDIA = {
    ".csv": "text/csv",
    ".png": "image/png",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".gpkg": "application/geopackage+sqlite3",
    ".qml": "application/xml",
    ".xml": "application/xml",
}

_ABOUT = {
    "areas.csv": ("Hectares per class, counted", ["data"]),
    "parcels.parquet": ("Parcels with their crop, as fiboa GeoParquet", ["data"]),
    "parcels.gpkg": ("Parcels with their crop, as GeoPackage", ["data"]),
    "conformity.parquet": ("Verdicts on the declared parcels, as GeoParquet", ["data"]),
    "conformity.gpkg": ("Verdicts on the declared parcels, as GeoPackage", ["data"]),
    "conformity.csv": ("Verdicts on the declared parcels", ["data"]),
    "parcels.html": ("A page of the declared parcels, each with its curve and its picture", ["overview"]),
    "changes.json": ("What changed since the delivery before", ["data"]),
    "changes.png": ("Picture of the pixels that changed class", ["overview"]),
    "overview.png": ("Picture with legend", ["overview", "thumbnail"]),
    "report.html": ("Report", ["metadata"]),
    "request.json": ("The request, to run again", ["metadata"]),
}


_BESIDE = {
    ".qml": ("Names and colours of the classes, for QGIS", ["metadata"]),
    ".xml": ("Names and colours of the classes, for GDAL", ["metadata"]),
}
"""Files beside a class map, whatever it is called, by suffix."""


def make_item(facts: DeliveryFacts, files: Sequence[Path], declared: Sequence[Variable]) -> dict[str, Any]:
    """The item (JSON) of a delivery's files; their addresses are relative to it.

    Extensions: projection, file (checksums are multihashes: 12 20 and the SHA-256) and classification.
    """
    geometry = shape(facts.area)
    start, end = facts.period
    item = pystac.Item(
        # By the processor that was asked for: whichever stands in for it, it is the same request's map.
        id=f"{facts.request.get('processor', facts.processor)}-{facts.year}-{facts.request_digest}",
        geometry=facts.area,
        bbox=list(bbox(geometry)),
        datetime=None,
        start_datetime=facts.used[0].time if facts.used else start,
        end_datetime=facts.used[-1].time if facts.used else end,
        properties=_properties(facts),
    )
    made_by = pystac.Provider("Cropline", facts.software, [pystac.ProviderRole.PROCESSOR])
    if facts.synthetic:
        item.common_metadata.providers = [made_by]
    else:
        item.common_metadata.providers = [
            pystac.Provider("Copernicus", "Sentinel-2 data", [pystac.ProviderRole.LICENSOR], "https://copernicus.eu"),
            made_by,
        ]
        item.add_link(pystac.Link("license", LEGAL_NOTICE, "application/pdf", "Legal notice on Sentinel data"))
    item.stac_extensions.append(PROCESSING)
    variables = {f"{variable.name}.tif": variable for variable in declared}
    ProjectionExtension.ext(item, add_if_missing=True).apply(code=f"EPSG:{facts.epsg}")
    for path in files:
        variable = variables.get(path.name)
        beside = path.suffix in _BESIDE or path.stem in item.assets
        key = path.name.replace(".", "_") if beside else path.stem
        item.add_asset(key, _asset(path, variable))
        asset = item.assets[key]
        FileExtension.ext(asset, add_if_missing=True).apply(checksum=f"1220{sha256(path)}", size=path.stat().st_size)
        if variable is not None:
            _describe_raster(asset, path, variable)
    return item.to_dict(include_self_link=False)


def _properties(facts: DeliveryFacts) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": facts.title,
        "created": facts.created.isoformat(),
        "license": "other",
        "attribution": facts.notice,
        "processing:software": {"Cropline": facts.software_version},
        DIGEST: facts.request_digest,
        STATUS: facts.status,
        INPUTS: facts.inputs,
        "cropline:season": _season(facts),
        "cropline:request": facts.request,
        "cropline:processor": {"name": facts.processor, "version": facts.processor_version},
        "cropline:synthetic": facts.synthetic,
        "cropline:source": facts.source,
        "cropline:source_id": facts.source_id,
        "cropline:level": facts.level,
        "cropline:acquisitions": [acquisition.id for acquisition in facts.used],
        "cropline:compared_with": [acquisition.id for acquisition in facts.season.compared_with],
        "cropline:low_sun": [acquisition.id for acquisition in facts.season.used if acquisition.low_sun],
        "cropline:offsets_given": {
            product: value for acquisition in facts.season.used for product, value in acquisition.offset_given.items()
        },
        "cropline:masks": list(facts.season.masks),
        "cropline:products": list(facts.products),
        "cropline:notes": list(facts.notes),
        "cropline:scores": [score.model_dump(mode="json") for score in facts.scores],
    }
    if facts.coming is not None:
        properties["cropline:coming_passes"] = facts.coming.model_dump(mode="json")
    if facts.changes is not None:
        properties["cropline:changes"] = facts.changes.model_dump(mode="json", exclude={"matrix"})
    if facts.conformity is not None:  # counts alone: nothing of a single parcel
        properties["cropline:conformity"] = facts.conformity.model_dump(mode="json")
    if facts.domain is not None:
        properties["cropline:domain"] = facts.domain.model_dump(mode="json")
    if facts.confidence is not None:
        properties["cropline:confidence"] = facts.confidence.model_dump(mode="json")
    if facts.timelines:
        properties["cropline:timelines"] = {
            name: line.model_dump(mode="json") for name, line in facts.timelines.items()
        }
    if facts.candidates:
        properties["cropline:candidates"] = [
            candidate.model_dump(mode="json", exclude_none=True) for candidate in facts.candidates
        ]
    if facts.model is not None:
        properties["cropline:model"] = facts.model.model_dump(mode="json")
    return properties


def _season(facts: DeliveryFacts) -> dict[str, Any]:
    return {
        "as_of": facts.state.as_of.isoformat(),
        "up_to": facts.used[-1].time.isoformat() if facts.used else None,
        "open_months": [f"{year}-{month:02d}" for year, month in facts.state.open_months],
        "complete_from": facts.state.complete_from.isoformat(),
    }


def _asset(path: Path, variable: Variable | None) -> pystac.Asset:
    if variable is not None:
        with rasterio.open(path) as raster:
            optimized = raster.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
        kind = pystac.MediaType.COG if optimized else pystac.MediaType.GEOTIFF
        return pystac.Asset(f"./{path.name}", variable.title, media_type=kind, roles=["data"])
    title, roles = _ABOUT.get(path.name) or _BESIDE[path.suffix]
    return pystac.Asset(f"./{path.name}", title, media_type=_MEDIA[path.suffix], roles=roles)


def _describe_raster(asset: pystac.Asset, path: Path, variable: Variable) -> None:
    with rasterio.open(path) as raster:
        # The code again: pystac writes null where none is given, which takes the item's back for this file.
        ProjectionExtension.ext(asset).apply(
            code=f"EPSG:{raster.crs.to_epsg()}", shape=list(raster.shape), transform=list(raster.transform)[:6]
        )
    nodata = "nan" if variable.nodata != variable.nodata else variable.nodata  # JSON has no NaN
    asset.extra_fields["bands"] = [
        {"name": band or variable.name, "data_type": variable.dtype, "nodata": nodata, "unit": variable.unit}
        for band in variable.bands
    ]
    if variable.legend is not None:
        asset.extra_fields[LEGEND] = variable.legend.model_dump(mode="json")
        entries = map_entries(variable.legend, (0,))
        words = _words([(entry.value, entry.name) for entry in entries])
        ClassificationExtension.ext(asset, add_if_missing=True).apply(
            [
                Classification.create(entry.value, entry.name, word, color_hint=entry.colour.removeprefix("#").upper())
                for entry, word in zip(entries, words, strict=True)
            ]
        )


def _words(named: Sequence[tuple[int, str]]) -> list[str]:
    """Names of classes, given with their values, in the letters that the classification extension allows, each of its own."""
    words = [re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("_") for _, name in named]
    times = Counter(word.casefold() for word in words)
    return [
        word if word and times[word.casefold()] == 1 else f"{word or 'class'}_{value}"
        for word, (value, _) in zip(words, named, strict=True)
    ]
