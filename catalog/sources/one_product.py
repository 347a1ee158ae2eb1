"""One product by its own address, wherever it lies: SAFE as a folder or an archive, a tile of the AWS archive, a STAC item."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from catalog.errors import ProductError, RequestError, SourceError
from catalog.products import Asset, Product
from catalog.sources.address import is_url
from catalog.sources.safe.aws_tile import is_tile
from catalog.sources.safe.product import SafeProduct
from catalog.sources.safe.source import find_products, is_product, read_any
from catalog.sources.stac.item import item_assets, item_product
from catalog.storage.archives import open_files
from catalog.storage.credentials import Credentials
from catalog.storage.file_trees import Files

Kind = Literal["SAFE folder", "SAFE archive", "AWS tile", "STAC item"]

_TIMEOUT = 60.0
"""Seconds without an answer."""


@dataclass(frozen=True, slots=True)
class OneProduct:
    """What a reader makes of it."""

    kind: Kind
    product: Product
    assets: Mapping[str, Asset]
    safe: SafeProduct | None
    """All that SAFE metadata tell; None of a STAC item."""


def read_one(place: str, credentials: Credentials) -> OneProduct:
    """The product at a path, an s3:// address or a URL.

    Raises `RequestError` where no product is, `ProductError` where it can't be used, `SourceError` where it can't be reached.
    """
    if is_url(place) and (urlsplit(place).username or urlsplit(place).query):
        # It ends in what is shown.
        raise RequestError(
            f"the address of {urlsplit(place).hostname} carries a user name or a query, which may be a secret. Give it without."
        )
    if is_url(place) or place.lower().endswith((".json", ".geojson")):
        return _read_item(place, credentials)
    root, path = _split(place)
    files = open_files(root, credentials)
    kind = _kind(files, path, place)
    safe = read_any(files, path)
    return OneProduct(kind, safe.product, safe.assets, safe)


def _kind(files: Files, path: str, place: str) -> Kind:
    """Raises `RequestError` where nothing looks like a product."""
    if ".zip" in path.lower():
        return "SAFE archive"
    try:
        entries = files.list(path)
    except FileNotFoundError as error:
        raise RequestError(f"{place}: there is no such folder, archive or STAC item (.json).") from error
    if is_tile(entries):
        return "AWS tile"
    if is_product(path) or "GRANULE" in {*path.split("/"), *(entry.name for entry in entries)}:
        return "SAFE folder"
    inside = [found.path for found in islice(find_products(files, path), 3)]
    if inside:
        raise RequestError(f"{place} is a folder of products, not one. Name one, e.g. {files.address}/{inside[0]}.")
    raise RequestError(
        f"{place} is no product: it holds {', '.join(entry.name for entry in entries[:5]) or 'nothing'}. Give a .SAFE folder, "
        "a zip archive of one, a tile's folder of the AWS archive, or a STAC item."
    )


def _split(place: str) -> tuple[str, str]:
    """The tree to read from and the path in it: all parts of a product lie in one tree."""
    if "://" not in place:
        place = str(Path(place).expanduser().resolve())
    parts = place.rstrip("/").split("/")
    at = next(
        (number for number, part in enumerate(parts) if part == "tiles" or part.lower().endswith((".safe", ".zip"))),
        len(parts) - 1,
    )
    return "/".join(parts[:at]) or os.sep, "/".join(parts[at:])


def _read_item(place: str, credentials: Credentials) -> OneProduct:
    try:
        if is_url(place):
            text: str | bytes = StacApiIO(timeout=_TIMEOUT).read_text(place)
        else:
            place = place if "://" in place else str(Path(place).expanduser().resolve())
            folder, _, name = place.rpartition("/")
            text = open_files(folder or os.sep, credentials).read(name)
        item = json.loads(text)
    except FileNotFoundError as error:
        raise RequestError(f"{place}: there is no such file.") from error
    except (APIError, OSError) as error:
        raise SourceError(f"{place} can't be read: {error}. Check the address.") from error
    except ValueError as error:  # not UTF-8, not JSON
        raise ProductError(f"{place} is no JSON ({error}). Give a STAC item.") from error
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise RequestError(f"{place} is no STAC item. Give an item of a catalogue, not the catalogue.")
    product = item_product(item, place)
    return OneProduct("STAC item", product, item_assets(item, place, product, credentials), None)
