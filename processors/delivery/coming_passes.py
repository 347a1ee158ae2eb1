"""Passes that are to come over a mapped area: what the next map may be made of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from catalog.area import Area
from catalog.errors import RequestError
from catalog.orbits.forecast import forecast
from catalog.orbits.reference_track import CYCLE_DAYS
from catalog.products import Frozen
from catalog.season_state import SeasonState

NO_PROMISE = (
    "A pass is no acquisition yet: whether it is in the mission's plan, and what clouds there will be, isn't known."
)


class ComingPass(Frozen):
    """One pass by day over part of the area."""

    time: AwareDatetime
    platform: str
    relative_orbit: str
    covered: Annotated[float, Field(description="share of the area in the swath, 0 to 1")]
    sun_elevation: Annotated[float, Field(description="degrees")]
    l2a_ready: Annotated[
        AwareDatetime | None, Field(description="when its L2A product is there, typically; none where it is lost")
    ] = None

    @property
    def words(self) -> str:
        """Pass on a few words: ``2026-12-02 10:46 S2C R008``."""
        return f"{self.time:%Y-%m-%d %H:%M} {self.platform} {self.relative_orbit}"


class ComingPasses(Frozen):
    """The passes of the next repeat cycle that lie in the season, by time."""

    start: AwareDatetime
    end: Annotated[AwareDatetime, Field(description="exclusive")]
    passes: tuple[ComingPass, ...] = ()
    basis: Annotated[tuple[str, ...], Field(description="sentences on what they are computed from, and their limits")]


def coming_passes(area: Area, season: SeasonState) -> ComingPasses | None:
    """The passes over an area (longitude, latitude) in the next ten days of a season, in which every orbit comes once.

    They start with the season where it hasn't begun. None where nothing more of it can be sensed, or no pass can be computed.
    """
    start = max(season.as_of, season.start)
    end = min(season.end, start + timedelta(days=CYCLE_DAYS))
    if start >= end:
        return None
    try:
        ahead = forecast(area, start, end)
    except RequestError:  # over the poles, where no tile is
        return None
    passes = tuple(
        ComingPass(
            time=_whole_second(seen.time),
            platform=seen.platform,
            relative_orbit=seen.relative_orbit,
            covered=seen.covered,
            sun_elevation=seen.sun_elevation,
            l2a_ready=None if line is None else _whole_second(line.l2a_ready),
        )
        for seen, line in zip(ahead.passes, ahead.timelines, strict=True)
    )
    return ComingPasses(start=start, end=end, passes=passes, basis=(*ahead.basis, NO_PROMISE))


def _whole_second(time: datetime) -> datetime:
    return time.replace(microsecond=0)
