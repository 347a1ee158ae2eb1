"""Products of Sentinel Hub: searched in its Catalog API, their pixels asked of its Process API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.antimeridian import bbox
from catalog.area import Area
from catalog.errors import ProductError, Reason, RequestError
from catalog.grid import Window
from catalog.guards.addresses import split_address
from catalog.products import Asset, Level, Product
from catalog.quoting import shown
from catalog.sources.address import may_hold_secret, source_id
from catalog.sources.protocol import SearchResult
from catalog.sources.sentinel_hub.client import AT_ONCE, RefusedError, SentinelHubService
from catalog.sources.sentinel_hub.process_api import (
    COLLECTIONS,
    DamagedAnswerError,
    LayerFiles,
    decoded,
    download_request,
    layers,
    parts,
    processing_units,
)
from catalog.sources.stac.selection import Candidate, select_items
from catalog.storage.credentials import Credentials
from catalog.storage.whole import folder_written_whole

DAMAGED = 2
"""The attempts at a part whose answer comes whole and is no raster."""

_ACCOUNTS = "https://shapps.dataspace.copernicus.eu/dashboard or https://apps.sentinel-hub.com/dashboard"


class SentinelHubSource:
    """A deployment of Sentinel Hub: the one that the credentials are for."""

    usage = "sentinelhub: for the deployment that SH_BASE_URL names"

    def __init__(self, address: str, credentials: Credentials) -> None:
        """``address``: empty, or the address of the deployment, which has to be that of the credentials. Raises `RequestError`."""
        access = credentials.sentinel_hub
        if access is None:
            raise RequestError(
                "source: Sentinel Hub needs an OAuth client. Make one in the dashboard of your account "
                f"({_ACCOUNTS}) and set SH_CLIENT_ID and SH_CLIENT_SECRET."
            )
        for name, url in (("SH_BASE_URL", access.base_url), ("SH_TOKEN_URL", access.token_url)):
            _check_url(name, url)
        self._service = SentinelHubService(access)
        if address.rstrip("/") not in ("", self._service.url):
            # A request may come from anybody; the credentials go nowhere but where they belong.
            named = split_address(address, RequestError).hostname or shown(address)
            raise RequestError(
                f"source: sentinelhub:{named} is not the deployment that SH_BASE_URL names, "
                f"{self._service.url}. Write sentinelhub: alone, or set SH_BASE_URL and SH_TOKEN_URL."
            )
        self.address = f"sentinelhub:{self._service.url}"
        self.id = source_id("sentinelhub", split_address(self._service.url, RequestError).hostname or "", self.address)

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """See `Source`."""
        start, end = period
        collection = COLLECTIONS[level]
        # the service's intervals include their end
        interval = (start, end - timedelta(seconds=1))
        items: list[dict[str, Any]] = []
        for side in _sides(area):
            known = {item.get("id") for item in items}  # what lies on both sides is answered twice
            items += [item for item in self._service.search(collection, side, interval) if item.get("id") not in known]
        return select_items(self._named(items, collection), area, period, level, complete=False)

    def assets(self, product: Product) -> dict[str, Asset]:  # noqa: ARG002 - as `Source` has it
        """No assets: nothing is a file before `download`."""
        return {}

    def download(self, product: Product, windows: Sequence[Window], folder: Path) -> dict[str, Asset]:
        """See `Downloading`. The folder appears when all of it is there. Raises `StoreError` where it can't be written."""
        with folder_written_whole(folder) as aside:
            made = [LayerFiles(aside, product, layer, windows) for layer in layers(product, windows[0].epsg)]
            with ExitStack() as stack:
                for layer_files in made:
                    stack.enter_context(layer_files.opened())
                self._fetch(product, [(files, part) for files in made for part in files.parts])
        return {name: asset for files in made for name, asset in files.assets(folder).items()}

    def processing_units(self, product: Product, windows: Sequence[Window]) -> float:
        """See `Metered`: the sum over the requests that `download` sends, without those for damaged answers."""
        return sum(
            processing_units(layer, part)
            for layer in layers(product, windows[0].epsg)
            for part in parts(product, layer, windows)
        )

    def _fetch(self, product: Product, wanted: Sequence[tuple[LayerFiles, Window]]) -> None:
        """Ask for parts, a few at a time, and write what comes; once more for those whose answer is damaged."""
        config, problem = self._service.config, ""
        for _ in range(DAMAGED):
            damaged: list[tuple[LayerFiles, Window]] = []
            for first in range(0, len(wanted), AT_ONCE):
                some = wanted[first : first + AT_ONCE]
                try:
                    answers = self._service.process(
                        [download_request(product, files.layer, part, config) for files, part in some]
                    )
                except RefusedError as error:
                    raise ProductError(f"{product.id}: {self._service.url} refuses it: {error}.") from error
                for (files, part), answer in zip(some, answers, strict=True):
                    try:
                        files.write(part, decoded(answer, files.layer, part))
                    except DamagedAnswerError as error:
                        problem = f"{' '.join(files.layer.names)}: {error}"
                        damaged.append((files, part))
            if not damaged:
                return
            wanted = damaged
        raise ProductError(f"{product.id}: what {self._service.url} sends is damaged, {DAMAGED} times: {problem}.")

    def _named(self, items: Sequence[dict[str, Any]], collection: str) -> Iterator[Candidate]:
        for item in items:
            name = str(item.get("id"))
            href = f"{self._service.url}/api/v1/catalog/1.0.0/collections/{collection}/items/{name}"
            # The id becomes the name of a folder.
            named = re.fullmatch(r"\w[\w.-]*", name) is not None
            yield (
                href,
                item if named else ProductError("its id is no product's name", Reason.NOT_UNDERSTOOD),
                False,
            )


def _sides(area: Area) -> list[tuple[float, float, float, float]]:
    """Bounds around an area, degrees; two across the antimeridian, where one would go around the Earth."""
    west, south, east, north = bbox(area)
    return [(west, south, east, north)] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]


def _check_url(name: str, url: str) -> None:
    parts = split_address(url, lambda why: RequestError(f"source: {name}: {why}."))
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if may_hold_secret(url):
        raise RequestError(f"source: {name} carries a user name or a query. Give it without.")
    if not parts.hostname or (parts.scheme != "https" and not local):
        raise RequestError(f"source: {name} is {url!r}, which is no https address: secrets are sent there.")
