"""Missing offsets: suspected by the numbers of one date, judged when all dates of a season are in."""

from __future__ import annotations

import json

import cube_kit
import numpy as np
import pytest
from shapely.geometry import box

from catalog.errors import NotEnoughAcquisitionsError, Reason
from catalog.given_offsets import with_offsets
from catalog.grid import Cell, to_lonlat
from catalog.products import Order
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.cube.pixel_source import OffsetFinding, PixelSource
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.offset_suspicion import OffsetRecord, suspicions
from processors.season import Season, choose_season

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
SUSPECT = "suspicious: nothing darker than 0.12, as if an offset of -1000 were missing (a flag)"
BRIGHT = "not checked: nothing darker than 0.16 in B02, B03, B04"


FINDINGS = {
    SUSPECT: OffsetFinding.MISSING,
    BRIGHT: OffsetFinding.NOT_TOLD,
    "ok": OffsetFinding.FITS,
    "": OffsetFinding.UNCHECKED,
}


def source(check: str, said_by: str = "a flag") -> PixelSource:
    return PixelSource(product="p", offset_from=(said_by,), finding=FINDINGS[check], check=check)


def record(check: str, said_by: str = "a flag") -> OffsetRecord:
    made = OffsetRecord()
    made.add(source(check, said_by))
    return made


def test_a_suspicious_date_is_left_out_and_the_others_are_not() -> None:
    reasons = suspicions({"a": record(SUSPECT), "b": record("ok"), "c": record("ok"), "d": record(BRIGHT)})
    assert reasons == {"a": f"offset {SUSPECT}"}


def test_what_could_not_be_checked_goes_the_way_of_those_alike() -> None:
    alike = {"a": record(SUSPECT), "b": record(SUSPECT), "c": record("ok"), "d": record(BRIGHT)}
    reasons = suspicions({**alike, "e": record(BRIGHT, "baseline 02.11")})
    assert sorted(reasons) == ["a", "b", "d"]
    assert reasons["d"] == "offset suspicious: not checked, and missing at 2 of 3 dates of the same (a flag)"


def test_older_dates_that_were_never_checked_are_judged_by_those_alike() -> None:
    reasons = suspicions({"a": record(SUSPECT), "empty": OffsetRecord(), "older": record("")})
    assert sorted(reasons) == ["a", "older"]


def test_one_suspicious_cell_or_product_is_enough() -> None:
    made = record("ok")
    made.add(source(SUSPECT))
    assert (made.agrees, made.suspicion) == (False, SUSPECT)


def number(value: int) -> np.ndarray:
    return np.random.default_rng(1).integers(value, value + 300, (120, 120))


@pytest.fixture
def half_shifted(store: Store) -> Order:
    """Four dates of dark fields, the last two with 1000 in their numbers that nothing says."""
    archive = cube_kit.Archive(store.root / "archive")
    for day, value in enumerate((200, 220, 1200, 1220), start=1):
        bands = dict.fromkeys(("B02", "B03", "B04"), number(value))
        archive.add(f"p{day}", {**bands, "SCL": 4}, time=cube_kit.day(day), datatake="unknown")
    order: Order = archive.order()
    return order


def season_of(store: Store, order: Order, at_least: int = 1) -> Season:
    area = to_lonlat(box(*cube_kit.square().bounds), 32631)
    ingest(store, order)
    for one in order.acquisitions:
        mask_acquisition(store, order, one.id, [CELL])
    return choose_season(store, order, area, 32631, 0.5, at_least)


def ingest(store: Store, order: Order) -> list[IngestResult]:
    cells = extend_cells(store, order, [CELL])
    return [ingest_acquisition(store, order, one.id, cells, order.source) for one in order.acquisitions]


def test_dates_with_a_missing_offset_are_not_used_and_the_first_lines_say_so(store: Store, half_shifted: Order) -> None:
    season = season_of(store, half_shifted)
    assert [one.used for one in season.acquisitions] == [True, True, False, False]
    assert [one.kind for one in season.acquisitions][2:] == [Reason.OFFSET_SUSPICIOUS] * 2
    assert season.acquisitions[2].reason == (
        "offset suspicious: nothing darker than 0.12, as if an offset of -1000 were missing (the test)"
    )
    (note,) = season.notes
    assert note.startswith("2 acquisitions left out: the numbers look as if a radiometric offset were missing")
    assert 'offset {"S2A_20190403T110000": -1000}' in note
    assert note.endswith("They are S2A_20190403T110000, S2A_20190404T110000.")
    with pytest.raises(NotEnoughAcquisitionsError) as raised:
        season_of(store, half_shifted, at_least=3)
    first = str(raised.value).splitlines()[0]
    assert first.startswith("2 of 4 acquisitions can be used, 3 are needed")
    assert "2 are left out because their numbers look as if a radiometric offset were missing" in first
    assert "months" not in first


def test_an_offset_that_the_request_gives_is_used_beside_the_date_that_others_read(
    store: Store, half_shifted: Order
) -> None:
    season_of(store, half_shifted)
    third, fourth = half_shifted.acquisitions[2:]
    offsets = {third.id: -1000, "p4": 0}
    asked = half_shifted.model_copy(update={"acquisitions": with_offsets(half_shifted.acquisitions, offsets)})
    season = season_of(store, asked)
    assert [one.used for one in season.acquisitions] == [True] * 4
    assert [one.offset_given for one in season.acquisitions] == [{}, {}, {"p3": -1000}, {"p4": 0}]
    assert [one.offset_from for one in season.acquisitions][2:] == ["the request: -1000", "the request: 0"]
    (note,) = season.notes
    assert note.endswith(f"{third.id}_offset-1000 -1000, {fourth.id}_offset0 0.")

    cube = Cube(store.cube("kit", "L2A", CELL))
    assert len(cube) == 6  # what others read is as it was
    values = {name: cube.read("reflectance", index)[1, :120, :120] for index, name in enumerate(cube.acquisition_ids)}
    np.testing.assert_array_equal(values[third.id], number(1200))
    np.testing.assert_array_equal(values[f"{third.id}_offset-1000"], number(200))
    np.testing.assert_array_equal(values[f"{fourth.id}_offset0"], number(1220))
    again = season_of(store, half_shifted)
    assert [one.used for one in again.acquisitions] == [True, True, False, False]
    assert ingest(store, asked)[2].skipped == ingest(store, half_shifted)[2].skipped == (CELL.name,)


def test_dates_of_which_neither_words_nor_numbers_tell_are_named(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    for day, value in enumerate((1600, 1700), start=1):
        bands = dict.fromkeys(("B02", "B03", "B04"), number(value))
        archive.add(f"p{day}", {**bands, "SCL": 4}, time=cube_kit.day(day))
    assert season_of(store, archive.order()).notes == ()  # something says so
    unsaid = Store(store.root / "another")
    listed = store.root / "archive" / "products.json"
    listed.write_text(
        listed.read_text(encoding="utf-8").replace("the test", "nothing says so: no baseline"), encoding="utf-8"
    )
    season = season_of(unsaid, archive.order())
    assert len(season.used) == 2
    assert season.notes == (
        "Nothing says which radiometric offset 2 of the acquisitions used have, and their numbers don't tell: taken as 0. "
        "They are S2A_20190401T110000, S2A_20190402T110000.",
    )


def test_a_corrected_catalogue_is_read_again(store: Store, half_shifted: Order) -> None:
    season_of(store, half_shifted)
    listed = store.root / "archive" / "products.json"
    entries = json.loads(listed.read_text(encoding="utf-8"))
    for entry in entries[2:]:
        for band in ("B02", "B03", "B04"):
            entry["assets"][band] |= {"offset": -1000, "offset_from": "a corrected flag"}
    listed.write_text(json.dumps(entries), encoding="utf-8")
    season = season_of(store, half_shifted)
    assert [one.used for one in season.acquisitions] == [True] * 4
    assert season.notes == ()
    assert season.acquisitions[3].offset_from == "a corrected flag"
    assert [result.written for result in ingest(store, half_shifted)] == [()] * 4


def test_a_product_whose_baseline_is_understood_now_is_read_again(store: Store) -> None:
    archive = cube_kit.Archive(store.root / "archive")
    archive.add("p", {"B02": 8000, "SCL": 4})
    (first,) = ingest(store, archive.order())
    archive.add("p", {"B02": 8000, "SCL": 4}, baseline="04.00", offset=-1000)
    (second,) = ingest(store, archive.order())
    assert (first.written, second.written) == ((CELL.name,), (CELL.name,))
    cube = Cube(store.cube("kit", "L2A", CELL))
    assert [one.id for one in cube.products(0)] == ["p"]
    assert cube.read("reflectance", 0)[1, 0, 0] == 7000
