"""State of a season at a time: which of its months are still open, and whether a map of it is final."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from catalog.products import Frozen, season_months, season_period

LATE = timedelta(days=7)
"""Time after a month's end for which its products are waited for. The mission delivers within a day (most within six hours); an outage
on the ground is made up for within days."""


class SeasonState(Frozen):
    """Season as it stands at a time. A map of it is *preliminary* while a month is open, and *final* after."""

    as_of: AwareDatetime
    start: Annotated[AwareDatetime, Field(description="first instant of the season")]
    end: Annotated[AwareDatetime, Field(description="first instant after it")]
    open_months: Annotated[
        tuple[tuple[int, int], ...],
        Field(description="(year, month) of those that aren't over, or whose late products may still come; by time"),
    ] = ()

    @classmethod
    def of(cls, year: int, months: tuple[int, int], as_of: datetime) -> SeasonState:
        """The state of a season, named as in a request, at a time."""
        start, end = season_period(year, months)
        still = tuple(month for month in season_months(year, months) if as_of < _end(*month) + LATE)
        return cls(as_of=as_of, start=start, end=end, open_months=still)

    @property
    def final(self) -> bool:
        """True where nothing of the season is to come."""
        return not self.open_months

    @property
    def status(self) -> Literal["preliminary", "final"]:
        return "final" if self.final else "preliminary"

    @property
    def begun(self) -> bool:
        return self.start <= self.as_of

    @property
    def complete_from(self) -> datetime:
        """First instant at which the season is complete."""
        return self.end + LATE


def months_listed(months: Sequence[tuple[int, int]]) -> str:
    """Months by name: ``May, June and July 2019``, ``December 2018 and January 2019``."""
    named = [datetime(year, month, 1, tzinfo=UTC) for year, month in months]
    years = {month.year for month in named}
    words = [f"{month:%B}" if len(years) == 1 else f"{month:%B %Y}" for month in named]
    text = " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
    return f"{text} {years.pop()}" if len(years) == 1 else text


def _end(year: int, month: int) -> datetime:
    return season_period(year, (month, month))[1]
