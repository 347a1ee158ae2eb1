"""The season cut: which dates of a series lie in the months asked for, and how many days after their start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from agrunet.data.header import FolderHeader
from agrunet.data.patches import FieldSource, LabelledSource, Patch, PatchSource
from agrunet.errors import AgrunetError

Dates = npt.NDArray[np.datetime64]
"""Calendar days (T,)."""


@dataclass(frozen=True, slots=True)
class Season:
    """A season from ``start`` to the day before ``end``."""

    start: date
    end: date

    def select(self, dates: Dates) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
        """Select dates (T,) of the season: their positions, rising, the first of equal ones only, and their days since its start."""
        distinct, first = np.unique(dates, return_index=True)
        start, end = np.datetime64(self.start, "D"), np.datetime64(self.end, "D")
        inside = (distinct >= start) & (distinct < end)
        return first[inside], (distinct[inside] - start).astype(np.int32)


def season_of(months: tuple[int, int], not_before: date) -> Season:
    """Find the first season of those whole months that starts on ``not_before`` or later; (10, 7) runs over the turn of the year.

    Raises `AgrunetError` for a month that isn't 1 to 12.
    """
    first, last = months
    if not (1 <= first <= 12 and 1 <= last <= 12):
        raise AgrunetError(f"months {first} to {last}; give the first and last month of the season, each 1 to 12.")
    year = not_before.year + (date(not_before.year, first, 1) < not_before)
    ends = year + (last < first)
    return Season(date(year, first, 1), date(ends + last // 12, last % 12 + 1, 1))


def first_season(header: FolderHeader) -> Season:
    """The season of the header's first year, which is the one that it ends in."""
    first, last = header.months
    return season_of(header.months, date(header.years[0] - (first > last), first, 1))


def month_ends(header: FolderHeader) -> dict[int, int]:
    """Days from a season's start to the end of each of its months, by the calendar of the header's first year; in the season's order."""
    start = first_season(header).start
    months = [(header.months[0] - 1 + step) % 12 + 1 for step in range((header.months[1] - header.months[0]) % 12 + 1)]
    return {month: (season_of((header.months[0], month), start).end - start).days for month in months}


class EndsEarly:
    """A data set whose seasons end before a day: a `PatchSource` over another one, to see what can be told by then."""

    def __init__(self, source: PatchSource, day: int) -> None:
        """Keep of each patch the dates before ``day``, counted from the season's start."""
        self._source, self._day = source, day

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Patch:
        """Read the patch as it was known by then: where nothing was, its first date, on which nothing is clear."""
        patch = self._source.read(index)
        there = int(np.searchsorted(patch.days, self._day))
        clear = patch.clear[: max(1, there)]
        return Patch(
            patch.values[: len(clear)], clear if there else np.zeros_like(clear), patch.days[: len(clear)], patch.label
        )


class SeasonCut:
    """A data set with the dates of some months only: a `LabelledSource` over another one.

    Patches don't say which of several years they are of: the calendar of the header's first year is used for all, so that a leap
    year among others moves the cut by one day.
    """

    def __init__(self, source: LabelledSource, months: tuple[int, int]) -> None:
        """Cut ``source`` to ``months``, first and last. Raises `AgrunetError` where they aren't part of the source's own."""
        whole = source.header
        self._source = source
        self._whole = first_season(whole)
        self._season = season_of(months, self._whole.start)
        if self._season.end > self._whole.end:
            raise AgrunetError(
                f"months {months[0]} to {months[1]} of patches that hold {whole.months[0]} to {whole.months[1]}. "
                "Choose months among those."
            )
        self._header = whole.model_copy(update={"months": months})

    @property
    def header(self) -> FolderHeader:
        return self._header

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Patch:
        """Read the patch with the dates of the season. Raises `AgrunetError` where none is left."""
        patch = self._source.read(index)
        positions, days = self._season.select(np.datetime64(self._whole.start, "D") + patch.days)
        if not len(positions):
            first, last = self._header.months
            raise AgrunetError(f"patch {index} has no date in months {first} to {last}. Choose more months.")
        return Patch(patch.values[positions], patch.clear[positions], days, patch.label)

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """Label (H, W), index of the class or -1."""
        return self._source.label(index)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W) of each pixel."""
        return self._source.split(index)

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Field (H, W) of each pixel, -1 for none. Raises `AgrunetError` where the patches have none."""
        if not isinstance(self._source, FieldSource):
            raise AgrunetError("the patches list no fields. Take a folder of training patches.")
        return self._source.field(index)
