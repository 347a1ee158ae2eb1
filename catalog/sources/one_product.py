"""One product by its own address, wherever it lies: SAFE as a folder or an archive, a tile of the AWS archive, a STAC item."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from catalog.errors import ProductError, RequestError, SourceError
from catalog.guards.addresses import split_address
from catalog.guards.json_text import parse_json
from catalog.guards.paths import user_path
from catalog.products import Asset, Product
from catalog.sources.address import is_url, may_hold_secret
from catalog.sources.reach import Reach, networks_for
from catalog.sources.safe.finder import find_products, form_of, is_product
from catalog.sources.safe.product import SafeProduct
from catalog.sources.safe.source import read_any
from catalog.sources.stac.item import item_assets, item_product
from catalog.storage.archives import open_files
from catalog.storage.credentials import Credentials
from catalog.storage.file_trees import Files

Kind = Literal["SAFE folder", "SAFE archive", "AWS tile", "STAC item"]


@dataclass(frozen=True, slots=True)
class ProductReading:
    """A product as its metadata describe it."""

    kind: Kind
    product: Product
    assets: Mapping[str, Asset]
    safe: SafeProduct | None
    """All that SAFE metadata tell; None of a STAC item."""


def read_product_at(address: str, credentials: Credentials) -> ProductReading:
    """The product at a path, an s3:// address or a URL.

    Raises `RequestError` where no product is, `ProductError` where it can't be used, `SourceError` where it can't be reached.
    """
    if is_url(address) and may_hold_secret(address):
        host = split_address(address, RequestError).hostname
        raise RequestError(
            f"the address of {host} carries a user name or a query, which may be a secret. Give it without."
        )
    if is_url(address) or address.lower().endswith((".json", ".geojson")):
        return _read_item(address, credentials)
    root, path = _split(address)
    files = open_files(root, credentials)
    kind = _kind(files, path, address)
    safe = read_any(files, path)
    return ProductReading(kind, safe.product, safe.assets, safe)


def _kind(files: Files, path: str, address: str) -> Kind:
    """Raises `RequestError` where nothing looks like a product."""
    if ".zip" in path.lower():
        return "SAFE archive"
    try:
        entries = files.list(path)
    except FileNotFoundError as error:
        raise RequestError(f"{address}: there is no such folder, archive or STAC item (.json).") from error
    form = form_of(entries)
    if form in ("AWS tile", "SAFE folder"):
        return form
    if is_product(path) or "GRANULE" in path.split("/"):
        return "SAFE folder"
    inside = [found.path for found in islice(find_products(files, path), 3)]
    if inside:
        raise RequestError(f"{address} is a folder of products, not one. Name one, e.g. {files.address}/{inside[0]}.")
    raise RequestError(
        f"{address} is no product: it holds {', '.join(entry.name for entry in entries[:5]) or 'nothing'}. Give a .SAFE folder, "
        "a zip archive of one, a tile's folder of the AWS archive, or a STAC item."
    )


def _split(address: str) -> tuple[str, str]:
    """The tree to read from and the path in it: all parts of a product lie in one tree."""
    if "://" not in address:
        address = str(user_path(address, RequestError))
    parts = address.rstrip("/").split("/")
    at = next(
        (
            number
            for number, part in enumerate(parts)
            if part == "tiles"
            or part.lower().endswith((".safe", ".zip"))
            or "GRANULE" in parts[number + 1 : number + 2]
        ),
        len(parts) - 1,
    )
    return "/".join(parts[:at]) or os.sep, "/".join(parts[at:])


def _read_item(address: str, credentials: Credentials) -> ProductReading:
    from pystac_client.exceptions import APIError  # products as files don't need it

    from catalog.sources.stac.web import WebReader, refusal

    try:
        if is_url(address):
            text: str | bytes = WebReader(networks_for(address, credentials)).read_text(address)
        else:
            address = address if "://" in address else str(user_path(address, RequestError))
            folder, _, name = address.rpartition("/")
            text = open_files(folder or os.sep, credentials).read(name)
    except FileNotFoundError as error:
        raise RequestError(f"{address}: there is no such file.") from error
    except (APIError, OSError) as error:
        raise SourceError(f"{address} can't be read: {refusal(error) or error}. Check the address.") from error
    item = parse_json(text, lambda why: ProductError(f"{address} {why}. Give a STAC item."))
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise RequestError(f"{address} is no STAC item. Give an item of a catalogue, not the catalogue.")
    product = item_product(item, address)
    assets = item_assets(item, address, product, credentials, reach=_reach_of(item, address))
    return ProductReading("STAC item", product, assets, None)


def _reach_of(item: dict[str, Any], address: str) -> Reach:
    """The reach of the catalogue that an item of this machine says it is of, where that lies above it; else the item's own."""
    own = Reach.of(address)
    links = item.get("links")
    for link in links if isinstance(links, list) else ():
        if own.root is None or not isinstance(link, dict) or link.get("rel") != "root":
            continue
        root = (own.root / str(link.get("href"))).resolve()
        if root.is_file() and own.root.is_relative_to(root.parent):
            return Reach.of(str(root))
    return own
