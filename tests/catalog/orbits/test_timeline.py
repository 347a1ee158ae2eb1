"""Timelines: their order, their stations, and how they compare with real products."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from shapely.geometry import Point

from catalog.orbits.orbit import flights
from catalog.orbits.swath import Pass, passes_over
from catalog.orbits.tiles import Tile
from catalog.orbits.timeline import L1C_PROCESSING, L2A_PROCESSING, Timeline, timelines

NOON = datetime(2023, 8, 15, 12, tzinfo=UTC)


def _hours(count: float) -> datetime:
    return NOON + timedelta(hours=count)


def _timeline(**stages: datetime) -> Timeline:
    known = {"sensed": NOON, "downlinked": _hours(1), "l1c_ready": _hours(2), "l2a_ready": _hours(3)}
    return Timeline.model_validate({"station": "Matera", **known, **stages})


def test_later_stages_are_filled_in() -> None:
    line = _timeline()
    assert line.ordered is None
    done = line.reached(ordered=_hours(-20), ingested=_hours(4)).reached(mapped=_hours(5), delivered=_hours(5))
    assert (done.ordered, done.delivered, done.sensed) == (_hours(-20), _hours(5), NOON)
    assert line.ingested is None  # it is a value
    assert Timeline.model_validate_json(done.model_dump_json()) == done


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"downlinked": _hours(-1)}, "downlinked at 2023-08-15 11:00:00\\+00:00 lies before sensed"),
        ({"l2a_ready": _hours(1.5)}, "l2a_ready .* lies before l1c_ready"),
        ({"ingested": _hours(4), "mapped": _hours(3.5)}, "mapped .* lies before ingested"),
        ({"ingested": _hours(1)}, "ingested .* lies before l1c_ready"),
        ({"ordered": _hours(6), "delivered": _hours(5)}, "delivered .* lies before ordered"),
    ],
)
def test_stages_out_of_order_are_refused(stages: dict[str, datetime], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _timeline(**stages)


def test_unknown_stages_are_refused() -> None:
    with pytest.raises(ValidationError):
        _timeline().reached(printed=_hours(9))


def _of(tile: str, near: datetime) -> tuple[Pass, Timeline]:
    flying = flights(near - timedelta(hours=3), near + timedelta(hours=3))
    found = passes_over(flying, Tile.from_name(tile).footprint)
    (line,) = timelines(flying, found)
    assert line is not None
    return found[0], line


def test_processing_follows_the_contact() -> None:
    one, line = _of("33TWM", datetime(2023, 8, 15, 10, tzinfo=UTC))
    assert line.sensed == one.time
    assert line.station == "Matera"  # which has Slovenia in sight
    assert timedelta(minutes=2) < line.downlinked - line.sensed < timedelta(minutes=15)
    assert line.l1c_ready - line.downlinked == L1C_PROCESSING
    assert line.l2a_ready - line.l1c_ready == L2A_PROCESSING


def test_far_from_every_station_data_wait_for_the_next() -> None:
    _, line = _of("56JMM", datetime(2018, 6, 29, 0, 5, tzinfo=UTC))
    assert timedelta(minutes=45) < line.downlinked - line.sensed < timedelta(hours=3)


@pytest.mark.parametrize(
    ("tile", "sensed", "level", "generated"),
    [
        ("33TWL", "2023-08-15T09:58:11Z", "l2a_ready", "2023-08-15T15:50:57Z"),
        ("33TWL", "2023-08-18T10:08:08Z", "l2a_ready", "2023-08-18T14:33:00Z"),
        ("29UNU", "2022-10-05T11:56:49Z", "l2a_ready", "2022-10-05T16:44:54Z"),
        ("34UCF", "2023-08-23T10:05:00Z", "l2a_ready", "2023-08-23T12:47:59Z"),
        ("34UCF", "2023-08-23T10:05:00Z", "l1c_ready", "2023-08-23T12:02:34Z"),
        ("56JMM", "2018-06-29T00:05:00Z", "l1c_ready", "2018-06-29T01:20:42Z"),
    ],
)
def test_products_are_ready_about_when_real_ones_were(tile: str, sensed: str, level: str, generated: str) -> None:
    # Generation times stand in the products' names. Real L2A waits between 2.7 and 5.9 hours, for reasons that aren't in them.
    _, line = _of(tile, datetime.fromisoformat(sensed))
    late = getattr(line, level) - datetime.fromisoformat(generated)
    assert abs(late) < timedelta(hours=2 if level == "l2a_ready" else 1.5)


def test_every_pass_of_a_month_has_its_timeline() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    flying = flights(start, start + timedelta(days=30))
    found = passes_over(flying, Point(-120.0, 50.0))
    lines = timelines(flying, found)
    assert len(lines) == len(found) == 9
    for one, line in zip(found, lines, strict=True):
        assert line is not None
        assert line.sensed == one.time
        assert line.downlinked - line.sensed < timedelta(hours=6)
