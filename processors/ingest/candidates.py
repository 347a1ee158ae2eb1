"""The products that an acquisition is read from: of each the newest version that can be read, and why not the newer ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog.errors import AccessError, ProductError, Reason, SourceError
from catalog.products import BANDS, Asset, LeftOut, Level, Product
from catalog.sources.protocol import Downloading, Source
from catalog.versions import versions_of
from processors.cube.cell_acquisition import CellAcquisition
from processors.engine.limits import reading, uninterruptible
from processors.ingest.opening import AssetOpener
from processors.ingest.product_bands import Readers, open_products


class Candidates:
    """The products of an acquisition and their versions, open as far as they are read from."""

    def __init__(
        self,
        source: Source,
        targets: Sequence[CellAcquisition],
        level: Level,
        scratch: Path,
        opener: AssetOpener,
        over: Mapping[str, LeftOut],
    ) -> None:
        """``over``: products that are known to be over the limits; they are not tried."""
        self._source, self._targets, self._level, self._scratch, self._opener = source, targets, level, scratch, opener
        self._newest = {product.id: product for target in targets for product in target.products}
        self.readers = Readers()
        self.assets: dict[str, dict[str, Asset]] = {}
        self.products = {
            version.id: version for newest in self._newest.values() for version in versions_of(newest)
        }  # fmt: skip
        self.dropped = {name: left for name, left in over.items() if name in self.products}
        """Products that can't be read, newer and older versions alike."""
        self._taken = {name: self._choose(self._newest[name]) for name in sorted(self._newest)}

    def give_up(self, left_out: LeftOut) -> None:
        """Drop a product that failed while it was read; an older version takes its place where one can be read."""
        self.dropped[left_out.product] = left_out
        del self.readers.bands[left_out.product]
        for name, taken in self._taken.items():
            if taken == left_out.product:
                self._taken[name] = self._choose(self._newest[name])

    def left_out(self) -> dict[str, LeftOut]:
        """What is not read, by product: newest versions of which an older one is taken are of a kind of their own."""
        left = dict(self.dropped)
        for name, taken in self._taken.items():
            if taken is None:
                continue
            for version in versions_of(self._newest[name]):
                if version.id == taken:
                    break
                why, instead = left[version.id], self.products[taken]
                left[version.id] = LeftOut(
                    product=version.id,
                    reason=f"{why.reason.rstrip('.')}. Its older version {taken}, baseline {instead.baseline}, is taken.",
                    kind=Reason.OLDER_TAKEN,
                    cause=why.cause or why.kind,
                )
        return left

    def _choose(self, newest: Product) -> str | None:
        """The version to read: the newest that opens with all its bands, else the one that lacks the fewest."""
        opened: dict[str, int] = {}
        for version in versions_of(newest):
            if version.id in self.dropped:
                continue
            with reading(version.id):
                usable = self._open(version)
            if usable:
                opened[version.id] = len(self.readers.missing[version.id])
                if not opened[version.id]:
                    break
        if not opened:
            return None
        taken = min(opened, key=lambda name: opened[name])
        for name in opened.keys() - {taken}:
            del self.readers.bands[name]
            missing = self.readers.missing.pop(name)
            # Of older ones nothing needs to be said: a newer one is as good.
            if list(opened).index(name) < list(opened).index(taken):
                first = next(iter(missing.values()))
                self.dropped[name] = LeftOut(product=name, reason=first.reason, kind=first.kind)
        return taken

    def _open(self, version: Product) -> bool:
        """Open a version, unless it is; whether it can be read from."""
        name = version.id
        if name in self.readers.bands:
            return True
        try:
            self.assets[name] = self._assets_of(version)
        except ProductError as error:
            self.dropped[name] = LeftOut.because(name, error)
        except AccessError as error:  # it may refuse or fail to give one product and give the others
            self.dropped[name] = LeftOut(
                product=name, reason=f"access denied: {error}", kind=Reason.ACCESS_DENIED
            )  # fmt: skip
        except SourceError as error:
            self.dropped[name] = LeftOut(
                product=name, reason=f"not reachable now: {error}", kind=Reason.NOT_REACHABLE
            )  # fmt: skip
        else:
            opened = open_products(
                self._opener, self.products, {name: self.assets[name]}, self._level, self.dropped
            )  # fmt: skip
            self.readers.bands |= opened.bands
            self.readers.missing |= opened.missing
        return name in self.readers.bands

    def _assets_of(self, product: Product) -> dict[str, Asset]:
        if isinstance(self._source, Downloading):
            if not product.synthetic:  # what is simulated is made here
                self._opener.wait_for_turn()
            windows = [target.cube.window for target in self._targets if product in all_versions(target)]
            assets = self._source.download(product, windows, self._scratch / product.id)
        else:
            with uninterruptible():
                assets = self._source.assets(product)
        if product.offset is None:
            return assets
        given = {"offset": product.offset, "offset_from": f"the request: {product.offset}"}
        return {name: asset.model_copy(update=given) if name in BANDS else asset for name, asset in assets.items()}


def all_versions(target: CellAcquisition) -> tuple[Product, ...]:
    """The products of an acquisition in a cell, each followed by its older versions."""
    return tuple(version for product in target.products for version in versions_of(product))
