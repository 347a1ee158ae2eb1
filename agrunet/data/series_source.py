"""Series of points and parcels as a data set to learn from: their pixels side by side in square mosaics, which mean nothing in space."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from agrunet.data.footprints import boxes_footprint
from agrunet.data.header import FOLDS, SPLITS, FolderHeader, LabelledField, foldable
from agrunet.data.legend import legend_of
from agrunet.data.patches import UNKNOWN, Patch
from agrunet.data.season import Season, season_of
from agrunet.data.series_folds import deal, ground_groups
from agrunet.data.series_table import SeriesTable, read_series
from agrunet.errors import AgrunetError
from agrunet.files import sha256
from agrunet.intervals import ENOUGH
from agrunet.networks.series_shape import MAX_DATES

EDGE = 64
"""Height and width of a full mosaic, and of the windows that a model that learnt from series maps, pixels; other mosaics are smaller."""

_AROUND = 0.005
"""Degrees around a point that belong to the ground that a model learnt from."""

_NO_FIELD = -1


class SeriesSource:
    """The rows of a series table as patches: a `FieldSource`. Rows of similar dates share a mosaic, whose days are those of all of them.

    Mosaics differ in size, and what no row fills is unknown. All labelled rows are learnt from; they are fields, or parts of them, dealt
    into folds by the ground.
    """

    def __init__(self, table: SeriesTable, months: tuple[int, int] | None = None, digest: str | None = None) -> None:
        """Lay the table out, with the dates of ``months`` only, first and last; ``digest``: checksum (sha256) of its file.

        Raises `AgrunetError` where it has no two classes, months that it doesn't hold, or too many dates in a row.
        """
        whole = table.metadata.months or _months_of(table)
        self._digest = digest
        self._values = table.values
        self._clear: npt.NDArray[np.bool_] = np.all(table.values > 0, axis=1)
        dates = _dates(table)
        seasons = _seasons(table, whole, whole if months is None else months)
        rows = [_days_of(row, table, dates, self._clear, seasons) for row in range(len(table))]
        legend, classes = _legend(table)
        self._mosaics = _mosaics(table, rows)
        self._rows = rows
        self._labels = np.array(
            [classes.index(name) if name in classes else UNKNOWN for name in table.labels], np.int16
        )
        fields, self._field = _fields(table, self._labels)
        kind = "grouped k-fold" if foldable(fields) else None
        meta = table.metadata
        self._header = FolderHeader(
            count=len(self._mosaics),
            patch_size=EDGE,
            mosaic=True,
            bands=table.bands,
            classes=classes,
            legend=legend,
            level=meta.level,
            resampling=meta.resampling,
            baselines=meta.baselines,
            atmospheric_processor=meta.atmospheric_processor,
            synthetic=meta.synthetic,
            measured=meta.measured,
            years=tuple(np.unique(table.year).tolist()),
            months=whole if months is None else months,
            min_clear=meta.min_clear,
            min_acquisitions=meta.min_acquisitions,
            footprint=_footprint(table),
            evidence=kind,
            fields=fields if kind else (),
            hold_out=_described(fields, classes, kind is not None),
        )

    @classmethod
    def open(cls, path: Path, months: tuple[int, int] | None = None) -> SeriesSource:
        """Open a Parquet file. Raises `AgrunetError` naming it where it is no table of series to learn from."""
        table = read_series(path)
        try:
            return cls(table, months, sha256(path))
        except AgrunetError as error:
            raise AgrunetError(f"{path}: {error}") from error

    @property
    def header(self) -> FolderHeader:
        return self._header

    def __len__(self) -> int:
        return len(self._mosaics)

    def read(self, index: int) -> Patch:
        """Read a mosaic with its label."""
        rows = self._mosaics[index]
        days = np.unique(np.concatenate([self._rows[row][0] for row in rows]))
        T, C = len(days), self._values.shape[1]
        H, W = _shape(len(rows))
        values = np.zeros((T, C, H * W), np.uint16)
        clear = np.zeros((T, H * W), np.bool_)
        for place, row in enumerate(rows):
            own, positions = self._rows[row]
            at = np.searchsorted(days, own)
            values[at, :, place] = self._values[positions]
            clear[at, place] = self._clear[positions]
        return Patch(values.reshape(T, C, H, W), clear.reshape(T, H, W), days, self.label(index))

    def rows(self, index: int) -> npt.NDArray[np.int64]:
        """Rows of the table that a mosaic holds, in the order of its pixels."""
        return self._mosaics[index]

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """Label (H, W), index of the class or -1."""
        return self._laid_out(index, self._labels, UNKNOWN)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): what has a label is learnt from."""
        return np.where(self.label(index) == UNKNOWN, SPLITS["none"], SPLITS["train"]).astype(np.uint8)

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Field (H, W) of each pixel, -1 for none."""
        return self._laid_out(index, self._field, _NO_FIELD)

    def digest(self) -> str | None:
        """Checksum (sha256) of the table's file; None where it comes from none."""
        return self._digest

    def _laid_out(self, index: int, of_rows: npt.NDArray[Any], empty: int) -> npt.NDArray[Any]:
        rows = self._mosaics[index]
        laid = np.full(_shape(len(rows)), empty, of_rows.dtype)
        laid.reshape(-1)[: len(rows)] = of_rows[rows]
        return laid


def _shape(rows: int) -> tuple[int, int]:
    """Height and width of a mosaic of so many rows."""
    return -(-rows // EDGE), min(rows, EDGE)


def _dates(table: SeriesTable) -> npt.NDArray[np.datetime64]:
    """Calendar days (M,) of all rows."""
    years = (np.repeat(table.year, np.diff(table.offsets)) - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    return np.asarray(years + (table.days.astype(np.int64) - 1))


def _months_of(table: SeriesTable) -> tuple[int, int]:
    """First and last month of the days, of a year at most: the last one."""
    if not len(table.days):
        raise AgrunetError("no row has a date. Give series.")
    moments = date(2001, 1, 1).toordinal() - 1 + np.array([table.days.min(), table.days.max()], np.int64)
    first, last = (date.fromordinal(int(moment)) for moment in moments)
    if first.year == last.year or first.month > last.month:
        return first.month, last.month
    return last.month % 12 + 1, last.month


def _seasons(table: SeriesTable, whole: tuple[int, int], months: tuple[int, int]) -> dict[int, Season]:
    """Season of each year that rows have."""
    seasons = {}
    for year in np.unique(table.year).tolist():
        held = season_of(whole, date(year - (whole[0] > whole[1]), whole[0], 1))
        seasons[year] = season_of(months, held.start)
        if seasons[year].end > held.end:
            raise AgrunetError(
                f"months {months[0]} to {months[1]} of series that hold {whole[0]} to {whole[1]}. Choose months among those."
            )
    return seasons


def _days_of(
    row: int,
    table: SeriesTable,
    dates: npt.NDArray[np.datetime64],
    clear: npt.NDArray[np.bool_],
    seasons: dict[int, Season],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Days since the season's start of the clear dates of a row, and their positions in the table."""
    own = np.arange(table.offsets[row], table.offsets[row + 1])
    own = own[clear[own]]
    inside, days = seasons[int(table.year[row])].select(dates[own])
    if len(days) > MAX_DATES:
        raise AgrunetError(
            f"row {row} ({table.ids[row]}) has {len(days)} clear dates in the season; a series has {MAX_DATES} at most. "
            "Choose fewer months, or give medians of ten days."
        )
    return days, own[inside]


def _mosaics(table: SeriesTable, rows: Sequence[tuple[npt.NDArray[np.int32], Any]]) -> list[npt.NDArray[np.int64]]:
    """Rows of each mosaic: one after the other in the order of their days, as long as theirs are not too many together."""
    order = sorted(range(len(table)), key=lambda row: (rows[row][0].tolist(), row))
    mosaics: list[list[int]] = []
    days: set[int] = set()
    for row in order:
        joined = days.union(rows[row][0].tolist())
        if not mosaics or len(mosaics[-1]) == EDGE * EDGE or len(joined) > MAX_DATES:
            mosaics.append([])
            joined = set(rows[row][0].tolist())
        mosaics[-1].append(row)
        days = joined
    if not any(len(days) for days, _ in rows):
        raise AgrunetError("no row has a clear date in the season. Choose other months.")
    return [np.array(mosaic, np.int64) for mosaic in mosaics]


def _legend(table: SeriesTable) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Legend, and the classes that the labels hold, in its order; without one by name."""
    present = {label for label in table.labels if label is not None}
    stated = table.metadata.legend
    if not stated:
        classes = tuple(sorted(present))
        legend = [entry | {"source_codes": []} for entry in legend_of(dict(enumerate(classes)))]
    else:
        roles = {str(entry.get("name")): str(entry.get("role", "class")) for entry in stated}
        strange = sorted(present - set(roles))
        if strange:
            raise AgrunetError(f"label {strange[0]!r} is none of its legend: {', '.join(roles)}. Correct the table.")
        legend = [entry for entry in stated if str(entry.get("name")) in present or entry.get("role") == "ignore"]
        mapped = [entry for entry in legend if entry.get("role") != "ignore"]
        mapped.sort(key=lambda entry: (entry.get("role") != "background", entry.get("value", 0)))
        classes = tuple(str(entry["name"]) for entry in mapped)
    if len(classes) < 2:
        raise AgrunetError(
            f"its labels tell nothing apart: {', '.join(classes) or 'none'}. Give labels of two classes."
        )
    return legend, classes


def _fields(
    table: SeriesTable, labels: npt.NDArray[np.int16]
) -> tuple[tuple[LabelledField, ...], npt.NDArray[np.int32]]:
    """Fields with their folds, and the field (N,) of each row. Rows of a field that differ in class are fields of one fold."""
    numbers = np.full(len(table), _NO_FIELD, np.int32)
    known = np.flatnonzero(labels != UNKNOWN)
    named = [(table.fields[row] if table.fields else None) or table.ids[row] for row in known]
    fold = deal(ground_groups(table.lon[known], table.lat[known], named), labels[known], named)
    held: dict[str, set[int]] = {}
    for place, row in enumerate(known):
        held.setdefault(named[place], set()).add(int(labels[row]))
    fields: dict[tuple[str, int], LabelledField] = {}
    order: dict[tuple[str, int], int] = {}
    for place, row in enumerate(known):
        key = named[place], int(labels[row])
        if key not in fields:
            name = f"{key[0]}/{key[1]}" if len(held[key[0]]) > 1 else key[0]
            order[key] = len(fields)
            fields[key] = LabelledField(name=name, label=key[1], fold=int(fold[place]))
        numbers[row] = order[key]
    return tuple(fields.values()), numbers


def _described(fields: Sequence[LabelledField], classes: Sequence[str], estimated: bool) -> str:
    counts = np.bincount([field.label for field in fields], minlength=len(classes)).tolist()
    counted = ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True))
    few = [name for name, count in zip(classes, counts, strict=True) if count < ENOUGH]
    scored = (
        f"its scores are those of a grouped {FOLDS}-fold over blocks of ground of 1 km: each field is mapped by a model that didn't "
        "learn from it."
        if estimated
        else "too few for any score."
    )
    rare = f" Fewer than {ENOUGH} fields, so that their scores say next to nothing: {', '.join(few)}." if few else ""
    return f"The model learnt from all {len(fields)} fields or points ({counted}); {scored}{rare}"


def _footprint(table: SeriesTable) -> dict[str, Any] | None:
    """A box around the rows in each square of a degree."""
    points = [
        (f"{np.floor(x):+04.0f}{np.floor(y):+03.0f}", {"coordinates": _square(float(x), float(y))})
        for x, y in zip(table.lon, table.lat, strict=True)
    ]
    return boxes_footprint(points, CRS("OGC:CRS84"))


def _square(x: float, y: float) -> list[list[float]]:
    """Opposite corners of the ground that a point speaks for."""
    return [[max(x - _AROUND, -180), max(y - _AROUND, -90)], [min(x + _AROUND, 180), min(y + _AROUND, 90)]]
