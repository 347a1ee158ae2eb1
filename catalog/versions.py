"""Versions of a product: products that show the same pixels and differ in their processing, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime, timedelta

from shapely import GEOSException, make_valid
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.baseline import baseline_number
from catalog.errors import Reason
from catalog.products import UNKNOWN, LeftOut, Product

SAME_GRANULE = timedelta(minutes=1)
"""Products of one tile whose datatake is unknown are versions of one another when sensed this close together."""

SHARED = 0.5
"""Least part of the smaller footprint that versions of a product share: complementary halves of a tile share a few rows."""


def newest_versions(products: Iterable[Product], left_out: list[LeftOut]) -> list[Product]:
    """The newest of each set of versions, which carries the others as its `older`; these go to ``left_out`` too.

    Newest is the newest baseline, then the newest generation time, then the last id.
    """
    kept = []
    for same in _sets_of_versions(products):
        best, *others = sorted(same, key=_by_age, reverse=True)
        kept.append(best.model_copy(update={"older": tuple(others)}) if others else best)
        left_out += [LeftOut(product=other.id, reason=_why_not(other, best), kind=Reason.DUPLICATE) for other in others]
    return kept


def versions_of(product: Product) -> tuple[Product, ...]:
    """A product and its older versions, in the order in which they are tried."""
    return (product, *product.older)


def shows_same_pixels(first: Product, second: Product) -> bool:
    """True where two products of one datatake are of one tile and datastrip, and their footprints don't just touch."""
    return _granule_key(first) == _granule_key(second) and _overlap(first, second)


def by_datatake_known(products: Iterable[Product]) -> tuple[list[Product], list[Product]]:
    """Divide products by whether their datatake is known, each part sorted by time."""
    known: list[Product] = []
    unknown: list[Product] = []
    for product in sorted(products, key=lambda product: (product.time, product.id)):
        (unknown if product.datatake == UNKNOWN else known).append(product)
    return known, unknown


def datatake_start(product: Product) -> str:
    # Not every product says the absolute orbit; a platform has one datatake at a time.
    return product.datatake[:15]


def grouped(products: Iterable[Product], key: Callable[[Product], Hashable]) -> list[list[Product]]:
    """Products of one key, in the order they came in; groups in the order of their first product."""
    groups: dict[Hashable, list[Product]] = {}
    for product in products:
        groups.setdefault(key(product), []).append(product)
    return list(groups.values())


def runs_of(products: list[Product], span: timedelta) -> list[list[Product]]:
    """Cut a sorted list where a product lies more than ``span`` after the first of its run."""
    runs: list[list[Product]] = []
    for product in products:
        if runs and product.time - runs[-1][0].time <= span:
            runs[-1].append(product)
        else:
            runs.append([product])
    return runs


def _sets_of_versions(products: Iterable[Product]) -> list[list[Product]]:
    known, unknown = by_datatake_known(products)
    sets = grouped(known, lambda product: (product.platform, datatake_start(product), *_granule_key(product)))
    for same in grouped(unknown, lambda product: (product.platform, *_granule_key(product))):
        sets += runs_of(same, SAME_GRANULE)
    return [part for same in sets for part in _parts(same)]


def _parts(same: list[Product]) -> list[list[Product]]:
    """Divide products that are called the same by whether their footprints overlap: some tiles come in complementary products."""
    parts: list[list[Product]] = []
    for product in sorted(same, key=_by_age, reverse=True):
        part = next((part for part in parts if _overlap(part[0], product)), None)
        if part is None:
            parts.append([product])
        else:
            part.append(product)
    return parts


def _overlap(first: Product, second: Product) -> bool:
    if first.footprint == second.footprint:
        return True
    try:
        one, other = _area(first), _area(second)
        return bool(one.intersection(other).area >= SHARED * min(one.area, other.area))
    except (GEOSException, ValueError, TypeError, AttributeError, KeyError):
        return True  # where a footprint can't be understood, the names have to do


def _area(product: Product) -> BaseGeometry:
    return make_valid(shape(product.footprint))


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
