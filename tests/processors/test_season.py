"""Fractions over the requested area, and what they decide."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import cube_kit
import numpy as np
import pytest
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from catalog.errors import NotEnoughAcquisitionsError, Reason
from catalog.grid import Cell, Window, cells_meeting, to_lonlat, to_zone
from catalog.products import Order
from catalog.storage.store import Store
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.mask.options import USUAL_MASK, L2AMask, MaskOptions
from processors.season import Season, choose_season

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)


def area_of(window: Window) -> BaseGeometry:
    """In degrees, half a pixel wider: back in the zone its edges fall between centres, whatever the rounding."""
    return to_lonlat(box(*window.bounds), window.epsg)


def prepare(store: Store, order: Order, area: BaseGeometry) -> None:
    cells = cells_meeting(to_zone(area, 32631), 32631)
    extend_cells(store, order, cells)
    for one in order.acquisitions:
        ingest_acquisition(store, order, one.id, cells, order.source)
        mask_acquisition(store, order, one.id, cells)


@pytest.fixture
def five(store: Store) -> Order:
    """100 x 100 pixels, the area is their western half: clear over all, 3/4, half, a quarter and nothing of it."""
    archive = cube_kit.Archive(store.root / "archive")
    for number, rows in enumerate((100, 75, 50, 25, 0), start=1):
        blue = np.full((100, 100), 500)
        if number == 2:
            blue[75:] = 0  # no data there, rather than cloud
        scl = np.full((100, 100), 4)
        scl[rows:] = 10  # cirrus doesn't spread
        scl[:, 50:] = 10
        archive.add(
            f"p{number}",
            {"B02": blue, "B03": 500, "SCL": scl},
            time=cube_kit.day(number, hour=23),
            window=cube_kit.square(size=100),
            cloud_cover=12.5,
        )
    order: Order = archive.order()
    return order


@pytest.fixture
def west() -> BaseGeometry:
    square = cube_kit.square(size=100)
    return area_of(Window(square.epsg, square.left, square.top, 50, 100))


def test_fractions_are_those_of_the_area_alone(five: Order, west: BaseGeometry, store: Store) -> None:
    prepare(store, five, west)
    season = choose_season(store, five, west, 32631, 0.5, 1)
    assert [one.clear_fraction for one in season.acquisitions] == [1, 0.75, 0.5, 0.25, 0]
    assert [one.valid_fraction for one in season.acquisitions] == [1, 0.75, 1, 1, 1]
    assert [one.used for one in season.acquisitions] == [True, True, True, False, False]  # the limit itself is enough
    assert [one.reason for one in season.acquisitions][3:] == [
        "clear over 0.250 of the area, under min_clear 0.5",
        "clear over 0.000 of the area, under min_clear 0.5",
    ]
    assert [one.kind for one in season.acquisitions] == [None, None, None, Reason.TOO_CLOUDY, Reason.TOO_CLOUDY]
    assert season.bands == ("B02", "B03")
    assert [one.products for one in season.used] == [("p1",), ("p2",), ("p3",)]
    assert season.acquisitions[0].cloud_cover == 12.5
    assert 30 < season.acquisitions[0].sun_zenith < 180  # nobody said it: computed
    assert Season.model_validate_json(season.model_dump_json()) == season


def test_days_are_whole_days_from_the_start(five: Order, west: BaseGeometry, store: Store) -> None:
    prepare(store, five, west)
    season = choose_season(store, five, west, 32631, 0.5, 1)
    assert season.start == datetime(2019, 4, 1, tzinfo=UTC)
    assert season.days(five.start) == (0, 1, 2)  # 23:00 on the first day is still day 0
    assert season.days(datetime(2018, 10, 1, 12, tzinfo=UTC)) == (182, 183, 184)


def test_orbits_are_those_of_the_order(five: Order, west: BaseGeometry, store: Store) -> None:
    prepare(store, five, west)
    orbits = ("R008", "R051", "R094", "R008", "unknown")
    told = [one.model_copy(update={"relative_orbit": of}) for one, of in zip(five.acquisitions, orbits, strict=True)]
    season = choose_season(store, five.model_copy(update={"acquisitions": tuple(told)}), west, 32631, 0.6, 1)
    assert [one.relative_orbit for one in season.acquisitions] == list(orbits)


def test_too_few_lists_every_date_and_the_knob(five: Order, west: BaseGeometry, store: Store) -> None:
    prepare(store, five, west)
    with pytest.raises(NotEnoughAcquisitionsError) as raised:
        choose_season(store, five, west, 32631, 0.6, 4)
    text = str(raised.value)
    assert "2 of 5 acquisitions can be used, 4 are needed (min_acquisitions)" in text
    assert "With min_clear 0.25 instead of 0.6 there are enough" in text
    assert "2019-04-02 S2A_20190402T230000: valid 0.750, clear 0.750 used" in text
    assert "2019-04-04 S2A_20190404T230000: valid 1.000, clear 0.250 not used (clear over" in text
    assert text.count("2019-04-0") == 5
    with pytest.raises(NotEnoughAcquisitionsError, match="months") as raised:
        choose_season(store, five, west, 32631, 0.6, 6)
    assert "instead of" not in str(raised.value)  # no min_clear would give six


def test_a_low_sun_is_flagged_and_used_all_the_same(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    for number, zenith in enumerate((69.9, 70.0, 70.1, 84.6), start=1):
        archive.add(f"p{number}", {"B02": 100, "SCL": 4}, time=cube_kit.day(number), sun_zenith=zenith)
    order, area = archive.order(), area_of(cube_kit.square())
    prepare(store, order, area)
    season = choose_season(store, order, area, 32631, 0.5, 1)
    assert [one.low_sun for one in season.acquisitions] == [False, False, True, True]
    assert len(season.used) == 4
    with pytest.raises(NotEnoughAcquisitionsError) as raised:
        choose_season(store, order, area, 32631, 0.5, 5)
    lines = str(raised.value).splitlines()
    assert lines[-1].endswith("valid 1.000, clear 1.000 used, sun only 5° high")
    assert sum("sun only" in line for line in lines) == 2


def test_a_season_says_what_its_dates_were_masked_with(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    for number in (1, 2, 3):
        scl = 4 if number < 3 else 10
        archive.add(f"p{number}", {"B02": 100, "SCL": scl}, time=cube_kit.day(number))
    order, area = archive.order(), area_of(cube_kit.square())
    prepare(store, order, area)
    usual = json.loads(USUAL_MASK.record("L2A"))
    assert choose_season(store, order, area, 32631, 0.5, 1).masks == (usual,)
    other = MaskOptions(l2a=L2AMask(dilation=0))
    mask_acquisition(store, order, order.acquisitions[2].id, [CELL], other)  # not used: not said
    assert choose_season(store, order, area, 32631, 0.5, 1).masks == (usual,)
    mask_acquisition(store, order, order.acquisitions[0].id, [CELL], other)
    assert choose_season(store, order, area, 32631, 0.5, 1).masks == (json.loads(other.record("L2A")), usual)


def test_a_needed_band_decides_too(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 100, "B03": 100, "SCL": 4}, time=cube_kit.day(1))
    archive.add("b", {"B02": 100, "SCL": 4}, time=cube_kit.day(2))
    order, area = archive.order(), area_of(cube_kit.square())
    prepare(store, order, area)
    free = choose_season(store, order, area, 32631, 0.5, 1)
    assert (len(free.used), free.bands) == (2, ("B02",))
    bound = choose_season(store, order, area, 32631, 0.5, 1, bands=("B02", "B03"))
    assert [one.reason for one in bound.acquisitions] == ["", "without B03"]
    assert bound.bands == ("B02", "B03")


def test_one_broken_file_costs_a_date_and_not_a_band(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    for number, bands in enumerate([("B02", "B03"), ("B02",), ("B02", "B03")], start=1):
        archive.add("abc"[number - 1], {**dict.fromkeys(bands, 100), "SCL": 4}, time=cube_kit.day(number))
    order, area = archive.order(), area_of(cube_kit.square())
    prepare(store, order, area)
    season = choose_season(store, order, area, 32631, 0.5, 1)
    assert [one.reason for one in season.acquisitions] == ["", "without B03", ""]
    assert season.bands == ("B02", "B03")


def test_an_area_over_several_cells_counts_in_all(store: Store) -> None:
    window = cube_kit.square(row=-60, column=964)  # 120 px around the corner of four cells
    scl = np.full((120, 120), 4)
    scl[:30] = 10
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("a", {"B02": 100, "SCL": scl}, window=window)
    order, area = archive.order(), area_of(window)
    prepare(store, order, area)
    (one,) = choose_season(store, order, area, 32631, 0.5, 1).acquisitions
    assert (one.valid_fraction, one.clear_fraction) == (1, 0.75)
    # Where only half of the area has been ingested, the other half counts as without data.
    for cell in (cube_kit.NORTH, Cell(32631, 57, 550)):
        store.cube("kit", "L2A", cell).rename(store.root / cell.name)
    (one,) = choose_season(store, order, area, 32631, 0.5, 1).acquisitions
    assert (one.valid_fraction, one.clear_fraction) == (0.5, 0.5)


def test_a_pixel_belongs_where_its_centre_lies(store: Store) -> None:
    # A triangle over half of a 100 px square: 4950 centres lie inside, the diagonal's 100 on its edge.
    scl = np.full((100, 100), 10)
    scl[np.tril_indices(100, -1)] = 4
    archive = cube_kit.Archive(store.root / "archive")
    window = cube_kit.square(size=100)
    archive.add("a", {"B02": 100, "SCL": scl}, window=window)
    west, south, east, north = window.bounds
    area = to_lonlat(Polygon([(west, north - 5), (west, south), (east - 5, south)]), 32631)
    order = archive.order()
    prepare(store, order, area)
    (one,) = choose_season(store, order, area, 32631, 0.5, 1).acquisitions
    assert one.clear_fraction == pytest.approx(1, abs=0.001)


def test_what_was_not_masked_or_not_ingested_is_not_used(five: Order, west: BaseGeometry, store: Store) -> None:
    cells = [CELL]
    extend_cells(store, five, cells)
    first, second, third, *_ = five.acquisitions
    for one in (first, second):
        ingest_acquisition(store, five, one.id, cells, five.source)
    mask_acquisition(store, five, first.id, cells)
    season = choose_season(store, five, west, 32631, 0.5, 1)
    reasons = {one.id: one.reason for one in season.acquisitions}
    assert reasons[first.id] == ""
    assert reasons[second.id] == "its mask could not be made"
    assert reasons[third.id] == "no data in the area"
    assert [one.kind for one in season.acquisitions][:3] == [None, Reason.NOT_MASKED, Reason.NO_DATA]


def test_where_no_date_has_data_nobody_is_sent_to_other_months(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 0, "SCL": 0})
    order, area = archive.order(), area_of(cube_kit.square())
    prepare(store, order, area)
    with pytest.raises(NotEnoughAcquisitionsError, match="None of them has a pixel with data in the area") as raised:
        choose_season(store, order, area, 32631, 0.5, 1)
    assert raised.value.without_data
    assert "Ask for more months" not in str(raised.value)


def test_where_the_source_covers_a_part_that_is_what_is_said_first(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    blue = np.full((100, 100), 500)
    blue[:, 40:] = 0
    archive.add("p", {"B02": blue, "SCL": 4}, window=cube_kit.square(size=100))
    order, area = archive.order(), area_of(cube_kit.square(size=100))
    prepare(store, order, area)
    with pytest.raises(NotEnoughAcquisitionsError) as raised:
        choose_season(store, order, area, 32631, 0.5, 1)
    first = str(raised.value).splitlines()[0]
    assert "None of them has data over more than 0.400 of the area: each misses the rest, cloudy or not." in first
    assert "With min_clear 0.4 instead of 0.5 there are enough" in first
