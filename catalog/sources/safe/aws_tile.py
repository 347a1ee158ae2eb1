"""One tile as the AWS archive lays it out: ``tiles/33/T/WM/2023/8/15/0/`` with ``B02.jp2``, ``metadata.xml`` and JSON beside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import geojson
from catalog.baseline import normal_baseline
from catalog.errors import ProductError
from catalog.grid import to_lonlat
from catalog.guards.geometry import parse_shape
from catalog.guards.json_text import parse_object
from catalog.guards.numbers import finite
from catalog.guards.refusal import as_declared
from catalog.products import UNKNOWN, Product
from catalog.sources.product_name import parse_name
from catalog.sources.safe.documents import read_document
from catalog.sources.safe.masks import quality_masks
from catalog.sources.safe.metadata import (
    ProductMetadata,
    TileMetadata,
    product_metadata,
    tile_metadata,
)
from catalog.sources.safe.product import SafeProduct, assemble, find_files, offsets_of
from catalog.storage.file_trees import Entry, Files, join

_FOLDER = re.compile(
    r"(?P<above>(?:.*/)?)tiles/(?P<zone>\d{1,2})/(?P<band>[C-X])/(?P<square>[A-Z]{2})"
    r"/(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})/\d+"
)
_ZONE = box(-1e6, -2e6, 2e6, 1.1e7)
"""Eastings and northings, m, that a zone's tiles may have, with room beyond."""

_JSON = 2**20
"""The most bytes of a JSON document."""


def is_tile(entries: Iterable[Entry]) -> bool:
    """True of what the folder of a tile holds."""
    return {"tileInfo.json", "metadata.xml"} <= {entry.name for entry in entries}


def tile_and_day(path: str) -> tuple[str, datetime] | None:
    """Tile and day, UTC, that a folder's path says; None of a path of another form."""
    match = _FOLDER.fullmatch(path)
    if match is None:
        return None
    try:
        day = datetime(int(match.group("year")), int(match.group("month")), int(match.group("day")), tzinfo=UTC)
    except ValueError:
        return None
    return f"{int(match.group('zone')):02d}{match.group('band')}{match.group('square')}", day


def read_tile(files: Files, path: str) -> SafeProduct:
    """Read a tile's folder, as `read_product` does a SAFE product. Raises as it does."""
    about_tile = _json(files, join(path, "tileInfo.json"), path)
    try:
        about_product = _json(files, join(path, "productInfo.json"), path)
    except FileNotFoundError:
        about_product = {}
    tile = tile_metadata(read_document(files, join(path, "metadata.xml"), path), "metadata.xml", path)
    named = str(about_product.get("name") or about_tile.get("productName") or "")
    name = parse_name(named)
    shown = name.name if name and name.tile != UNKNOWN else tile.granule
    for where, found in (
        ("its path", (tile_and_day(path) or (UNKNOWN, None))[0]),
        (named, name.tile if name else UNKNOWN),
    ):
        if UNKNOWN not in (found, tile.tile) and found != tile.tile:
            raise ProductError(f"{path}: {where} is of tile {found}, its metadata.xml of tile {tile.tile}.")
    level = tile.level
    metadata = _product_document(files, path, about_product.get("path") or about_tile.get("productPath"), shown)
    of_granule = re.search(
        r"^(?P<platform>S2[A-D])_.*_A(?P<orbit>\d{6})_T\w{5}(?:_N(?P<baseline>\d\d\.\d\d))?", tile.granule
    )
    parts = of_granule.groupdict() if of_granule else {}
    baseline = name.baseline if name and name.baseline != UNKNOWN else normal_baseline(parts.get("baseline"))
    datatake = re.search(r"\d{8}T\d{6}_\d{6}", str(about_product.get("datatakeIdentifier") or ""))
    start = f"{name.start:%Y%m%dT%H%M%S}" if name else None
    offsets, offset_from, problems = offsets_of(level, baseline, metadata, shown)
    cloud = tile.cloud_cover
    if cloud is None:
        cloud = finite(about_tile.get("cloudyPixelPercentage"))
    footprint = _footprint(about_tile, tile, shown)
    with as_declared(lambda why: ProductError(f"{path}: its metadata can't be right: {why}. Get the tile again.")):
        product = Product(
            id=shown,
            href=join(files.address, path),
            level=level,
            time=tile.time,
            tile=tile.tile,
            platform=name.platform if name else parts.get("platform") or UNKNOWN,
            datatake=datatake.group(0) if datatake else f"{start}_{parts['orbit']}" if start and parts else UNKNOWN,
            datastrip=tile.datastrip_start,
            relative_orbit=name.relative_orbit if name else UNKNOWN,
            baseline=baseline,
            generation_time=name.generated if name else None,
            cloud_cover=cloud,
            sun_zenith=tile.sun.zenith if tile.sun else None,
            sun_azimuth=tile.sun.azimuth if tile.sun else None,
            footprint=geojson(footprint),
        )
    below = [path] if level == "L1C" else [join(path, name) for name in ("R10m", "R20m", "R60m", "qi")]
    return assemble(
        product,
        tile,
        files=files,
        band_files=find_files(files, below, level),
        nodata=metadata.nodata if metadata else 0,
        offsets=offsets,
        offset_from=offset_from,
        masks=quality_masks(files, path),
        orbit_direction=metadata.orbit_direction if metadata else UNKNOWN,
        problems=problems,
    )


def _json(files: Files, path: str, shown: str) -> dict[str, Any]:
    text = files.read(path, _JSON)
    return parse_object(text, lambda why: ProductError(f"{shown}: {path} {why}. Get the tile again."))


def _product_document(files: Files, path: str, product_path: object, shown: str) -> ProductMetadata | None:
    """The metadata of the whole product, which lie in another part of the archive; None where that isn't there."""
    match = _FOLDER.fullmatch(path)
    if match is None or not isinstance(product_path, str) or ".." in product_path.split("/"):
        return None
    document = join(match.group("above").rstrip("/"), product_path.strip("/"), "metadata.xml")
    try:
        files.open(document).close()
    except FileNotFoundError:
        return None
    return product_metadata(read_document(files, document, shown), "metadata.xml", shown)


def _footprint(about_tile: dict[str, Any], tile: TileMetadata, shown: str) -> BaseGeometry:
    """The outline of the pixels where it is told, else of the whole tile."""
    geometry = about_tile.get("tileDataGeometry")
    if not isinstance(geometry, dict):
        return to_lonlat(box(*tile.bounds), tile.epsg)

    def refuse(why: str) -> ProductError:
        return ProductError(f"{shown}: tileDataGeometry of tileInfo.json is no polygon: {why}. Get the tile again.")

    # It names its coordinate system in a member of its own, which GeoJSON doesn't have.
    outline = parse_shape({key: geometry.get(key) for key in ("type", "coordinates")}, refuse, degrees=False)
    if outline.is_empty or outline.geom_type not in ("Polygon", "MultiPolygon"):
        raise refuse(f"it is an empty {outline.geom_type}" if outline.is_empty else f"it is a {outline.geom_type}")
    if not outline.envelope.within(_ZONE):
        raise refuse("it lies outside of its zone")
    return to_lonlat(outline, tile.epsg)
