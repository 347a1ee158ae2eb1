"""Timeline of an acquisition from the instrument to the user's map."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self

import numpy as np
from pydantic import AwareDatetime, model_validator

from catalog.orbits.clock import DAY, seconds_of, time_of
from catalog.orbits.downlink import (
    Contact,
    contacts_between,
    fill_and_send,
    mean_recording_rate,
    recordings_between,
)
from catalog.orbits.orbit import Flight
from catalog.orbits.swath import Pass
from catalog.products import Reception

L1C_PROCESSING = timedelta(hours=1.5)
"""Time from reception to the L1C product. Thales Alenia Space, who built the ground segment (2017): about an hour and a half."""

L2A_PROCESSING = timedelta(hours=3)
"""Time from the L1C to the L2A product, most of it waiting: the median over four real products of 2022 and 2023, which took 1.1 to 4.3 h
longer than reception and L1C do here. One of them names both times: 45 minutes from L1C to L2A when nothing waits."""

_WARM_UP = 1.5 * DAY
"""The memory starts empty this long before the first acquisition, s; it empties several times a day."""

_AFTER = 2 * DAY
"""Time for which data are followed after the last acquisition, s."""

_STAGES = ("sensed", "downlinked", "l1c_ready", "l2a_ready")
_ORDER_STAGES = ("ordered", "ingested", "mapped", "delivered")


class Timeline(Reception):
    """The stages of one acquisition, UTC. The last four are the order's own and filled in by whoever does them."""

    sensed: AwareDatetime
    ordered: AwareDatetime | None = None
    ingested: AwareDatetime | None = None
    mapped: AwareDatetime | None = None
    delivered: AwareDatetime | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        # An order may come before an acquisition is sensed; what it does follows on both.
        for names in (_STAGES, _ORDER_STAGES, ("l1c_ready", "ingested")):
            known = [(name, value) for name in names if (value := getattr(self, name)) is not None]
            for (before, first), (after, second) in pairwise(known):
                if second < first:
                    raise ValueError(f"{after} at {second} lies before {before} at {first}")
        return self

    @property
    def reception(self) -> Reception:
        """The part that a product carries."""
        return Reception.model_validate({name: getattr(self, name) for name in Reception.model_fields})

    def reached(self, **stages: datetime) -> Timeline:
        """The same with more stages filled in. Raises `ValueError` where they are out of order."""
        return Timeline.model_validate({**dict(self), **stages})


def timelines(flights: Sequence[Flight], passes: Sequence[Pass]) -> list[Timeline | None]:
    """Timeline of each pass until its L2A product is ready; None where a full memory lost it.

    The data are sent down first in, first out, behind all that the satellite recorded before; the station hands on what it
    received when the contact ends.
    """
    results: list[Timeline | None] = [None] * len(passes)
    for flight in flights:
        indices = [
            index
            for index, one in enumerate(passes)
            if one.platform == flight.platform and flight.start <= one.time < flight.end
        ]
        if not indices:
            continue
        # The last of its tiles is what the whole acquisition waits for.
        sensed = np.array([max(seconds_of(tile.time) for tile in passes[index].tiles) for index in indices])
        first, last = float(sensed.min()) - _WARM_UP, float(sensed.max()) + _AFTER
        links = contacts_between(flight.orbit, first, last)
        recordings = recordings_between(flight.orbit, first, last)
        memory = fill_and_send(recordings, links, mean_recording_rate(recordings))
        for index, sent in zip(indices, memory.sent_at(sensed), strict=True):
            if np.isfinite(sent):
                results[index] = _timeline(passes[index], float(sent), links)
    return results


def _timeline(seen: Pass, sent: float, links: Sequence[Contact]) -> Timeline:
    contact = next(contact for contact in links if contact.end >= sent)
    downlinked = time_of(contact.end)
    l1c = downlinked + L1C_PROCESSING
    return Timeline(
        sensed=seen.time,
        downlinked=downlinked,
        station=contact.station,
        l1c_ready=l1c,
        l2a_ready=l1c + L2A_PROCESSING,
    )
