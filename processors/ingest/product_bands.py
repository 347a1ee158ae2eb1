"""The open bands of an acquisition's products, and what of them can't be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds
from shapely import make_valid
from shapely.geometry import shape

from catalog.antimeridian import rectangle
from catalog.errors import ProductError, Reason
from catalog.products import LEVEL_BANDS, MASK_ASSETS, Asset, LeftOut, Level, Product
from processors.ingest.offset import CHECKED_BANDS
from processors.ingest.opening import AssetOpener, MissingAssetError
from processors.ingest.reading import BandReader

FOOTPRINT_MARGIN = 0.01
"""Degrees by which a footprint may fall short of the pixels: catalogues simplify them."""


@dataclass(slots=True)
class Readers:
    """The open bands of the products that are usable, and what isn't, by product id."""

    bands: dict[str, dict[str, BandReader]] = field(default_factory=dict)
    missing: dict[str, dict[str, LeftOut]] = field(default_factory=dict)
    """Missing bands by product id and band."""


def open_products(
    opener: AssetOpener,
    products: Mapping[str, Product],
    assets: Mapping[str, Mapping[str, Asset]],
    level: Level,
    dropped: dict[str, LeftOut],
) -> Readers:
    """Open all bands of all products; those products that can't be used go to ``dropped``."""
    readers = Readers()
    masks = MASK_ASSETS[level]
    wanted = (*LEVEL_BANDS[level], *masks)
    for name, listed in assets.items():
        bands: dict[str, BandReader] = {}
        missing: dict[str, LeftOut] = {}
        try:
            for band in wanted:
                if band not in listed:  # archives hold what they hold; `bands_present` says it
                    continue
                try:
                    bands[band] = BandReader(
                        opener.open(listed[band]), listed[band], categories=band in masks, counted=band in CHECKED_BANDS
                    )
                except MissingAssetError as error:
                    missing[band] = LeftOut.because(f"{name} {band}", error)
            _check_position(products[name], bands)
        except ProductError as error:
            dropped[name] = LeftOut.because(name, error)
            continue
        if not set(bands) - set(masks):
            dropped[name] = _without(name, "none of its bands can be read", next(iter(missing.values()), None))
        elif level == "L2A" and "SCL" not in bands:
            what = "no scene classification (SCL), without which clouds can't be told"
            dropped[name] = _without(name, what, missing.get("SCL"))
        else:
            readers.bands[name], readers.missing[name] = bands, missing
    return readers


def _without(product: str, what: str, missing: LeftOut | None) -> LeftOut:
    """A product that lacks what it is useless without: for the reason that a band is missing, where one is listed."""
    if missing is None:
        return LeftOut(product=product, reason=f"{what}: none is listed", kind=Reason.LACKS_BANDS)
    return LeftOut(product=product, reason=f"{what}: {missing.reason}", kind=missing.kind)


def _check_position(product: Product, bands: Mapping[str, BandReader]) -> None:
    """Raise `ProductError` where a band isn't as large as the others, or lies elsewhere than they or the product do."""
    systems = Counter(reader.dataset.crs.to_wkt() for reader in bands.values())
    for band, reader in bands.items():
        if reader.dataset.crs.to_wkt() != systems.most_common(1)[0][0]:
            raise ProductError(
                f"{product.id}: {band}, {reader.asset.href}, is in {reader.dataset.crs.to_string()}, its other bands aren't. "
                "It belongs to another tile: download it again.",
                Reason.MISPLACED,
            )
    # Sizes of 10, 20 and 60 m needn't divide one another: edges agree to within the coarsest pixel.
    coarsest = max((abs(reader.dataset.transform.a) for reader in bands.values()), default=0.0)
    edges = [tuple(reader.dataset.bounds) for reader in bands.values()]
    for (band, reader), mine in zip(bands.items(), edges, strict=True):
        alike = sum(all(abs(a - b) <= coarsest for a, b in zip(mine, other, strict=True)) for other in edges)
        if alike * 2 < len(edges):
            raise ProductError(
                f"{product.id}: {band}, {reader.asset.href}, has {reader.dataset.width} x {reader.dataset.height} pixels over "
                f"{_listed(mine)}, which isn't where its other bands lie. Download it again.",
                Reason.MISPLACED,
            )
    for band, reader in list(bands.items())[:1]:
        try:
            outline = rectangle(
                *transform_bounds(reader.dataset.crs, "EPSG:4326", *reader.dataset.bounds, densify_pts=21)
            )
        except RasterioError:
            continue  # nowhere on Earth's surface that longitudes can say; the footprint decides what is read
        if not make_valid(shape(product.footprint)).buffer(FOOTPRINT_MARGIN).intersects(outline):
            raise ProductError(
                f"{product.id}: {band}, {reader.asset.href}, lies at {_listed(outline.bounds)} (longitude and latitude), outside the "
                "product's footprint. It belongs to another tile: download it again, or correct the catalogue.",
                Reason.MISPLACED,
            )


def _listed(bounds: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.10g}" for number in bounds)
