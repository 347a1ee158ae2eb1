"""A STAC item: the product it describes, and where its bands are.

Understands the properties and asset names of Earth Search (also version 0), Digital Earth Africa, the Copernicus Data Space
(CDSE), the Planetary Computer, and of plain archives that follow the STAC extensions. What an item doesn't say stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from catalog.antimeridian import cut_geojson
from catalog.baseline import OFFSET_SINCE, baseline_number
from catalog.errors import ProductError, Reason, RequestError
from catalog.guards.geometry import parse_shape
from catalog.guards.numbers import finite, utc_time
from catalog.guards.refusal import as_declared
from catalog.networks import Network
from catalog.products import BANDS, LEVEL_BANDS, MASK_ASSETS, REFLECTANCE_SCALE, UNKNOWN, Asset, Level, Product
from catalog.sources.address import is_s3, is_url
from catalog.sources.product_name import COMPACT, LONGEST_DATATAKE
from catalog.sources.reach import Reach, networks_for
from catalog.sources.stac.synonyms import SYNONYMS, band_named, first_of, item_baseline, values_of
from catalog.storage.credentials import PLANETARY_FILES, Credentials
from catalog.storage.s3 import gdal_options, split_address

Item = dict[str, Any]

SYNTHETIC = "cropline:synthetic"
"""Property of an item, collection or catalogue whose pixels were made, not measured."""

PLANETARY_COLLECTION = "sentinel-2-l2a"
"""Collection of the Planetary Computer that Sentinel-2 is in: its token opens all of these files."""

_DATATAKE = re.compile(r"(\d{8}T\d{6})_(\d{6})")
_TILE = re.compile(r"(?<![0-9A-Za-z])T?(\d{1,2})([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?![0-9A-Za-z])")

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
    elevation = first_of(properties, "sun elevation", finite)
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
            cloud_cover=first_of(properties, "cloud cover", finite),
            sun_zenith=zenith if zenith is not None or elevation is None else 90.0 - elevation,
            sun_azimuth=first_of(properties, "sun azimuth", finite),
            footprint=item_footprint(item),
            synthetic=synthetic or properties.get(SYNTHETIC) is True,
        )


def item_assets(
    item: Item, href: str, product: Product, credentials: Credentials = _NO_CREDENTIALS, *, reach: Reach | None = None
) -> dict[str, Asset]:
    """Bands and masks by name; relative addresses start at the item. Raises `ProductError`.

    Files in buckets are entered with ``credentials``; an alternate address in a bucket that they have a key of is preferred to
    one that isn't in a bucket. ``reach``: of the item's catalogue; by default the item is one by itself.
    """
    listed = item.get("assets")
    if not isinstance(listed, dict):
        raise ProductError(f"{product.id}: its item {href} has no assets.")
    wanted = LEVEL_BANDS[product.level] + MASK_ASSETS[product.level]
    candidates: dict[str, list[tuple[int, str, Item]]] = {}
    for key, asset in listed.items():
        if not isinstance(asset, dict):
            continue
        named = _band_of(key, asset)
        if named is not None and named[0] in wanted:
            candidates.setdefault(named[0], []).append((named[1], key, asset))
    if not candidates:
        raise ProductError(
            f"{product.id}: none of its assets is a band of Sentinel-2: {', '.join(sorted(listed)) or 'it has none'}."
        )
    networks = networks_for(href, credentials)
    assets = {}
    for name in wanted:
        if name in candidates:
            asset, address = _best(name, candidates[name], href, product, credentials, reach or Reach.of(href))
            assets[name] = _asset(name, asset, address, item, product, credentials, networks)
    return assets


def _best(
    name: str,
    candidates: list[tuple[int, str, Item]],
    href: str,
    product: Product,
    credentials: Credentials,
    reach: Reach,
) -> tuple[Item, str]:
    """The best of a band's assets that the item may name, and its address. Raises `ProductError` where it may name none."""
    refused: ProductError | None = None
    for _, _, asset in sorted(candidates, key=lambda candidate: candidate[:2]):
        try:
            return asset, _address(asset, href, credentials, reach)
        except ProductError as error:
            refused = refused or error
    raise ProductError(f"{product.id}: {name}: {refused}", refused.kind if refused else Reason.NOT_ALLOWED)


def _asset(
    name: str,
    asset: Item,
    address: str,
    item: Item,
    product: Product,
    credentials: Credentials,
    networks: tuple[Network, ...],
) -> Asset:
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
            networks=networks if is_url(address) else (Network.PUBLIC,),
            size=_size(asset),
            signed_for=PLANETARY_COLLECTION if PLANETARY_FILES.fullmatch(address) else "",
            gdal_env=gdal_env,
        )


def known_sizes(assets: Mapping[str, Asset]) -> dict[str, int | None]:
    """Bytes of assets' files: as their item says, else as they lie on this machine; None of others."""
    known: dict[str, int | None] = {}
    for name, asset in assets.items():
        size = asset.size
        if size is None and not is_url(asset.href) and not asset.href.startswith("/vsi"):
            with suppress(OSError):
                size = Path(asset.href).stat().st_size
        known[name] = size
    return known


def _size(asset: Item) -> int | None:
    """Bytes of an asset's file, as the extension `file` has it."""
    size = finite(asset.get("file:size"))
    return None if size is None or size < 0 else int(size)


def _address(asset: Item, href: str, credentials: Credentials, reach: Reach) -> str:
    """The address of an asset's file, else an alternate one that the item may name. Raises `ProductError`."""
    alternate = asset.get("alternate")
    others = [
        str(other["href"])
        for other in (alternate.values() if isinstance(alternate, dict) else ())
        if isinstance(other, dict) and isinstance(other.get("href"), str)
    ]
    entered = [there for there in others if is_s3(there) and credentials.of_bucket(there.split("/")[2]).key is not None]
    try:
        if not isinstance(asset.get("href"), str):
            raise ProductError("its asset has no address (href).", Reason.NOT_UNDERSTOOD)
        address = reach.address(href, asset["href"])
    except ProductError:
        if not entered:
            raise
        return entered[0]
    return entered[0] if entered and not is_s3(address) else address


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
    if (name := band_named(key)) is not None:
        return name, 0
    match = _RESOLUTION.fullmatch(key)
    if match and (name := band_named(match["name"])) is not None:
        return name, int(match["metres"])
    for field in ("eo:bands", "bands"):
        bands = asset.get(field)
        if isinstance(bands, list) and len(bands) == 1 and isinstance(bands[0], dict):
            for field_name in ("name", "eo:common_name", "common_name"):
                if (name := band_named(str(bands[0].get(field_name, "")))) is not None:
                    return name, 100
    return None


def _level(item: Item, properties: Item, parts: dict[str, str | None]) -> Level:
    makers = [str(made).lower() for key in ("constellation", "platform") for made in values_of(properties, key)]
    if makers and not any(re.match(r"sentinel[-_ ]?2|s2[a-d]$", maker) for maker in makers):
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
    letter = first_of(
        properties, "platform", lambda text: re.fullmatch(r"(?:sentinel[-_ ]?|s)2([a-d])", str(text).lower())
    )
    return f"S2{letter.group(1).upper()}" if letter else parts.get("platform") or UNKNOWN


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
