"""Selection of the items that meet an area, a period and a level, and the reasons for what else looked like one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shapely import prepare
from shapely.geometry import shape

from catalog.area import Area, around
from catalog.errors import ProductError, Reason
from catalog.products import LeftOut, Level, Product
from catalog.sources.protocol import SearchResult
from catalog.sources.reach import Reach
from catalog.sources.stac.content import with_content
from catalog.sources.stac.item import item_footprint, item_product, item_time

Document = dict[str, Any]

Candidate = tuple[str, Document | ProductError, bool]
"""An item's address, the item or why it can't be read, and whether its catalogue says that it is synthetic."""


def select_items(
    candidates: Iterable[Candidate],
    area: Area,
    period: tuple[datetime, datetime],
    level: Level,
    *,
    complete: bool,
    reach: Reach | None = None,
) -> SearchResult:
    """Sort out what meets area, period and level.

    ``complete``: ``candidates`` is all that the source holds. ``reach``: of the catalogue; by default each item is one by itself.
    """
    products: list[Product] = []
    left_out: list[LeftOut] = []
    times: list[datetime] = []
    of_other_times = elsewhere = 0
    bounds: list[tuple[float, ...]] = []
    prepare(area)
    for href, item, synthetic in candidates:
        try:
            if isinstance(item, ProductError):
                raise item
            times.append(item_time(item))
            if not (period[0] <= times[-1] < period[1]):
                of_other_times += 1
                continue
            footprint = shape(item_footprint(item))
            bounds.append(footprint.bounds)
            if not area.intersects(footprint):
                elsewhere += 1
                continue
            product = with_content(item_product(item, href, synthetic=synthetic), item, href, reach)
        except ProductError as error:
            # What an item lacks makes it one that isn't understood; why a document may not be read is a kind of its own.
            kind = error.kind if isinstance(item, ProductError) else Reason.NOT_UNDERSTOOD
            named = href if isinstance(item, ProductError) else str(item.get("id", href))
            left_out.append(LeftOut(product=named, reason=f"{kind.words}: {error}", kind=kind))
            continue
        if product.level == level:
            products.append(product)
        else:
            left_out.append(LeftOut.of_other_level(product.id, product.level))
    holds = f"{len(times)} items from {min(times):%Y-%m-%d} to {max(times):%Y-%m-%d}" if times else "no item"
    if of_other_times or elsewhere:
        holds += f" ({of_other_times} of other times, {elsewhere} elsewhere)"
    count = len(times) if complete else None
    return SearchResult(
        tuple(products),
        tuple(left_out),
        f"the source holds {holds}" if complete else "",
        count,
        around(bounds) if complete else None,
    )
