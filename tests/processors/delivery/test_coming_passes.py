"""Passes to come over an area, beside acquisitions that were made."""

from __future__ import annotations

from datetime import UTC, datetime

from shapely.geometry import box

from catalog.season_state import SeasonState
from processors.delivery.coming_passes import NO_PROMISE, coming_passes

FLANDERS = box(4.058, 50.743, 4.068, 50.749)


def season(*as_of: int) -> SeasonState:
    return SeasonState.of(2019, (1, 7), datetime(*as_of, tzinfo=UTC))  # type: ignore[misc,arg-type]


def test_the_passes_of_one_cycle_are_named_with_their_orbits() -> None:
    coming = coming_passes(FLANDERS, season(2019, 4, 20))
    assert coming is not None
    assert (coming.start, coming.end) == (datetime(2019, 4, 20, tzinfo=UTC), datetime(2019, 4, 30, tzinfo=UTC))
    # Acquisitions of the real archive there have orbits 8 and 51, those of 51 five days apart.
    assert [one.words for one in coming.passes if one.relative_orbit == "R051"] == [
        "2019-04-21 10:56 S2B R051",
        "2019-04-26 10:56 S2A R051",
    ]
    assert {one.relative_orbit for one in coming.passes} <= {"R008", "R051"}
    assert all(one.l2a_ready is None or one.l2a_ready > one.time for one in coming.passes)
    assert coming.basis[-1] == NO_PROMISE
    assert "half a minute" in coming.basis[0]


def test_they_begin_with_the_season_and_end_with_it() -> None:
    before = coming_passes(FLANDERS, season(2018, 11, 1))
    assert before is not None
    assert before.start == datetime(2019, 1, 1, tzinfo=UTC)
    last = coming_passes(FLANDERS, season(2019, 7, 28))
    assert last is not None
    assert last.end == datetime(2019, 8, 1, tzinfo=UTC)
    assert coming_passes(FLANDERS, season(2019, 8, 2)) is None


def test_where_no_tile_is_there_are_none() -> None:
    assert coming_passes(box(10, 85, 11, 86), season(2019, 4, 20)) is None
