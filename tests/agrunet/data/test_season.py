"""The season cut: dates outside go, days count from the season's first day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import FolderHeader
from agrunet.data.patches import Patch
from agrunet.data.season import EndsEarly, SeasonCut, month_ends, season_of
from agrunet.errors import AgrunetError


@pytest.mark.parametrize(
    ("months", "start", "end"),
    [
        ((1, 7), date(2019, 1, 1), date(2019, 8, 1)),
        ((9, 8), date(2018, 9, 1), date(2019, 9, 1)),
        ((10, 12), date(2018, 10, 1), date(2019, 1, 1)),
        ((8, 8), date(2019, 8, 1), date(2019, 9, 1)),
        ((12, 2), date(2018, 12, 1), date(2019, 3, 1)),
    ],
)
def test_the_first_season_of_those_months(months: tuple[int, int], start: date, end: date) -> None:
    season = season_of(months, date(2018, 9, 1))
    assert (season.start, season.end) == (start, end)


def test_dates_are_sorted_and_the_first_of_equal_ones_is_kept() -> None:
    dates = np.array(
        ["2019-03-01", "2018-12-31", "2019-01-01", "2019-07-31", "2019-01-01", "2019-08-01"], dtype="M8[D]"
    )
    positions, days = season_of((1, 7), date(2019, 1, 1)).select(dates)
    assert positions.tolist() == [2, 0, 3]
    assert days.tolist() == [0, 59, 211]
    assert days.dtype == np.int32


@pytest.mark.parametrize(
    ("months", "ends"),
    [
        ((1, 4), {1: 31, 2: 59, 3: 90, 4: 120}),
        ((11, 2), {11: 30, 12: 61, 1: 92, 2: 120}),
        ((5, 5), {5: 31}),
    ],
)
def test_the_days_at_which_months_end(tmp_path: Path, months: tuple[int, int], ends: dict[int, int]) -> None:
    header = _folder(tmp_path, months, (2019,), [0, 10]).header
    assert month_ends(header) == ends
    assert list(month_ends(header)) == list(ends), "in the season's order"


def test_a_season_that_ends_early_keeps_what_was_there_by_then(tmp_path: Path) -> None:
    folder = _folder(tmp_path, (1, 7), (2019,), [20, 40, 60, 80])
    whole = folder.read(0)
    early = EndsEarly(folder, 60).read(0)
    assert early.days.tolist() == [20, 40]
    np.testing.assert_array_equal(early.values, whole.values[:2])
    np.testing.assert_array_equal(early.clear, whole.clear[:2])
    nothing = EndsEarly(folder, 20).read(0)
    assert nothing.days.tolist() == [20]
    assert not nothing.clear.any(), "a patch needs a date, and nothing was seen by then"


def test_a_month_that_is_none_is_refused() -> None:
    with pytest.raises(AgrunetError, match="months 0 to 13"):
        season_of((0, 13), date(2019, 1, 1))


def _folder(path: Path, months: tuple[int, int], years: tuple[int, ...], days: list[int]) -> PatchFolder:
    T = len(days)
    values = np.arange(T * 2 * 4 * 4).reshape(T, 2, 4, 4).astype(np.uint16)
    clear = np.broadcast_to(np.arange(T)[:, None, None] % 2 == 0, (T, 4, 4))
    patch = Patch(values, clear, np.array(days, dtype=np.int32), np.ones((4, 4), dtype=np.int16))
    write_patch(path, 0, patch, np.zeros((4, 4), dtype=np.uint8))
    header = FolderHeader(
        count=1,
        patch_size=4,
        bands=("B04", "B08"),
        classes=("wheat", "maize"),
        level="L2A",
        years=years,
        months=months,
        synthetic=True,
        min_clear=0.5,
        min_acquisitions=1,
    )
    write_folder_header(path, header)
    return PatchFolder(path)


def test_a_folder_over_the_turn_of_the_year_is_cut_to_january_and_july(tmp_path: Path) -> None:
    start = date(2018, 10, 1)
    wanted = [date(2019, 1, 1), date(2019, 4, 10), date(2019, 7, 31)]
    dates = [date(2018, 10, 1), date(2018, 12, 31), *wanted, date(2019, 8, 1)]
    source = _folder(tmp_path, (10, 9), (2018, 2019), [(day - start).days for day in dates])
    cut = SeasonCut(source, (1, 7))
    patch, whole = cut.read(0), source.read(0)
    assert patch.days.tolist() == [(day - date(2019, 1, 1)).days for day in wanted]
    np.testing.assert_array_equal(patch.values, whole.values[2:5])
    np.testing.assert_array_equal(patch.clear, whole.clear[2:5])
    np.testing.assert_array_equal(cut.label(0), whole.label)
    assert patch.label is not None
    assert cut.split(0).tolist() == source.split(0).tolist()
    assert len(cut) == 1
    assert cut.header == source.header.model_copy(update={"months": (1, 7)})


def test_a_leap_year_has_its_day(tmp_path: Path) -> None:
    first_of_march = (date(2016, 3, 1) - date(2016, 1, 1)) // timedelta(days=1)
    source = _folder(tmp_path, (1, 12), (2016,), [first_of_march - 1, first_of_march])
    assert SeasonCut(source, (3, 7)).read(0).days.tolist() == [0]


def test_months_beyond_those_of_the_folder_are_refused(tmp_path: Path) -> None:
    source = _folder(tmp_path, (1, 7), (2019,), [3])
    with pytest.raises(AgrunetError, match="months 1 to 8 of patches that hold 1 to 7"):
        SeasonCut(source, (1, 8))


def test_a_patch_without_a_date_in_the_season_is_named(tmp_path: Path) -> None:
    source = _folder(tmp_path, (1, 7), (2019,), [3])
    with pytest.raises(AgrunetError, match="patch 0 has no date in months 4 to 7"):
        SeasonCut(source, (4, 7)).read(0)
