"""Seasons by the day: which months are open, and from when a map is final."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from catalog.products import season_months
from catalog.season_state import LATE, SeasonState, months_listed


def state(as_of: str, year: int = 2019, months: tuple[int, int] = (1, 7)) -> SeasonState:
    return SeasonState.of(year, months, datetime.fromisoformat(as_of).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("as_of", "still", "status"),
    [
        ("2018-12-31T23:59:59", 7, "preliminary"),
        ("2019-01-01", 7, "preliminary"),
        ("2019-02-07T23:59:59", 7, "preliminary"),
        ("2019-02-08", 6, "preliminary"),
        ("2019-07-31", 1, "preliminary"),
        ("2019-08-07T23:59:59", 1, "preliminary"),
        ("2019-08-08", 0, "final"),
        ("2026-01-01", 0, "final"),
    ],
)
def test_a_month_is_open_until_its_late_products_are_there(as_of: str, still: int, status: str) -> None:
    season = state(as_of)
    assert timedelta(days=7) == LATE
    assert season.open_months == tuple((2019, month) for month in range(8 - still, 8))
    assert (season.status, season.final) == (status, status == "final")
    assert f"{season.complete_from:%Y-%m-%d}" == "2019-08-08"


def test_a_season_begins_with_its_first_day() -> None:
    assert not state("2018-12-31").begun
    assert state("2019-01-01").begun
    assert state("2018-10-01", months=(10, 7)).begun


def test_a_season_over_the_new_year_has_the_months_of_both_years() -> None:
    assert season_months(2019, (11, 2)) == ((2018, 11), (2018, 12), (2019, 1), (2019, 2))
    assert state("2018-12-09", months=(11, 2)).open_months == ((2018, 12), (2019, 1), (2019, 2))
    assert season_months(2019, (12, 12)) == ((2019, 12),)
    assert state("2020-01-08", months=(12, 12)).final


@pytest.mark.parametrize(
    ("months", "text"),
    [
        ([(2019, 7)], "July 2019"),
        ([(2019, 6), (2019, 7)], "June and July 2019"),
        ([(2019, 5), (2019, 6), (2019, 7)], "May, June and July 2019"),
        ([(2018, 12), (2019, 1)], "December 2018 and January 2019"),
    ],
)
def test_months_are_named(months: list[tuple[int, int]], text: str) -> None:
    assert months_listed(months) == text
