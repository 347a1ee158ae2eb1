"""Orders: which products of a source a request takes, grouped into acquisitions, and why not the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from shapely import GEOSException, make_valid

from catalog.area import Area
from catalog.baseline import baseline_number
from catalog.errors import NoProductError, Reason
from catalog.given_offsets import with_offsets
from catalog.guards.geometry import parse_shape
from catalog.products import UNKNOWN, Acquisition, LeftOut, Level, Order, Product, season_period
from catalog.sources.protocol import SearchResult, Source

SAME_GRANULE = timedelta(minutes=1)
"""Products of one tile whose datatake is unknown are versions of one another when sensed this close together."""

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
) -> Order:
    """Search a source for a season and decide what to take.

    ``max_cloud``: products whose tile-wide cloud cover (%) is greater are left out; one that doesn't say is taken. Of
    products that differ in their processing only, the newest baseline is taken, then the newest generation time, then the
    last id. ``offsets``: the request's own, by acquisition or product, units of 1e-4 reflectance.
    Raises `NoProductError` when nothing is left, with what was searched and what was found, and `RequestError` where offsets are
    given for what isn't ordered.
    """
    start, end = season_period(year, months)
    result = source.search(area, (start, end), level)
    left_out = list(result.left_out)
    meeting = _keep(result.products, left_out, lambda product: _misses(product, area))
    # Versions are compared before clouds: the newest one's cloud cover is the one to believe.
    newest = _newest(meeting, left_out)
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
        left_out=tuple(sorted(left_out, key=lambda entry: (entry.product, entry.reason))),
    )


def group_acquisitions(products: Iterable[Product]) -> list[Acquisition]:
    """Products of one datatake make one acquisition. Sorted by time; the same for every order of the products."""
    known, unknown = _by_datatake_known(products)
    groups = _grouped(known, lambda product: (product.platform, _datatake_start(product)))
    for same in _grouped(unknown, lambda product: (product.platform, product.relative_orbit)):
        groups += _runs(same, SAME_DATATAKE)
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
        shared = make_valid(parse_shape(product.footprint, ValueError)).intersection(area).area
    except (GEOSException, ValueError) as error:
        reason = f"not understood: its footprint is not a GeoJSON polygon ({error})"
        return LeftOut(product=product.id, reason=reason, kind=Reason.NOT_UNDERSTOOD)
    if shared > 0:
        return None
    return LeftOut(product=product.id, reason="outside: its footprint covers nothing of the area", kind=Reason.OUTSIDE)


def _cloudy(product: Product, max_cloud: float) -> LeftOut | None:
    if product.cloud_cover is None or product.cloud_cover <= max_cloud:
        return None
    reason = f"too cloudy: {product.cloud_cover:.1f} % of the tile, over max_cloud {max_cloud:g}"
    return LeftOut(product=product.id, reason=reason, kind=Reason.TOO_CLOUDY)


def _newest(products: list[Product], left_out: list[LeftOut]) -> list[Product]:
    """The best of each set of products that show the same pixels; the others go to ``left_out``."""
    kept = []
    for same in _duplicates(products):
        *others, best = sorted(same, key=_by_age)
        kept.append(best)
        left_out += [LeftOut(product=other.id, reason=_why_not(other, best), kind=Reason.DUPLICATE) for other in others]
    return kept


def _duplicates(products: list[Product]) -> list[list[Product]]:
    known, unknown = _by_datatake_known(products)
    sets = _grouped(known, lambda product: (product.platform, _datatake_start(product), *_granule_key(product)))
    for same in _grouped(unknown, lambda product: (product.platform, *_granule_key(product))):
        sets += _runs(same, SAME_GRANULE)
    return sets


def _by_datatake_known(products: Iterable[Product]) -> tuple[list[Product], list[Product]]:
    """Divide products by whether their datatake is known, each part sorted by time."""
    known: list[Product] = []
    unknown: list[Product] = []
    for product in sorted(products, key=lambda product: (product.time, product.id)):
        (unknown if product.datatake == UNKNOWN else known).append(product)
    return known, unknown


def _granule_key(product: Product) -> tuple[str, str]:
    """Tile and datastrip: one tile and datatake can be two complementary products, split where a datastrip ends."""
    # Without a tile's name only the very same footprint tells that two products show the same pixels.
    return product.tile if product.tile != UNKNOWN else str(product.footprint), product.datastrip


def _by_age(product: Product) -> tuple[tuple[int, int], datetime, str]:
    generated = product.generation_time or datetime.min.replace(tzinfo=UTC)
    return baseline_number(product.baseline) or (-1, -1), generated, product.id


def _why_not(other: Product, best: Product) -> str:
    if _by_age(other)[0] != _by_age(best)[0]:
        difference = f"baseline {best.baseline} rather than {other.baseline}"
    elif _by_age(other)[1] != _by_age(best)[1]:
        difference = "generated later"
    else:
        difference = "the last by name"
    return f"duplicate: {best.id} is taken, {difference}"


def _acquisition(products: list[Product]) -> Acquisition:
    first = products[0]
    zeniths = [product.sun_zenith for product in products if product.sun_zenith is not None]
    clouds = [product.cloud_cover for product in products if product.cloud_cover is not None]
    start = _datatake_start(first) if first.datatake != UNKNOWN else f"{first.time:%Y%m%dT%H%M%S}"
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


def _datatake_start(product: Product) -> str:
    # Not every product says the absolute orbit; a platform has one datatake at a time.
    return product.datatake[:15]


def _grouped(products: Iterable[Product], key: Callable[[Product], Hashable]) -> list[list[Product]]:
    """Products of one key, in the order they came in; groups in the order of their first product."""
    groups: dict[Hashable, list[Product]] = {}
    for product in products:
        groups.setdefault(key(product), []).append(product)
    return list(groups.values())


def _runs(products: list[Product], span: timedelta) -> list[list[Product]]:
    """Cut a sorted list where a product lies more than ``span`` after the first of its run."""
    runs: list[list[Product]] = []
    for product in products:
        if runs and product.time - runs[-1][0].time <= span:
            runs[-1].append(product)
        else:
            runs.append([product])
    return runs


def _no_product_text(
    source: Source,
    area: Area,
    start: datetime,
    end: datetime,
    level: Level,
    result: SearchResult,
    left_out: list[LeftOut],
) -> str:
    west, south, east, north = area.bounds
    kinds = Counter(entry.kind for entry in left_out)
    first = f"{left_out[0].product}: {left_out[0].reason}" if left_out else ""
    cause = ""
    if result.count == 0 and not left_out:
        cause = "it holds no product at all. There is "
    elif left_out and set(kinds) == {Reason.NOT_UNDERSTOOD} and not result.count:
        cause = f"none of its {len(left_out)} products can be understood ({first}). There is "
    text = (
        f"source {source.address}: {cause}no {level} product to take from {start:%Y-%m-%d} to "
        f"{end - timedelta(days=1):%Y-%m-%d} in longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"
    )
    if left_out:
        commonest = ", ".join(f"{count} {kind.words}" for kind, count in kinds.most_common(3))
        text += f"; {len(left_out)} left out ({commonest}; first: {first})"
    if result.holds:
        text += f"; {result.holds}"
    return f"{text}. {_remedy(kinds, result)}"


def _remedy(kinds: Counter[Reason], result: SearchResult) -> str:
    if result.count == 0 and not kinds:
        return "Check that it is the catalogue or folder you mean: nothing in it leads to a product."
    commonest = next((kind for kind, _ in kinds.most_common(1)), Reason.UNKNOWN)
    return {
        Reason.TOO_CLOUDY: "Raise max_cloud: the requested area itself may be clear.",
        Reason.OTHER_LEVEL: "Ask for the other level.",
        Reason.NOT_UNDERSTOOD: "Repair the items that the catalogue describes them by.",
    }.get(commonest, "Ask for other months, another year or area, or another source.")
