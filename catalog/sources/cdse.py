"""Products of the Copernicus Data Space: searched through its STAC API, read as SAFE from its bucket."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from catalog.area import Area
from catalog.errors import ProductError, Reason, RequestError
from catalog.products import Asset, LeftOut, Level, Product
from catalog.sources.address import is_url, source_id
from catalog.sources.product_name import parse_name
from catalog.sources.protocol import SearchResult
from catalog.sources.safe.product import read_product
from catalog.sources.stac.item import item_assets, known_sizes
from catalog.sources.stac.source import StacSource
from catalog.storage.bucket_files import BucketFiles
from catalog.storage.credentials import CDSE_BUCKET, Credentials, remedy

CDSE_STAC = "https://stac.dataspace.copernicus.eu/v1"

_ROOT = f"s3://{CDSE_BUCKET}/"
_PRODUCT = re.compile(rf"{_ROOT}(?P<path>\S+?\.SAFE)(?:/|$)")


class CdseSource(StacSource):
    """The Copernicus Data Space. What its catalogue says decides what is taken, a product's own metadata how it is read."""

    usage = "cdse: for the Copernicus Data Space"

    def __init__(self, address: str, credentials: Credentials) -> None:
        """``address``: nothing, or the URL of another STAC API over the same bucket. Raises `RequestError`, also where keys are missing."""
        if address and not is_url(address):
            raise RequestError(f"source: cdse:{address}: give cdse: alone, or cdse:https://… for another STAC API.")
        if credentials.cdse.key is None or credentials.cdse.secret is None:
            raise RequestError(f"source: cdse: reads the bucket {CDSE_BUCKET}, which asks for keys. {remedy(_ROOT)}")
        super().__init__(address or CDSE_STAC, credentials)
        self.address = f"cdse:{address}"
        self.id = source_id("cdse", "", self.address)
        self._items: dict[str, tuple[dict[str, Any], str]] = {}

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """See `Source`."""
        found = super().search(area, period, level)
        products: list[Product] = []
        left_out = list(found.left_out)
        for product in found.products:
            path = _path_of(self._found.get(product.href, {}), product)
            if path is None:
                reason = f"not understood: its item {product.href} names no product in {_ROOT}"
                left_out.append(LeftOut(product=product.id, reason=reason, kind=Reason.NOT_UNDERSTOOD))
            else:
                products.append(product.model_copy(update={"href": f"{_ROOT}{path}"}))
                self._items[f"{_ROOT}{path}"] = self._found[product.href], product.href
        return SearchResult(tuple(products), tuple(left_out), found.holds)

    def assets(self, product: Product) -> dict[str, Asset]:
        """See `Source`."""
        if not product.href.startswith(_ROOT):
            raise ProductError(f"{product.id}: {product.href} is not in {_ROOT}. Order again.")
        files = BucketFiles(_ROOT, self._credentials.of_bucket(CDSE_BUCKET))
        return dict(read_product(files, product.href.removeprefix(_ROOT)).assets)

    def sizes(self, product: Product) -> dict[str, int | None]:
        """See `Sized`. What the catalogue says: the bucket isn't asked."""
        item, href = self._items.get(product.href, ({}, ""))
        return known_sizes(item_assets(item, href, product, self._credentials)) if item else {}


def _path_of(item: dict[str, Any], product: Product) -> str | None:
    """The path of a product in the bucket: as its files say (reprocessed ones have folders of their own), else by its name."""
    assets = item.get("assets")
    for asset in assets.values() if isinstance(assets, dict) else ():
        if isinstance(asset, dict) and (match := _PRODUCT.match(str(asset.get("href") or ""))):
            return match["path"]
    name = parse_name(product.id)
    if name is None:
        return None
    return f"Sentinel-2/MSI/{product.level}/{product.time:%Y/%m/%d}/{name.name}.SAFE"
