"""Products described by STAC: a static catalogue (folder, bucket or web server), or a STAC API.

Static catalogues are walked as plain JSON: building pystac's tree of objects costs more than reading the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pystac import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely import GEOSException
from shapely.geometry import shape
from urllib3 import Retry

from catalog.area import Area, as_geojson
from catalog.errors import AccessError, ProductError, Reason, RequestError, SourceError
from catalog.products import Asset, LeftOut, Level, Product
from catalog.sources.address import is_s3, is_url, join, may_hold_secret, source_id
from catalog.sources.protocol import SearchResult
from catalog.sources.stac.item import SYNTHETIC, item_assets, item_product, item_time
from catalog.storage.bucket_files import BucketFiles
from catalog.storage.credentials import Credentials, remedy
from catalog.storage.s3 import split_address

Document = dict[str, Any]

_COLLECTIONS: dict[Level, str] = {"L1C": "sentinel-2-l1c", "L2A": "sentinel-2-l2a"}
_TIMEOUT = 60.0
"""Seconds without an answer."""

_RETRY = Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "POST"),  # a search changes nothing
    retry_after_max=30,  # a service may ask for an hour
    raise_on_status=False,
)


class StacSource:
    """A STAC catalogue or API."""

    usage = "stac:PATH_OR_URL of a STAC catalogue or API, or stac:s3://BUCKET/catalog.json"

    def __init__(self, address: str, credentials: Credentials) -> None:
        """``address``: path of a catalogue (or of its folder), s3://bucket/catalog.json, or an http(s) URL. Raises `RequestError`."""
        self._root = _resolved(address)
        self._credentials = credentials
        self.address = f"stac:{self._root}"
        self.id = source_id("stac", _name(self._root), self.address)
        self._found: dict[str, Document] = {}
        self._buckets: dict[str, BucketFiles] = {}

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """See `Source`."""
        if self._is_api:
            candidates = ((href, item, False) for href, item in self._search_api(area, period, level))
            return select_items(candidates, area, period, level, complete=False)
        return select_items(
            self._walk(self._root, self._document, False, {self._root}), area, period, level, complete=True
        )

    def assets(self, product: Product) -> dict[str, Asset]:
        """See `Source`."""
        item = self._found.get(product.href)
        if item is None:
            try:
                item = self._read(product.href)
            except _UnreadableError as error:
                raise ProductError(f"{product.id}: its description {product.href} {error}.") from error
        return item_assets(item, product.href, product, self._credentials)

    @cached_property
    def _document(self) -> Document:
        try:
            return self._read(self._root)
        except _UnreadableError as error:
            raise SourceError(f"source {self.address} {error}. Check the address.") from error

    @property
    def _is_api(self) -> bool:
        return "conformsTo" in self._document or any(link["rel"] == "search" for link in _links(self._document))

    def _search_api(
        self, area: Area, period: tuple[datetime, datetime], level: Level
    ) -> Iterator[tuple[str, Document]]:
        start, end = period
        try:
            client = Client.open(self._root, stac_io=StacApiIO(timeout=_TIMEOUT, max_retries=_RETRY))
            search = client.search(
                collections=[_COLLECTIONS[level]],
                intersects=as_geojson(area),
                # STAC intervals include their end
                datetime=(start, end - timedelta(seconds=1)),
                limit=100,
            )
            for item in search.items_as_dicts():
                href = next(
                    (link["href"] for link in _links(item) if link["rel"] == "self"),
                    f"collections/{item['collection']}/items/{item['id']}",
                )
                href = join(f"{self._root.rstrip('/')}/", href)
                self._found[href] = item
                yield href, item
        except (APIError, STACError, OSError, KeyError, ValueError) as error:
            _raise_refusal(error, self._root)
            raise SourceError(
                f"source {self.address}: the search failed: {_words(error)}. Check that it is a STAC API and can be reached."
            ) from error

    def _read(self, href: str) -> Document:
        """A JSON object from a file, bucket or URL. Raises `_UnreadableError`; `AccessError` where it is refused."""
        try:
            document = json.loads(self._text(href))
        except FileNotFoundError as error:
            raise _UnreadableError("does not exist") from error
        except (OSError, APIError, STACError, ProductError) as error:
            _raise_refusal(error, href)
            raise _UnreadableError(f"can't be read ({_words(error)})") from error
        except ValueError as error:  # not UTF-8, not JSON
            raise _UnreadableError(f"is not JSON ({error})") from error
        if not isinstance(document, dict):
            raise _UnreadableError("is not a JSON object")
        return document

    def _text(self, href: str) -> str | bytes:
        if is_url(href):
            return StacApiIO(timeout=_TIMEOUT, max_retries=_RETRY).read_text(href)
        if is_s3(href):
            bucket, key = split_address(href)
            return self._bucket(bucket).read(key)
        return Path(href).read_text(encoding="utf-8")

    def _bucket(self, name: str) -> BucketFiles:
        if name not in self._buckets:
            self._buckets[name] = BucketFiles(f"s3://{name}", self._credentials.of_bucket(name))
        return self._buckets[name]

    def _walk(
        self, href: str, document: Document, synthetic: bool, seen: set[str]
    ) -> Iterator[tuple[str, Document | str, bool]]:
        """(address, item or why it can't be read, synthetic) of every item below a catalogue."""
        synthetic = synthetic or _says_synthetic(document)
        for link in _links(document):
            if link["rel"] not in ("child", "item"):
                continue
            target = join(href, link["href"])
            if target in seen:
                continue
            seen.add(target)
            try:
                below = self._read(target)
            except (_UnreadableError, SourceError) as error:
                if link["rel"] == "item":
                    yield target, str(error), synthetic
                    continue
                if isinstance(error, SourceError):
                    raise
                raise SourceError(f"source {self.address}: its part {target} {error}. Repair the catalogue.") from error
                continue
            if below.get("type") == "Feature":
                yield target, below, synthetic
            else:
                yield from self._walk(target, below, synthetic, seen)


class _UnreadableError(Exception):
    """A document can't be read; the text goes on after the document's name."""


def select_items(
    candidates: Iterator[tuple[str, Document | str, bool]],
    area: Area,
    period: tuple[datetime, datetime],
    level: Level,
    *,
    complete: bool,
) -> SearchResult:
    """Sort out what meets area, period and level. ``complete``: ``candidates`` is all that the source holds."""
    products: list[Product] = []
    left_out: list[LeftOut] = []
    times: list[datetime] = []
    for href, item, synthetic in candidates:
        if isinstance(item, str):
            left_out.append(LeftOut(product=href, reason=f"not understood: {item}", kind=Reason.NOT_UNDERSTOOD))
            continue
        try:
            times.append(item_time(item))
            if not (period[0] <= times[-1] < period[1]) or not _meets(item, area):
                continue
            product = item_product(item, href, synthetic=synthetic)
        except ProductError as error:
            left_out.append(
                LeftOut(
                    product=str(item.get("id", href)), reason=f"not understood: {error}", kind=Reason.NOT_UNDERSTOOD
                )
            )
            continue
        if product.level == level:
            products.append(product)
        else:
            left_out.append(
                LeftOut(product=product.id, reason=f"other level: {product.level}", kind=Reason.OTHER_LEVEL)
            )
    holds = f"{len(times)} items from {min(times):%Y-%m-%d} to {max(times):%Y-%m-%d}" if times else "no item"
    return SearchResult(tuple(products), tuple(left_out), f"the source holds {holds}" if complete else "")


def _meets(item: Document, area: Area) -> bool:
    geometry = item.get("geometry")
    if not isinstance(geometry, dict):
        raise ProductError("no geometry")
    try:
        return bool(shape(geometry).intersects(area))
    except (GEOSException, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ProductError(f"its geometry is not GeoJSON: {error}") from error


def _says_synthetic(document: Document) -> bool:
    summaries = document.get("summaries")
    values = [document.get(SYNTHETIC), summaries.get(SYNTHETIC) if isinstance(summaries, dict) else None]
    return any(value is True or (isinstance(value, list) and True in value) for value in values)


def _links(document: Document) -> list[dict[str, str]]:
    links = document.get("links")
    if not isinstance(links, list):
        return []
    return [
        link
        for link in links
        if isinstance(link, dict) and isinstance(link.get("rel"), str) and isinstance(link.get("href"), str)
    ]


def _resolved(address: str) -> str:
    """Absolute path or URL, the same for every way to write it."""
    if is_url(address):
        if may_hold_secret(address):
            raise RequestError(
                f"source: the address of {urlsplit(address).hostname} carries a user name or a query. Give it without; "
                "credentials come from the environment."
            )
        return address
    if is_s3(address):
        try:
            bucket, key = split_address(address)
        except RequestError as error:
            raise RequestError(f"source: {error}") from error
        return f"s3://{bucket}/{key}" if key.endswith(".json") else f"s3://{bucket}/{f'{key}/catalog.json'.lstrip('/')}"
    if re.match(r"[a-z0-9]+://", address):
        raise RequestError(f"source: stac:{address}: a STAC catalogue is read from a path, from s3:// or from http(s).")
    if not address.strip():
        raise RequestError("source: 'stac:' needs the path or URL of a catalogue, e.g. stac:archive/catalog.json.")
    path = Path(address).expanduser().resolve()
    if path.is_dir():
        path = path / "catalog.json"
    if not path.is_file():
        raise RequestError(f"source: no file {path}. Relative paths start in {Path.cwd()}.")
    return str(path)


def _name(root: str) -> str:
    """The part of an address that a person would call it by."""
    if is_url(root):
        return urlsplit(root).hostname or ""
    path = Path(root.removeprefix("s3://"))
    return path.parent.name if path.stem in ("catalog", "collection") else path.stem


def _raise_refusal(error: Exception, address: str) -> None:
    """Raises `AccessError` where an error is one of access."""
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        raise AccessError(f"{address} may not be read: HTTP {status}: {_words(error)}. {remedy(address)}") from error


def _words(error: Exception) -> str:
    """The text of an error; pages that servers answer with are cut."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"
