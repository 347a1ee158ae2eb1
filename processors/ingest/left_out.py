"""Records of what was left out of a cell, and whether it is worth another try."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import rasterio

from catalog.errors import ProductError, Reason, SourceError
from catalog.products import BANDS, Asset, LeftOut, Product
from catalog.sources.protocol import Downloading, Source
from catalog.storage.store import digest
from processors.engine.limits import reading, uninterruptible
from processors.ingest.opening import GDAL_ENVIRONMENT, AssetOpener, MissingAssetError, asset_state, is_remote


class LeftOutRecord(NamedTuple):
    """Product or band left out of a cell."""

    left_out: LeftOut
    state: str
    """State of its file at that time: another one is worth another try."""


def read_records(text: str) -> list[LeftOutRecord]:
    """Parse a cell's `left_out`. Cells of older versions don't say of what kind a reason is."""
    records = []
    for product, (reason, state, *kinds) in json.loads(text).items():
        kind, cause = [*map(Reason, kinds), *(None, None)][:2]
        left_out = LeftOut(product=product, reason=reason, kind=kind or Reason.UNKNOWN, cause=cause)
        records.append(LeftOutRecord(left_out, state))
    return records


def records_text(records: Iterable[LeftOutRecord]) -> str:
    """Records as a cell's `left_out` holds them: reason, state, kind and cause by product, or by product and band with a space between."""
    listed = {
        left.product: (left.reason, state, *(kind for kind in (left.kind, left.cause) if kind is not None))
        for left, state in records
    }
    return json.dumps(listed, sort_keys=True)


def product_state(assets: Mapping[str, Asset]) -> str:
    """State to record of a product that can't be read; ``again`` where that may be the network's fault."""
    if not assets or any(is_remote(asset) for asset in assets.values()):
        return "again"
    return digest({name: asset_state(asset) for name, asset in assets.items()})


_ENDED = {Reason.OVER_LIMIT, Reason.ENDED_PROCESS}


@dataclass(frozen=True, slots=True)
class OverLimits:
    """Products whose reading ended the process that did it, and what is known of that from before."""

    limits: str = ""
    """The limits of today."""
    products: Mapping[str, LeftOut] = field(default_factory=dict)
    """Those of this time."""

    def state(self, product: Product) -> str:
        """State to record of a product that was over the limits: to find that out again takes long, so it isn't on every run.

        Another content or other limits are worth another try, and so is another day: the disk or the network may have been slow.
        Where the source doesn't tell contents, every run is worth one.
        """
        if not product.content:
            return "again"
        return digest([product.content, self.limits, datetime.now(UTC).date().isoformat()])

    def remembered(self, records: Iterable[LeftOutRecord], products: Iterable[Product]) -> dict[str, LeftOut]:
        """Those of the products that records say were over the limits, and that aren't worth another try."""
        by_id = {product.id: product for product in products}
        return {
            left.product: left
            for left, state in records
            if left.kind is Reason.OVER_LIMIT and left.product in by_id and self.lasts(state, by_id[left.product])
        }

    def lasts(self, state: str, product: Product) -> bool:
        """Return whether a product of that recorded state isn't worth another try."""
        return state != "again" and state == self.state(product)


class Availability:
    """Looks whether what was left out has changed since: each file once, remote ones by opening them."""

    def __init__(self, source: Source, over: OverLimits = OverLimits()) -> None:
        self._source, self._over = source, over
        self._assets: dict[str, dict[str, Asset]] = {}
        self._states: dict[str, str] = {}

    def changed(self, records: Sequence[LeftOutRecord], products: tuple[Product, ...]) -> bool:
        """True where one of the products, or one of their bands, should be read again.

        What a service refused or sent damaged isn't asked for on every run, at a price each time, with all that is well.
        """
        by_id = {product.id: product for product in products}
        tried = by_id.keys() - self._over.products.keys()
        over = [record for record in records if {record.left_out.kind, record.left_out.cause} & _ENDED]
        for left, state in over:
            if left.product in tried and not self._over.lasts(state, by_id[left.product]):
                return True
        if isinstance(self._source, Downloading):
            # What a cell of an older version leaves out may be passing.
            return any(record.left_out.passing or record.left_out.kind is Reason.UNKNOWN for record in records)
        for record in (record for record in records if record not in over):
            key = record.left_out.product
            name, _, band = (key, "", "") if key in by_id else key.rpartition(" ")
            try:
                if name not in tried:
                    continue
                state = self._state(by_id[name], band)
                if state == "now" and record.left_out.cause is not None:
                    state = self._reached(by_id[name], record.left_out.cause)
                if state != record.state:
                    return True
            except SourceError:  # nothing can be told now, and what is there must not be lost for it
                continue
        return False

    def offsets_from(self, products: Iterable[Product]) -> set[str]:
        """What the source says now that the bands' offsets come from; nothing where it can't be told."""
        if isinstance(self._source, Downloading):
            return set()
        try:
            listed = [self._listed(product) or {} for product in products]
        except SourceError:
            return set()
        return {asset.offset_from for assets in listed for name, asset in assets.items() if name in BANDS}

    def _listed(self, product: Product) -> dict[str, Asset] | None:
        """The product's assets; None where its description isn't understood."""
        if product.id not in self._assets:
            try:
                with reading(product.id), uninterruptible():
                    self._assets[product.id] = self._source.assets(product)
            except ProductError:
                return None
        return self._assets[product.id]

    def _state(self, product: Product, band: str) -> str:
        assets = self._listed(product)
        if assets is None:
            return "unlisted"
        if not band:
            state = product_state(assets)
            return "now" if state == "again" else state
        return self._of(assets[band]) if band in assets else "unlisted"

    def _reached(self, product: Product, cause: Reason) -> str:
        """State of a remote product of which an older version was read: that is not done again on every run.

        One that is damaged changes its content; one that was not to be had is opened.
        """
        if cause not in (Reason.ACCESS_DENIED, Reason.NOT_REACHABLE, Reason.NOT_THERE):
            return "again"
        listed = self._listed(product) or {}
        return (
            "now"
            if listed and all(self._of(asset) in ("reachable", "changed") for asset in listed.values())
            else "again"
        )

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
