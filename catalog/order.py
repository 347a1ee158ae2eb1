"""Orders: which products of a source a request takes, grouped into acquisitions, and why not the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from shapely import GEOSException, make_valid, prepare, transform
from shapely.geometry import box

from catalog.antimeridian import bbox, cut_geojson
from catalog.area import Area
from catalog.errors import NoProductError, Reason
from catalog.given_offsets import with_offsets
from catalog.guards.geometry import parse_shape
from catalog.products import UNKNOWN, Acquisition, LeftOut, Level, Order, Product, season_period
from catalog.sources.protocol import SearchResult, Source
from catalog.versions import by_datatake_known, datatake_start, grouped, newest_versions, runs_of

SAME_DATATAKE = timedelta(minutes=20)
"""Products of one platform and orbit whose datatake is unknown belong together when sensed this close together."""


def make_order(
    source: Source,
    area: Area,
    year: int,
    months: tuple[int, int],
    level: Level,
    max_cloud: float,
    offsets: Mapping[str, int] = MappingProxyType({}),
    until: datetime | None = None,
) -> Order:
    """Search a source for a season and decide what to take.

    ``max_cloud``: products whose tile-wide cloud cover (%) is greater are left out; one that doesn't say is taken. Of
    products that differ in their processing only, the newest baseline is taken, then the newest generation time, then the
    last id; the others are kept as its `older`, to be read where it can't be. ``offsets``: the request's own, by acquisition or
    product, units of 1e-4 reflectance. ``until``: products sensed at that time or later aren't there yet; None: all are.
    Raises `NoProductError` when nothing is left, with what was searched and what was found, and `RequestError` where offsets are
    given for what isn't ordered.
    """
    start, end = season_period(year, months)
    prepare(area)  # it may have many vertices, and is compared with many footprints
    result = source.search(area, (start, end), level)
    left_out = list(result.left_out)
    there = _keep(result.products, left_out, lambda product: _later(product, until))
    meeting = _keep(there, left_out, lambda product: _misses(product, area))
    # Versions are compared before clouds: the newest one's cloud cover is the one to believe.
    newest = newest_versions(meeting, left_out)
    products = _keep(newest, left_out, lambda product: _cloudy(product, max_cloud))
    if not products:
        raise NoProductError(_no_product_text(source, area, start, end, level, result, left_out))
    return Order(
        source=source.address,
        source_id=source.id,
        level=level,
        start=start,
        end=end,
        synthetic=any(product.synthetic for product in products),
        acquisitions=with_offsets(group_acquisitions(products), offsets),
        holds=result.holds,
        left_out=tuple(sorted(left_out, key=lambda entry: (entry.product, entry.reason))),
    )


def with_other_years(order: Order, others: Iterable[Order], offsets: Mapping[str, int]) -> Order:
    """An order with what orders for other years take of the same source and level; all were made without ``offsets``, which apply here."""
    others = list(others)
    own = {acquisition.id for acquisition in order.acquisitions}
    added = {made.id: made for other in others for made in other.acquisitions if made.id not in own}
    acquisitions = with_offsets((*order.acquisitions, *added.values()), offsets)
    left_out = {(left.product, left.reason): left for made in (order, *others) for left in made.left_out}
    return order.model_copy(
        update={
            "acquisitions": tuple(sorted(acquisitions, key=lambda made: (made.time, made.id))),
            "other_years": tuple(sorted(made.id for made in acquisitions[len(own) :])),
            "left_out": tuple(left_out[key] for key in sorted(left_out)),
        }
    )


def group_acquisitions(products: Iterable[Product]) -> list[Acquisition]:
    """Products of one datatake make one acquisition. Sorted by time; the same for every order of the products."""
    known, unknown = by_datatake_known(products)
    groups = grouped(known, lambda product: (product.platform, datatake_start(product)))
    for same in grouped(unknown, lambda product: (product.platform, product.relative_orbit)):
        groups += runs_of(same, SAME_DATATAKE)
    return sorted((_acquisition(group) for group in groups), key=lambda made: (made.time, made.id))


def _keep(
    products: Iterable[Product], left_out: list[LeftOut], judge: Callable[[Product], LeftOut | None]
) -> list[Product]:
    kept = []
    for product in products:
        against = judge(product)
        if against is None:
            kept.append(product)
        else:
            left_out.append(against)
    return kept


def _misses(product: Product, area: Area) -> LeftOut | None:
    try:
        footprint = make_valid(parse_shape(cut_geojson(product.footprint), ValueError))
        if not area.intersects(footprint):
            shared = 0.0
        elif area.covered_by(footprint):
            shared = area.area
        else:
            shared = footprint.intersection(area).area
    except (GEOSException, ValueError) as error:
        reason = f"not understood: its footprint is not a GeoJSON polygon ({error})"
        return LeftOut(product=product.id, reason=reason, kind=Reason.NOT_UNDERSTOOD)
    if shared > 0:
        return None
    return LeftOut(product=product.id, reason="outside: its footprint covers nothing of the area", kind=Reason.OUTSIDE)


def _later(product: Product, until: datetime | None) -> LeftOut | None:
    if until is None or product.time < until:
        return None
    reason = f"not there yet: sensed on {product.time:%Y-%m-%d}, and now is taken to be {until:%Y-%m-%d %H:%M} UTC"
    return LeftOut(product=product.id, reason=reason, kind=Reason.NOT_THERE_YET)


def _cloudy(product: Product, max_cloud: float) -> LeftOut | None:
    if product.cloud_cover is None or product.cloud_cover <= max_cloud:
        return None
    reason = f"too cloudy: {product.cloud_cover:.1f} % of the tile, over max_cloud {max_cloud:g}"
    return LeftOut(product=product.id, reason=reason, kind=Reason.TOO_CLOUDY)


def _acquisition(products: list[Product]) -> Acquisition:
    first = products[0]
    zeniths = [product.sun_zenith for product in products if product.sun_zenith is not None]
    clouds = [product.cloud_cover for product in products if product.cloud_cover is not None]
    start = datatake_start(first) if first.datatake != UNKNOWN else f"{first.time:%Y%m%dT%H%M%S}"
    orbit = first.relative_orbit
    parts = ["S2" if first.platform == UNKNOWN else first.platform, start, "" if orbit == UNKNOWN else orbit]
    return Acquisition(
        id="_".join(part for part in parts if part),
        time=first.time,
        platform=first.platform,
        relative_orbit=orbit,
        baseline="+".join(sorted({product.baseline for product in products})),
        sun_zenith=sum(zeniths) / len(zeniths) if zeniths else None,
        sun_azimuth=_mean_direction([product.sun_azimuth for product in products if product.sun_azimuth is not None]),
        cloud_cover=sum(clouds) / len(clouds) if clouds else None,
        products=tuple(products),
    )


def _mean_direction(degrees: list[float]) -> float | None:
    """Mean of directions, 0 to 360: between 350 and 10 lies 0."""
    if not degrees:
        return None
    east = sum(math.sin(math.radians(angle)) for angle in degrees)
    north = sum(math.cos(math.radians(angle)) for angle in degrees)
    return math.degrees(math.atan2(east, north)) % 360


def _no_product_text(
    source: Source,
    area: Area,
    start: datetime,
    end: datetime,
    level: Level,
    result: SearchResult,
    left_out: list[LeftOut],
) -> str:
    west, south, east, north = bbox(area)
    kinds = Counter(entry.kind for entry in left_out)
    first = f"{left_out[0].product}: {left_out[0].reason}" if left_out else ""
    cause = ""
    if result.count == 0 and not left_out:
        cause = "it holds no product at all. There is "
    elif left_out and set(kinds) == {Reason.NOT_UNDERSTOOD} and not result.count:
        cause = f"none of its {len(left_out)} products can be understood ({first}). There is "
    elsewhere = _elsewhere(area, result)
    if elsewhere:
        cause = f"the area lies outside of what it holds, {elsewhere}. There is "
    text = (
        f"source {source.address}: {cause}no {level} product to take from {start:%Y-%m-%d} to "
        f"{end - timedelta(days=1):%Y-%m-%d} in longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"
    )
    if left_out:
        commonest = ", ".join(f"{count} {kind.words}" for kind, count in kinds.most_common(3))
        text += f"; {len(left_out)} left out ({commonest}; first: {first})"
    if result.holds:
        text += f"; {result.holds}"
    return f"{text}. {_remedy(kinds, result, area)}"


def _elsewhere(area: Area, result: SearchResult) -> str:
    """Where a source lies, if the area lies elsewhere."""
    if result.extent is None or box(*result.extent).intersects(area):
        return ""
    west, south, east, north = result.extent
    return f"longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"


def _remedy(kinds: Counter[Reason], result: SearchResult, area: Area) -> str:
    if result.extent is not None and _elsewhere(area, result):
        swapped = transform(area, lambda coordinates: coordinates[:, ::-1])
        if box(*result.extent).intersects(swapped):
            return "With longitude and latitude swapped it would lie there: longitude comes first."
        return "Ask for an area that lies there, or give another source."
    if result.count == 0 and not kinds:
        return "Check that it is the catalogue or folder you mean: nothing in it leads to a product."
    commonest = next((kind for kind, _ in kinds.most_common(1)), Reason.UNKNOWN)
    return {
        Reason.TOO_CLOUDY: "Raise max_cloud: the requested area itself may be clear.",
        Reason.OTHER_LEVEL: "Ask for the other level.",
        Reason.NOT_UNDERSTOOD: "Repair the items that the catalogue describes them by.",
    }.get(commonest, "Ask for other months, another year or area, or another source.")
