"""A STAC item: the product it describes, and where its bands are.

Understands the properties and asset names of Earth Search (also version 0), Digital Earth Africa, the Copernicus Data Space
(CDSE), the Planetary Computer, and of plain archives that follow the STAC extensions. What an item doesn't say stays unknown.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from catalog.antimeridian import cut_geojson
from catalog.baseline import OFFSET_SINCE, baseline_number
from catalog.errors import ProductError, RequestError
from catalog.guards.geometry import parse_shape
from catalog.guards.numbers import finite, utc_time
from catalog.guards.refusal import as_declared
from catalog.products import BANDS, LEVEL_BANDS, MASK_ASSETS, REFLECTANCE_SCALE, UNKNOWN, Asset, Level, Product
from catalog.sources.address import is_s3, join
from catalog.sources.product_name import COMPACT, LONGEST_DATATAKE
from catalog.sources.stac.synonyms import SYNONYMS, first_of, item_baseline, values_of
from catalog.storage.credentials import Credentials
from catalog.storage.s3 import gdal_options, split_address

Item = dict[str, Any]

SYNTHETIC = "cropline:synthetic"
"""Property of an item, collection or catalogue whose pixels were made, not measured."""

_DATATAKE = re.compile(r"(\d{8}T\d{6})_(\d{6})")
_TILE = re.compile(r"(?<![0-9A-Za-z])T?(\d{1,2})([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?![0-9A-Za-z])")

_KEY_OF_COMMON_NAME = {band.common_name: name for name, band in BANDS.items()}
_ASSET_KEYS = (
    {name.lower(): name for name in BANDS}
    | _KEY_OF_COMMON_NAME
    | {"scl": "SCL", "cld": "CLD", "cloud": "CLD", "msk_cldprb": "CLD"}
)
_RESOLUTION = re.compile(r"(?P<name>.+?)_(?P<metres>10|20|60)m")
_ORIGINAL = 1000
_NO_CREDENTIALS = Credentials()
_NOT_PIXELS = {"thumbnail", "overview", "metadata", "visual"}


def item_time(item: Item) -> datetime:
    """Sensing time, UTC. Raises `ProductError` where there is none."""
    properties = _properties(item)
    time, start, end = (utc_time(properties.get(name)) for name in ("datetime", "start_datetime", "end_datetime"))
    if time is None and start is not None and end is not None and end - start > LONGEST_DATATAKE:
        raise ProductError(f"no datetime, and {start:%Y-%m-%d} to {end:%Y-%m-%d} is no single acquisition")
    time = time or start
    if time is None:
        raise ProductError("no datetime")
    return time


def item_product(item: Item, href: str, *, synthetic: bool = False) -> Product:
    """The product that an item describes; ``synthetic`` is what its catalogue says. Raises `ProductError`."""
    properties = _properties(item)
    names = map(COMPACT.match, map(str, (*values_of(properties, "product"), item.get("id"))))
    name = next((match for match in names if match is not None), None)
    parts: dict[str, str | None] = name.groupdict() if name else {}
    elevation = finite(properties.get("view:sun_elevation"))
    zenith = first_of(properties, "sun zenith", finite)
    with as_declared(lambda why: ProductError(f"it misses or misspells what every STAC item has: {why}")):
        return Product(
            id=str(item.get("id") or ""),
            href=href,
            level=_level(item, properties, parts),
            time=item_time(item),
            tile=_tile(item, properties, parts),
            platform=_platform(properties, parts),
            datatake=_datatake(properties, parts),
            datastrip=_datastrip(properties),
            relative_orbit=_orbit(properties, parts),
            baseline=item_baseline(item, properties),
            generation_time=_generation_time(properties, parts),
            cloud_cover=finite(properties.get("eo:cloud_cover")),
            sun_zenith=zenith if zenith is not None or elevation is None else 90.0 - elevation,
            sun_azimuth=first_of(properties, "sun azimuth", finite),
            footprint=item_footprint(item),
            synthetic=synthetic or properties.get(SYNTHETIC) is True,
        )


def item_assets(
    item: Item, href: str, product: Product, credentials: Credentials = _NO_CREDENTIALS
) -> dict[str, Asset]:
    """Bands and masks by name; relative addresses start at the item. Raises `ProductError`.

    Files in buckets are entered with ``credentials``; an alternate address in a bucket that they have a key of is preferred to
    one that isn't in a bucket.
    """
    listed = item.get("assets")
    if not isinstance(listed, dict):
        raise ProductError(f"{product.id}: its item {href} has no assets.")
    wanted = LEVEL_BANDS[product.level] + MASK_ASSETS[product.level]
    best: dict[str, tuple[tuple[int, str], Item]] = {}
    for key, asset in listed.items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            continue
        named = _band_of(key, asset)
        if named is None or named[0] not in wanted:
            continue
        name, rank = named
        if name not in best or (rank, key) < best[name][0]:
            best[name] = (rank, key), asset
    if not best:
        raise ProductError(
            f"{product.id}: none of its assets is a band of Sentinel-2: {', '.join(sorted(listed)) or 'it has none'}."
        )
    return {name: _asset(name, best[name][1], item, href, product, credentials) for name in wanted if name in best}


def _asset(name: str, asset: Item, item: Item, href: str, product: Product, credentials: Credentials) -> Asset:
    address = _address(asset, href, credentials)
    gdal_env: dict[str, str] = {}
    if is_s3(address):
        try:
            bucket, key = split_address(address)
        except RequestError as error:
            raise ProductError(f"{product.id}: {name}: {error}") from error
        address, gdal_env = f"/vsis3/{bucket}/{key}", gdal_options(credentials.of_bucket(bucket), bucket)
    nodata_value = finite(_of_band(asset, "nodata"))
    # A cloud probability of 0 % is a value like any other, also where an item lists 0 as the no data of all its assets.
    nodata = None if name == "CLD" else 0 if nodata_value is None else nodata_value
    if name in BANDS:
        offset, said_by = _offset(name, asset, _properties(item), product)
    else:
        offset, said_by = 0, "a mask has none"
    with as_declared(lambda why: ProductError(f"{product.id}: {name}: {why}. Correct the item.")):
        return Asset(
            href=address,
            nodata=nodata,
            offset=offset,
            offset_from=said_by,
            gdal_env=gdal_env,
        )


def _address(asset: Item, href: str, credentials: Credentials) -> str:
    address = join(href, asset["href"])
    alternate = asset.get("alternate")
    if is_s3(address) or not isinstance(alternate, dict):
        return address
    for other in alternate.values():
        there = str(other.get("href") or "") if isinstance(other, dict) else ""
        if is_s3(there) and credentials.of_bucket(there.split("/")[2]).key is not None:
            return there
    return address


def _offset(name: str, asset: Item, properties: Item, product: Product) -> tuple[int, str]:
    """The offset to add to raw numbers, in 1e-4 reflectance, and what said so."""
    scale, offset = finite(_of_band(asset, "scale")), finite(_of_band(asset, "offset"))
    if (scale is not None or offset) and abs((1.0 if scale is None else scale) / REFLECTANCE_SCALE - 1) > 1e-6:
        raise ProductError(
            f"{product.id}: {name} has the scale {1.0 if scale is None else scale:g}, only {REFLECTANCE_SCALE:g} is "
            "understood. Correct the item's raster:bands (or bands)."
        )
    applied = next((flag for flag in SYNONYMS["offset applied"] if properties.get(flag) is True), None)
    if applied is not None:
        return 0, f"{applied}: true"
    if offset is not None:
        return round(offset / REFLECTANCE_SCALE), f"the item's band offset {offset:g}"
    number = baseline_number(product.baseline)
    if number is None:
        return 0, f"nothing says so: baseline {product.baseline} is no number"
    return (-1000 if number >= OFFSET_SINCE else 0), f"baseline {product.baseline}"


def _of_band(asset: Item, field: str) -> Any:
    """A field of the asset's only band: `raster:bands`, STAC 1.1 `bands`, or the asset itself (STAC 1.1 inherits)."""
    for listed in (asset.get("raster:bands"), asset.get("bands")):
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            for key in (field, f"raster:{field}"):
                if listed[0].get(key) is not None:
                    return listed[0][key]
    return asset.get(field, asset.get(f"raster:{field}"))


def _band_of(key: str, asset: Item) -> tuple[str, int] | None:
    """(band or mask, rank: lower is better) of an asset, by its key, else by the band it declares."""
    roles = asset.get("roles")
    if isinstance(roles, list) and _NOT_PIXELS & set(map(str, roles)):
        return None
    if (plain := key.removesuffix("-jp2")) != key:  # Earth Search's originals beside its COGs, which are read faster
        named = _band_of(plain, asset)
        return named and (named[0], named[1] + _ORIGINAL)
    if key.lower() in _ASSET_KEYS:
        return _ASSET_KEYS[key.lower()], 0
    match = _RESOLUTION.fullmatch(key)
    if match and match["name"].lower() in _ASSET_KEYS:
        return _ASSET_KEYS[match["name"].lower()], int(match["metres"])
    for field in ("eo:bands", "bands"):
        bands = asset.get(field)
        if isinstance(bands, list) and len(bands) == 1 and isinstance(bands[0], dict):
            name = str(bands[0].get("name", "")).lower()
            if name in _ASSET_KEYS:
                return _ASSET_KEYS[name], 100
    return None


def _level(item: Item, properties: Item, parts: dict[str, str | None]) -> Level:
    makers = [str(properties[key]).lower() for key in ("constellation", "platform") if properties.get(key)]
    if makers and not any(re.match(r"sentinel-?2|s2[a-d]$", maker) for maker in makers):
        raise ProductError(f"not Sentinel-2 but {', '.join(makers)}")
    values = (
        *values_of(properties, "level"),
        parts.get("level"),
        item.get("collection"),
    )
    for text in values:
        if match := re.search(r"(?:l|level-?|msi)(1c?|2a?)(?![0-9a-z])", str(text or "").lower()):
            return "L1C" if match.group(1).startswith("1") else "L2A"
    raise ProductError("nothing says whether it is Sentinel-2 L1C or L2A")


def _tile(item: Item, properties: Item, parts: dict[str, str | None]) -> str:
    square = [first_of(properties, part, str) for part in ("utm zone", "latitude band", "grid square")]
    values = (*values_of(properties, "tile"), "".join(part for part in square if part) if all(square) else "")
    for text in (*values, parts.get("tile"), str(item.get("id") or "").replace("_", " ")):
        if match := _TILE.search(str(text or "")):
            return f"{int(match.group(1)):02d}{match.group(2)}"
    return UNKNOWN


def _platform(properties: Item, parts: dict[str, str | None]) -> str:
    match = re.fullmatch(r"(?:sentinel-?|s)2([a-d])", str(properties.get("platform") or "").lower())
    return f"S2{match.group(1).upper()}" if match else parts.get("platform") or UNKNOWN


def _datatake(properties: Item, parts: dict[str, str | None]) -> str:
    for text in values_of(properties, "datatake"):
        if match := _DATATAKE.search(str(text)):
            return match.group(0)
    start = parts.get("start")
    if start is None:
        return UNKNOWN
    orbit = first_of(properties, "granule", lambda text: re.search(r"_A(\d{6})_", str(text)))
    return f"{start}_{orbit.group(1)}" if orbit else start


def _datastrip(properties: Item) -> str:
    strip = first_of(properties, "datastrip", lambda text: re.search(r"_(S\d{8}T\d{6})", str(text)))
    return strip.group(1) if strip else UNKNOWN


def _orbit(properties: Item, parts: dict[str, str | None]) -> str:
    orbit = first_of(properties, "orbit", finite)
    if orbit is not None:
        return f"R{int(orbit):03d}"
    return f"R{parts['orbit']}" if parts.get("orbit") else UNKNOWN


def _generation_time(properties: Item, parts: dict[str, str | None]) -> datetime | None:
    return first_of(properties, "generation time", utc_time) or utc_time(parts.get("generated"))


def item_footprint(item: Item) -> dict[str, Any]:
    """GeoJSON of the footprint, cut at the antimeridian. Raises `ProductError` where it has none that can be used."""
    geometry = item.get("geometry")
    parse_shape(geometry, lambda why: ProductError(f"its geometry is not GeoJSON: {why}"))
    try:
        return cut_geojson(geometry)
    except ValueError as error:
        raise ProductError(f"its footprint can't be used: {error}") from error


def _properties(item: Item) -> Item:
    properties = item.get("properties")
    return properties if isinstance(properties, dict) else {}
