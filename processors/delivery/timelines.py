"""Timelines of a delivery's acquisitions, from the instrument to the map."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from catalog.orbits.timeline import Timeline
from catalog.products import Order
from processors.season import Season


def timelines_of(
    order: Order, season: Season, reached: Mapping[str, datetime], delivered: datetime
) -> dict[str, Timeline]:
    """Timelines of the acquisitions used, by name, where their source knows how they came to the ground.

    ``reached``: when the stages ``order`` and ``mosaic`` ended, and when each acquisition was in the cube. Of an acquisition's
    products the last one counts.
    """
    used = {acquisition.id for acquisition in season.own}
    found = {}
    for acquisition in order.acquisitions:
        received = [product.reception for product in acquisition.products if product.reception is not None]
        if acquisition.id not in used or not received:
            continue
        last = max(received, key=lambda reception: reception.l2a_ready)
        found[acquisition.id] = Timeline(sensed=acquisition.time, **dict(last)).reached(
            ordered=reached["order"],
            ingested=reached[acquisition.id],
            mapped=reached["mosaic"],
            delivered=delivered,
        )
    return found
