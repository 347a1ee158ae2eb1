"""What was left out of a cell, and whether it is worth another try."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack

import rasterio

from catalog.errors import ProductError, SourceError
from catalog.products import Asset, LeftOut, Product
from catalog.sources.protocol import Downloading, Source
from catalog.storage.store import digest
from processors.ingest.opening import GDAL_ENVIRONMENT, AssetOpener, MissingAssetError, asset_state, is_remote

LeftOutStates = dict[str, tuple[str, str]]
"""Reason and state of the file, by product, or by product and band with a space between."""


def recorded(text: str) -> LeftOutStates:
    """As a cell's `left_out` holds it."""
    return {key: (reason, state) for key, (reason, state) in json.loads(text).items()}


def product_state(assets: Mapping[str, Asset]) -> str:
    """What is recorded of a product that can't be read; ``again`` where that may be the network's fault."""
    if not assets or any(is_remote(asset) for asset in assets.values()):
        return "again"
    return digest({name: asset_state(asset) for name, asset in assets.items()})


class Availability:
    """Looks whether what was left out has changed since: each file once, remote ones by opening them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._assets: dict[str, dict[str, Asset]] = {}
        self._states: dict[str, str] = {}

    def changed(self, left_out: LeftOutStates, products: tuple[Product, ...]) -> bool:
        """True where one of the products, or one of their bands, should be read again.

        What a service refused or sent damaged isn't asked for on every run, at a price each time, with all that is well.
        """
        if isinstance(self._source, Downloading):
            return any(LeftOut(product=key, reason=reason).passing for key, (reason, _) in left_out.items())
        by_id = {product.id: product for product in products}
        for key, (_, state) in left_out.items():
            name, _, band = (key, "", "") if key in by_id else key.rpartition(" ")
            try:
                if name in by_id and self._state(by_id[name], band) != state:
                    return True
            except SourceError:  # nothing can be told now, and what is there must not be lost for it
                continue
        return False

    def _state(self, product: Product, band: str) -> str:
        if product.id not in self._assets:
            try:
                self._assets[product.id] = self._source.assets(product)
            except ProductError:
                return "unlisted"
        assets = self._assets[product.id]
        if not band:
            state = product_state(assets)
            return "now" if state == "again" else state
        return self._of(assets[band]) if band in assets else "unlisted"

    def _of(self, asset: Asset) -> str:
        if asset.href not in self._states:
            self._states[asset.href] = _look(asset) if is_remote(asset) else asset_state(asset)
        return self._states[asset.href]


def _look(asset: Asset) -> str:
    with rasterio.Env(**GDAL_ENVIRONMENT), ExitStack() as stack:
        try:
            AssetOpener(stack).open(asset)
        except MissingAssetError:
            return asset_state(asset)
        except ProductError:
            return "changed"
    return "reachable"
