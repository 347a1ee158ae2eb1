"""Contacts and the on-board memory, by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from catalog.orbits.downlink import (
    DAILY_VOLUME,
    MEMORY,
    STATIONS,
    Contact,
    GroundStation,
    above,
    contacts,
    contacts_between,
    elevation,
    fill_and_send,
    mean_recording_rate,
    recordings_between,
)
from catalog.orbits.orbit import reference_orbit
from catalog.orbits.reference_track import CYCLE

ZERO = GroundStation("Null Island", 0.0, 0.0, 0.0, min_elevation=0.0)


def test_elevation_by_hand() -> None:
    radius, height = 6378.137, 786.0
    angle = np.arccos(radius / (radius + height))  # where a satellite over the equator stands on the horizon
    longitudes = np.array([0.0, angle, 2 * angle])
    positions = (radius + height) * np.stack([np.cos(longitudes), np.sin(longitudes), np.zeros(3)], axis=1)
    found = elevation(positions, ZERO)
    assert found[0] == pytest.approx(90)
    assert found[1] == pytest.approx(0, abs=1e-6)
    assert found[2] < -10


def test_elevation_is_that_of_pyproj_s_local_frame() -> None:
    # an independent way: the topocentric frame of PROJ
    station = STATIONS[0]
    orbit = reference_orbit("S2B", 6)
    positions = orbit.positions(orbit.elements.epoch_seconds + np.arange(0.0, 6000.0, 60.0))
    local = Transformer.from_pipeline(
        f"+proj=topocentric +ellps=WGS84 +lon_0={station.longitude} +lat_0={station.latitude} +h_0={station.height}"
    )
    east, north, up = local.transform(*(positions.T * 1000))
    np.testing.assert_allclose(
        elevation(positions, station), np.degrees(np.arctan2(up, np.hypot(east, north))), atol=1e-6
    )


def test_a_contact_over_a_station_lasts_as_long_as_geometry_says() -> None:
    # A circle over the equator at 786 km turning once in 6,000 s: above 5 degrees for an arc of twice
    # 90 - 5 - asin(6378.137 / 7164.137 * cos 5) = 85 - 62.482 = 22.518 degrees, or 750.6 s
    radius, turn = 7164.137, 6000.0
    seconds = np.arange(-3000.0, 3000.0, 20.0)
    angles = 2 * np.pi * seconds / turn
    positions = radius * np.stack([np.cos(angles), np.sin(angles), np.zeros(angles.size)], axis=1)
    (one,) = contacts(seconds, positions, [GroundStation("Null Island", 0.0, 0.0, 0.0, min_elevation=5.0)])
    assert one.station == "Null Island"
    assert one.end - one.start == pytest.approx(750.6, abs=1.5)
    assert one.start == pytest.approx(-one.end, abs=0.5)


def test_one_link_at_a_time() -> None:
    # Two stations under the same path: the second takes over when the first loses sight.
    seconds = np.arange(-3000.0, 3000.0, 20.0)
    angles = 2 * np.pi * seconds / 6000.0
    positions = 7164.137 * np.stack([np.cos(angles), np.sin(angles), np.zeros(angles.size)], axis=1)
    east = GroundStation("East", 10.0, 0.0, 0.0)
    west = GroundStation("West", 0.0, 0.0, 0.0)
    first, second = contacts(seconds, positions, [east, west])
    assert (first.station, second.station) == ("West", "East")
    assert second.start == first.end
    (alone,) = contacts(seconds, positions, [east])
    assert second.end == alone.end
    inside = GroundStation("Inside", 0.0, 0.0, 0.0, min_elevation=30.0)
    assert [one.station for one in contacts(seconds, positions, [west, inside])] == ["West"]


def test_above_takes_what_is_cut_by_the_ends() -> None:
    seconds = np.arange(6.0)
    assert above(seconds, np.array([1.0, -1.0, -1.0, 3.0, -1.0, 1.0])) == [(0.0, 0.5), (2.25, 3.75), (4.5, 5.0)]
    assert above(seconds, np.full(6, -1.0)) == []
    assert above(seconds, np.full(6, 1.0)) == [(0.0, 5.0)]


def test_first_in_first_out_by_hand() -> None:
    # 1 Mbit/s for 100 s; a link of 2 Mbit/s for 20 s, then another from 300 s on.
    memory = fill_and_send([(0, 100)], [Contact("a", 200, 220), Contact("b", 300, 400)], 1e6, 2e6, 1e12)
    found = memory.sent_at(np.array([2.0, 10.0, 39.0, 50.0, 100.0]))
    assert found == pytest.approx([201, 205, 219.5, 305, 330], abs=0.02)


def test_without_a_backlog_data_go_down_as_they_come() -> None:
    memory = fill_and_send([(0, 100)], [Contact("a", 0, 50), Contact("b", 200, 300)], 1e6, 2e6, 1e12)
    assert memory.sent_at(np.array([10.0, 49.0, 50.0, 60.0, 100.0])) == pytest.approx([10, 49, 50, 205, 225], abs=0.02)


def test_a_link_slower_than_the_instrument_fills_the_memory() -> None:
    # 2 in, 1 out: the backlog at 100 s is 100, sent until 200.
    memory = fill_and_send([(0, 100)], [Contact("a", 0, 1000)], 2e6, 1e6, 1e12)
    assert memory.sent_at(np.array([0.0, 50.0, 100.0])) == pytest.approx([0, 100, 200], abs=0.02)


def test_a_full_memory_takes_no_more() -> None:
    # Full after 50 s; what is sensed from then on is lost, what comes after the contact is kept again.
    memory = fill_and_send([(0, 100), (300, 320)], [Contact("a", 200, 250), Contact("b", 400, 500)], 1e6, 1e6, 50e6)
    found = memory.sent_at(np.array([20.0, 49.0, 60.0, 99.0, 310.0]))
    assert found == pytest.approx([220, 249, np.nan, np.nan, 410], abs=0.02, nan_ok=True)
    assert (memory.stored - memory.sent).max() <= 50e6 * (1 + 1e-6)


def test_what_stays_on_board_at_the_end_is_not_sent() -> None:
    memory = fill_and_send([(0, 100)], [Contact("a", 200, 230)], 1e6, 1e6, 1e12)
    assert memory.sent_at(np.array([20.0, 40.0])) == pytest.approx([220, np.nan], abs=0.02, nan_ok=True)


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(1e-7, 4e3)), min_size=1, max_size=12),
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(1e-7, 2e3)), min_size=1, max_size=12),
    st.floats(1e5, 1e9),
    st.floats(1e9, 1e12),
)
def test_nothing_is_made_and_the_pieces_stay_few(
    recorded: list[tuple[float, float]], linked: list[tuple[float, float]], rate: float, capacity: float
) -> None:
    # Far from the clock's origin, where its floats are coarse: pieces are counted, so that no loop creeps on for ever.
    recordings = _apart([(8e8 + start, 8e8 + start + length) for start, length in recorded])
    links = [Contact("a", start, end) for start, end in _apart([(8e8 + s, 8e8 + s + length) for s, length in linked])]
    memory = fill_and_send(recordings, links, rate, 520e6, capacity)
    edges = {edge for interval in recordings for edge in interval} | {
        edge for one in links for edge in (one.start, one.end)
    }
    assert memory.seconds.size <= 2 * len(edges)
    assert memory.seconds[-1] == pytest.approx(max(edges), abs=1e-3)
    waiting = memory.stored - memory.sent
    assert waiting.min() >= -1e5
    assert waiting.max() <= capacity + 1e5
    assert (np.diff(memory.stored) >= 0).all()
    assert (np.diff(memory.sent) >= 0).all()
    assert memory.stored[-1] <= rate * sum(end - start for start, end in recordings) * (1 + 1e-6) + 1e5


def _apart(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if end > start and (not found or start >= found[-1][1]):
            found.append((start, end))
    return found or [(8e8, 8e8 + 1)]


def test_the_real_stations_see_enough() -> None:
    orbit = reference_orbit("S2B", 6)
    start = orbit.elements.epoch_seconds + 3 * CYCLE
    links = contacts_between(orbit, start, start + CYCLE)
    assert {one.station for one in links} == {station.name for station in STATIONS}
    assert all(before.end <= after.start for before, after in pairwise(links))
    # Svalbard sees a polar orbit on ten or more of fourteen revolutions a day; no contact lasts a quarter of an hour
    assert sum(one.station == "Svalbard" for one in links) >= 100
    assert max(one.end - one.start for one in links) < 900
    # a cycle later, the same
    again = contacts_between(orbit, start + CYCLE, start + 2 * CYCLE)
    np.testing.assert_allclose([one.start + CYCLE for one in links], [one.start for one in again], atol=1e-3)


def test_the_day_s_volume_is_recorded_and_gets_down() -> None:
    orbit = reference_orbit("S2B", 6)
    start = orbit.elements.epoch_seconds
    recordings = recordings_between(orbit, start, start + CYCLE)
    rate = mean_recording_rate(recordings)
    assert sum(end - begin for begin, end in recordings) * rate == pytest.approx(10 * DAILY_VOLUME, rel=0.02)
    lengths = np.array([end - begin for begin, end in recordings]) / 60
    assert lengths.max() < 50  # less than half of a revolution of 100 minutes
    assert np.median(lengths) > 35
    memory = fill_and_send(recordings, contacts_between(orbit, start, start + CYCLE), rate)
    assert (memory.stored - memory.sent).max() < MEMORY / 2
    assert memory.sent[-1] > 0.98 * memory.stored[-1]
