"""Products described by STAC: a static catalogue (folder, bucket or web server), or a STAC API.

Static catalogues are walked as plain JSON: building pystac's tree of objects costs more than reading the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pystac import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError

from catalog.area import Area, as_geojson, covering
from catalog.errors import AccessError, NoProductError, ProductError, Reason, RequestError, SourceError
from catalog.guards.addresses import split_address as split_url
from catalog.guards.json_text import parse_json
from catalog.guards.paths import user_path
from catalog.products import Asset, Level, Product
from catalog.sources.address import is_s3, is_url, may_hold_secret, source_id
from catalog.sources.connections import connection_words
from catalog.sources.protocol import SearchResult
from catalog.sources.reach import Reach, networks_for
from catalog.sources.stac.item import SYNTHETIC, item_assets, known_sizes
from catalog.sources.stac.selection import Candidate, Document, select_items
from catalog.sources.stac.synonyms import COLLECTIONS
from catalog.sources.stac.web import WebReader, refusal
from catalog.storage.bucket_files import BucketFiles
from catalog.storage.credentials import Credentials, remedy
from catalog.storage.s3 import split_address

_ITEMS = ("Feature", "FeatureCollection")
"""Types of documents that are an item, or hold items themselves."""

_MOST_LISTED = 40
"""Collections that an error lists."""

_PART_OF_API = re.compile(r"(?P<api>https?://.+?)/collections/(?P<collection>[^/?#]+)/?")


class StacSource:
    """A STAC catalogue or API."""

    usage = "stac:PATH_OR_URL of a STAC catalogue or API (stac:URL#COLLECTION), or stac:s3://BUCKET/catalog.json"

    def __init__(self, address: str, credentials: Credentials) -> None:
        """``address``: path of a catalogue (or of its folder), s3://bucket/catalog.json, or an http(s) URL, an API's with
        ``#collection`` or of the collection itself. Raises `RequestError`.
        """
        named = _resolved(address)
        self._root, _, collection = named.partition("#") if is_url(named) else (named, "", "")
        self._collection: str | None = collection or None
        self._credentials = credentials
        self._reach = Reach.of(self._root)
        self.address = f"stac:{named}"
        self.id = source_id("stac", _name(self._root), self.address)
        self._found: dict[str, Document] = {}
        self._buckets: dict[str, BucketFiles] = {}

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """See `Source`."""
        self._enter_api_of_collection()
        if self._is_api:
            candidates = ((href, item, False) for href, item in self._search_api(area, period, level))
            return select_items(candidates, area, period, level, complete=False, reach=self._reach)
        if not isinstance(self._document.get("links"), list) and self._document.get("type") not in _ITEMS:
            what = ", ".join(sorted(map(str, self._document))[:8]) or "nothing"
            raise NoProductError(
                f"source {self.address} is no STAC catalogue: it is a JSON object of type {self._document.get('type')!r}, with {what}. "
                "Give the address of a catalogue, a collection, an API or an ItemCollection."
            )
        return select_items(
            self._walk(self._root, self._document, False, {self._root}),
            area,
            period,
            level,
            complete=True,
            reach=self._reach,
        )

    def assets(self, product: Product) -> dict[str, Asset]:
        """See `Source`."""
        item = self._found.get(product.href)
        if item is None:
            try:
                item = self._read_item(product.href)
            except _UnreadableError as error:
                raise ProductError(f"{product.id}: its description {product.href} {error}.", error.kind) from error
        return item_assets(item, product.href, product, self._credentials, reach=self._reach)

    def sizes(self, product: Product) -> dict[str, int | None]:
        """See `Sized`. Of items on the network those count that this source found itself: none is asked for again."""
        if is_url(product.href) and product.href not in self._found:
            return {}
        return known_sizes(self.assets(product))

    @cached_property
    def _document(self) -> Document:
        try:
            return self._read(self._root)
        except _UnreadableError as error:
            network = " and the network" if error.kind is Reason.NOT_REACHABLE else ""
            raise SourceError(f"source {self.address} {error}. Check the address{network}.") from error

    @property
    def _is_api(self) -> bool:
        return _searches(self._document)

    @cached_property
    def _web(self) -> WebReader:
        return WebReader(networks_for(self._root, self._credentials))

    def _own_address(self, item: Document) -> str:
        """Where an item of the API lies: as it says itself, where it may, else by its collection and name. Raises `KeyError`."""
        base = f"{self._root.rstrip('/')}/"
        for link in _links(item):
            if link["rel"] == "self":
                with suppress(ProductError):
                    return self._reach.address(base, link["href"])
        return self._reach.address(base, f"collections/{item['collection']}/items/{item['id']}")

    def _search_api(
        self, area: Area, period: tuple[datetime, datetime], level: Level
    ) -> Iterator[tuple[str, Document]]:
        start, end = period
        collection = self._collection_for(level)
        try:
            client = Client.open(self._root, stac_io=self._web)
            search = client.search(
                collections=[collection],
                intersects=as_geojson(covering(area)),  # what only that meets is left away by `select_items`
                # STAC intervals include their end
                datetime=(start, end - timedelta(seconds=1)),
                limit=100,
            )
            for item in search.items_as_dicts():
                href = self._own_address(item)
                self._found[href] = item
                yield href, item
        except (APIError, STACError, OSError, KeyError, ValueError) as error:
            _raise_refusal(error, self._root)
            what = connection_words(error) or _words(refusal(error) or error)
            raise SourceError(
                f"source {self.address}: the search failed: {what}. Check that it is a STAC API and can be reached."
            ) from error

    def _enter_api_of_collection(self) -> None:
        """Turn a collection's own URL, where it is one of an API, into the API and the collection's name."""
        part = _PART_OF_API.fullmatch(self._root)
        if part is None or self._is_api or self._document.get("type") != "Collection":
            return
        try:
            api = self._read(part["api"])
        except (_UnreadableError, SourceError):
            return
        if _searches(api):
            self._root, self._collection = part["api"], part["collection"]
            self._document = api

    def _collection_for(self, level: Level) -> str:
        """The collection named in the address, else the first of the known ones that the API has.

        Raises `NoProductError` with what the API has instead.
        """
        wanted = (self._collection,) if self._collection else COLLECTIONS[level]
        for name in wanted:
            try:
                self._read(f"{self._root.rstrip('/')}/collections/{name}")
            except _UnreadableError as error:
                if not error.absent:  # nobody knows; the search itself will tell
                    return name
            else:
                return name
        if not (listed := self._listed_collections()):
            return wanted[0]
        shown = ", ".join(listed[:_MOST_LISTED]) + (" …" if len(listed) > _MOST_LISTED else "")
        raise NoProductError(
            f"source {self.address}: the API has no collection {' or '.join(wanted)}. It has {shown}. "
            f"Name the one of Sentinel-2 {level}: stac:{self._root}#COLLECTION."
        )

    def _listed_collections(self) -> list[str]:
        """Names of the API's collections, sorted; none where it doesn't list them."""
        names: set[str] = set()
        href: str | None = f"{self._root.rstrip('/')}/collections"
        for _ in range(_MOST_LISTED):
            if href is None:
                break
            try:
                page = self._read(href)
            except (_UnreadableError, SourceError):
                break
            entries = page.get("collections")
            names |= {str(entry["id"]) for entry in entries or () if isinstance(entry, dict) and "id" in entry}
            following = next((link["href"] for link in _links(page) if link["rel"] == "next"), None)
            try:
                href = self._reach.address(href, following) if following is not None else None
            except ProductError:
                break
        return sorted(names)

    def _read_item(self, href: str) -> Document:
        """An item, also one of a saved ItemCollection: ``collection.json#item``. Raises as `_read` does."""
        document, _, name = href.partition("#")
        if not name or Path(href).exists():
            return self._read(href)
        for member in _members(self._read(document)):
            if isinstance(member, dict) and str(member.get("id")) == name:
                return member
        raise _UnreadableError("is not in its ItemCollection any more")

    def _read(self, href: str) -> Document:
        """A JSON object from a file, bucket or URL. Raises `_UnreadableError`; `AccessError` where it is refused."""
        try:
            text = self._text(href)
        except FileNotFoundError as error:
            raise _UnreadableError("does not exist", absent=True) from error
        except (OSError, APIError, STACError, ProductError) as error:
            _raise_refusal(error, href)
            if (refused := refusal(error)) is not None:
                raise _UnreadableError(f"may not be read: {refused}", kind=Reason.NOT_ALLOWED) from error
            if (broken := connection_words(error)) is not None:
                raise _UnreadableError(f"can't be reached: {broken}", kind=Reason.NOT_REACHABLE) from error
            absent = getattr(error, "status_code", None) == 404
            raise _UnreadableError(f"can't be read ({_words(error)})", absent=absent) from error
        document = parse_json(text, _UnreadableError)
        if not isinstance(document, dict):
            raise _UnreadableError("is not a JSON object")
        return document

    def _text(self, href: str) -> str | bytes:
        if is_url(href):
            return self._web.read_text(href)
        if is_s3(href):
            bucket, key = split_address(href)
            return self._bucket(bucket).read(key)
        return user_path(href, OSError).read_bytes()

    def _bucket(self, name: str) -> BucketFiles:
        if name not in self._buckets:
            self._buckets[name] = BucketFiles(f"s3://{name}", self._credentials.of_bucket(name))
        return self._buckets[name]

    def _walk(self, href: str, document: Document, synthetic: bool, seen: set[str]) -> Iterator[Candidate]:
        """(address, item or why it can't be read, synthetic) of every item below a catalogue."""
        synthetic = synthetic or _says_synthetic(document)
        if document.get("type") in _ITEMS:
            members = [document] if document["type"] == "Feature" else _members(document)
            for number, member in enumerate(members):
                if not isinstance(member, dict):
                    yield f"{href}#{number}", ProductError("it is no JSON object", Reason.NOT_UNDERSTOOD), synthetic
                else:
                    yield (href if member is document else f"{href}#{member.get('id')}"), member, synthetic
            return
        links = document.get("links")
        if not isinstance(links, list):
            yield href, ProductError("it is neither an item nor a catalogue", Reason.NOT_UNDERSTOOD), synthetic
            return
        for link in links:
            if not isinstance(link, dict) or link.get("rel") not in ("child", "item"):
                continue
            if not isinstance(link.get("href"), str):
                why = f"its link of kind {link['rel']} has no address"
                yield href, ProductError(why, Reason.NOT_UNDERSTOOD), synthetic
                continue
            try:
                target = self._reach.address(href, link["href"])
                if target in seen:
                    continue
                seen.add(target)
                below = self._read(target)
            except (_UnreadableError, ProductError, SourceError) as error:
                if link["rel"] == "item":
                    kind = error.kind if isinstance(error, _UnreadableError | ProductError) else Reason.NOT_REACHABLE
                    named = link["href"] if isinstance(error, ProductError) else target
                    yield named, ProductError(str(error), kind), synthetic
                    continue
                if isinstance(error, SourceError):
                    raise
                raise SourceError(
                    f"source {self.address}: its part {link['href']} {error}. Repair the catalogue."
                ) from error
            yield from self._walk(target, below, synthetic, seen)


class _UnreadableError(Exception):
    """A document can't be read; the text goes on after the document's name. ``absent``: there is none."""

    def __init__(self, text: str, *, absent: bool = False, kind: Reason = Reason.NOT_UNDERSTOOD) -> None:
        super().__init__(text)
        self.absent = absent
        self.kind = kind


def _says_synthetic(document: Document) -> bool:
    summaries = document.get("summaries")
    values = [document.get(SYNTHETIC), summaries.get(SYNTHETIC) if isinstance(summaries, dict) else None]
    return any(value is True or (isinstance(value, list) and True in value) for value in values)


def _searches(document: Document) -> bool:
    return "conformsTo" in document or any(link["rel"] == "search" for link in _links(document))


def _members(document: Document) -> list[Any]:
    listed = document.get("features")
    return listed if isinstance(listed, list) else []


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
        parts = split_url(address, lambda why: RequestError(f"source: stac: {why}. Give the address of a catalogue."))
        if may_hold_secret(address):
            raise RequestError(
                f"source: the address of {parts.hostname} carries a user name or a query. Give it without; "
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
    path = user_path(address, lambda why: RequestError(f"source: stac: {why}. Give the path of a catalogue."))
    if path.is_dir():
        path = path / "catalog.json"
    if not path.is_file():
        raise RequestError(f"source: no file {path}. Relative paths start in {Path.cwd()}.")
    return str(path)


def _name(root: str) -> str:
    """The part of an address that a person would call it by."""
    if is_url(root):
        return split_url(root, RequestError).hostname or ""
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
