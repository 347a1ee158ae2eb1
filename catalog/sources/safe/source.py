"""SAFE products in a folder or a bucket: folders, zip archives of them, and tiles as AWS lays them out, in any mix.

Names tell level and time; only the metadata of products that these leave over are opened.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from shapely import GEOSException
from shapely.geometry import box, shape

from catalog.area import Area, around
from catalog.errors import AccessError, ProductError, Reason, RequestError
from catalog.grid import to_lonlat
from catalog.guards.paths import user_path
from catalog.products import UNKNOWN, Asset, LeftOut, Level, Product
from catalog.sources.address import source_id
from catalog.sources.protocol import SearchResult
from catalog.sources.safe.aws_tile import is_tile, read_tile
from catalog.sources.safe.finder import Candidate, find_products, is_product
from catalog.sources.safe.product import SafeProduct, granules, read_product
from catalog.sources.safe.sizes import check_sizes
from catalog.storage.archives import open_files
from catalog.storage.credentials import Credentials
from catalog.storage.file_trees import Files, join, name_of, parent

THREADS = 8
"""Listings and documents read side by side: of a bucket, nearly all of their time is waiting."""


class SafeSource:
    """A folder or bucket of SAFE products, or a single one."""

    usage = "safe:PATH or safe:s3://BUCKET/PREFIX of a folder of SAFE products"

    def __init__(self, address: str, credentials: Credentials) -> None:
        """``address``: a path or s3://bucket/prefix. Raises `RequestError`."""
        if not address.strip():
            raise RequestError("source: 'safe:' needs the path of a folder of products, e.g. safe:archive.")
        self._only = ""
        if is_product(address):
            address, self._only = _apart(address)
        self._files = open_files(address, credentials)
        self.address = f"safe:{join(self._files.address, self._only)}"
        self.id = source_id("safe", self._only or name_of(self._files.address), self.address)
        self._read: dict[str, SafeProduct] = {}

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """See `Source`."""
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(find_products(self._files, self._only, pool.map))
            likely = [one for one in found if _may_lie_in(one, period)]
            of_level = [one for one in likely if one.name is None or one.name.level == level]
            # One product of a tile tells where the tile lies; the others aren't opened where that is elsewhere.
            firsts = {one.tile: one for one in reversed(of_level)}
            read = dict(zip(firsts.values(), pool.map(self._granules, firsts.values()), strict=True))
            elsewhere = {one.tile for one, results in read.items() if self._lies_elsewhere(one, results, area)}
            others = [one for one in of_level if one not in read and one.tile not in elsewhere]
            read |= dict(zip(others, pool.map(self._granules, others), strict=True))
        products: list[Product] = []
        left_out: list[LeftOut] = []
        skipped = Counter(
            {
                "of other times": len(found) - len(likely),
                "of the other level": len(likely) - len(of_level),
                "elsewhere": sum(one not in read for one in of_level),
            }
        )
        for result in (result for one in of_level for result in read.get(one, ())):
            if isinstance(result, LeftOut):
                left_out.append(result)
                continue
            try:
                if not (period[0] <= result.time < period[1]):
                    skipped["of other times"] += 1
                    continue
                if not shape(result.footprint).intersects(area):
                    skipped["elsewhere"] += 1
                    continue
            except GEOSException as error:
                left_out.append(
                    LeftOut(
                        product=result.id,
                        reason=f"not understood: its footprint is no polygon ({error})",
                        kind=Reason.NOT_UNDERSTOOD,
                    )
                )
                continue
            if result.level == level:
                products.append(result)
            else:
                left_out.append(LeftOut.of_other_level(result.id, result.level))
        if not products:
            # Said only then: half of many archives is the other level.
            left_out += [
                LeftOut.of_other_level(one.name.name, one.name.level)
                for one in likely
                if one.name is not None and one.name.level != level
            ]
        # What neither its name nor its content shows to be a product is only left out.
        known = [
            one for one in found if one.name or one.is_tile or any(isinstance(it, Product) for it in read.get(one, ()))
        ]
        holds = f"the source holds {_in_words(known, skipped)}"
        there = [one for results in read.values() for one in results if isinstance(one, Product)]
        extent = around(shape(product.footprint).bounds for product in there if period[0] <= product.time < period[1])
        return SearchResult(tuple(products), tuple(left_out), holds, len(known), extent)

    def assets(self, product: Product) -> dict[str, Asset]:
        """See `Source`. The first bytes of each file are read, to see that it has the size it should have."""
        safe = self._read.get(product.href)
        if safe is None:
            path = product.href.removeprefix(self._files.address).lstrip("/")
            safe = read_any(self._files, path)
        check_sizes(safe)
        return dict(safe.assets)

    def sizes(self, product: Product) -> dict[str, int | None]:
        """See `Sized`. Folders are listed, no file is opened."""
        safe = self._read.get(product.href)
        if safe is None:
            return {}
        folders = {parent(path) for path in safe.paths.values()}
        listed = {join(folder, entry.name): entry.size for folder in folders for entry in safe.files.list(folder)}
        return {name: listed.get(path) for name, path in safe.paths.items()}

    def _lies_elsewhere(self, candidate: Candidate, results: list[Product | LeftOut], area: Area) -> bool:
        """True where the tile that a product is of doesn't touch the area."""
        if candidate.tile == UNKNOWN or not results or isinstance(results[0], LeftOut):
            return False
        tile = self._read[results[0].href].tile
        # Edges that are straight in the zone are bent in longitude and latitude.
        return not to_lonlat(box(*tile.bounds), tile.epsg).buffer(0.1).intersects(area)

    def _granules(self, candidate: Candidate) -> list[Product | LeftOut]:
        """All granules of a product, or why not."""
        results: list[Product | LeftOut] = []
        if candidate.form == "loose files":
            reason = "not understood: JP2 files without the metadata of a product beside them"
            where = join(self._files.address, candidate.path)
            return [LeftOut(product=where, reason=reason, kind=Reason.NOT_UNDERSTOOD)]
        try:
            # The names that carry a tile are of products with one granule.
            one = candidate.is_tile or candidate.tile != UNKNOWN
            paths = [candidate.path] if one else granules(self._files, candidate.path)
        except ProductError as error:
            return [
                LeftOut(
                    product=_shown(candidate, candidate.path),
                    reason=f"not understood: {error}",
                    kind=Reason.NOT_UNDERSTOOD,
                )
            ]
        for path in paths:
            try:
                safe = read_tile(self._files, path) if candidate.is_tile else read_product(self._files, path)
            except AccessError as error:  # a bucket may refuse one product and give the others
                results.append(
                    LeftOut(
                        product=_shown(candidate, path), reason=f"access denied: {error}", kind=Reason.ACCESS_DENIED
                    )
                )
                continue
            except ProductError as error:
                results.append(
                    LeftOut(
                        product=_shown(candidate, path), reason=f"not understood: {error}", kind=Reason.NOT_UNDERSTOOD
                    )
                )
                continue
            self._read[safe.product.href] = safe
            results.append(safe.product)
        return results


def read_any(files: Files, path: str) -> SafeProduct:
    """One product or granule of SAFE, or one tile of AWS. Raises as `read_product`."""
    try:
        if ".zip" not in path.lower() and is_tile(files.list(path)):
            return read_tile(files, path)
    except FileNotFoundError as error:
        raise ProductError(f"{join(files.address, path)}: there is no such folder.") from error
    return read_product(files, path)


def _may_lie_in(candidate: Candidate, period: tuple[datetime, datetime]) -> bool:
    return candidate.span is None or (candidate.span[0] < period[1] and candidate.span[1] >= period[0])


def _apart(address: str) -> tuple[str, str]:
    """Folder and name of a single product. Raises `RequestError` where it isn't there."""
    if "://" in address:
        return parent(address.rstrip("/")), name_of(address.rstrip("/"))
    path = user_path(address, lambda why: RequestError(f"source: safe: {why}. Give the path of a product."))
    if not path.exists():
        raise RequestError(f"source: there is no {path}. Relative paths start in {Path.cwd()}.")
    return str(path.parent), path.name


def _shown(candidate: Candidate, path: str) -> str:
    return (
        candidate.name.name
        if candidate.name and path == candidate.path
        else name_of(path) or "the folder itself"
        if not candidate.is_tile
        else path
    )


def _in_words(candidates: list[Candidate], skipped: Counter[str]) -> str:
    """What there is, and how much of it wasn't asked for: granules, where those were read."""
    if not candidates:
        return "no product"
    spans = [one.span for one in candidates if one.span is not None]
    when = f" from {min(spans)[0]:%Y-%m-%d} to {max(spans)[0]:%Y-%m-%d}" if spans else ""
    others = ", ".join(f"{count} {why}" for why, count in skipped.items() if count)
    return f"{len(candidates)} product{'s' if len(candidates) > 1 else ''}{when}{f' ({others})' if others else ''}"
