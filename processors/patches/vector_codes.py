"""Integer codes of polygons, or of points, burnt onto the pixels of a window."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from catalog.class_columns import (
    ID_COLUMNS,
    RADIUS_COLUMNS,
    ROW_NUMBERS,
    WORD_COLUMNS,
    called,
    chosen,
    radius_of,
)
from catalog.errors import RequestError
from catalog.grid import PIXEL, Window, burnt
from catalog.guards.vectors import vector_errors
from catalog.legend import spelled
from catalog.legend_words import word_of
from catalog.quoting import shortened, shown
from processors.patches.codes import Coded
from processors.patches.polygons import Polygons, RowFault, points_of, polygons_of
from processors.patches.round_parcels import covered_by_points, laid_on
from processors.patches.vector_rows import Rows, open_rows

_TEXT = ("object", "str", "string", "large_string")


@dataclass(frozen=True, slots=True)
class Radii:
    """Radii of the parcels that points stand for, m: one for all, and a column that may say another in its rows."""

    usual: float = 0.0
    column: str | None = None
    largest: float = 0.0

    @classmethod
    def of(cls, rows: Rows, usual: float) -> Radii:
        """Find the column, and the largest radius of all rows."""
        column = next(iter(called(rows.types, RADIUS_COLUMNS)), None) if rows.pointed else None
        said = [] if column is None else [radius_of(value, usual) for value in rows.column(column)]
        return cls(usual, column, max([usual, *(radius for radius in said if radius is not None)]))

    def read(self, frame: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Radius of each row (rows,) of a frame, and where it is one."""
        if self.column is None:
            return np.full(len(frame), self.usual), np.ones(len(frame), np.bool_)
        read = [radius_of(value, self.usual) for value in frame[self.column]]
        sound = np.array([radius is not None for radius in read], np.bool_)
        return np.array([radius or 0.0 for radius in read], np.float64), sound


@dataclass(frozen=True, slots=True, eq=False)
class _Shapes:
    """Shapes (N,) in the metres of a zone, with codes and radii (N,), and rows that can't be used."""

    shapes: npt.NDArray[Any]
    codes: npt.NDArray[np.int64]
    radii: npt.NDArray[np.float64]
    faults: Counter[RowFault]


@dataclass(frozen=True, slots=True)
class VectorCodes:
    """Codes of polygons, burnt where a polygon holds the pixel's centre; where two overlap the smaller lies above. A point is its pixel,
    or a round parcel of its radius; where points of different classes meet, nothing is known.

    ``column`` is None where every row means 1; ``worded``: whether it may hold words. ``words``: the code of each word, where it does,
    spelled alike. ``classes``: the class of each code, where several codes are one.
    """

    rows: Rows
    column: str | None
    what: str
    radii: Radii = Radii()
    worded: bool = False
    words: dict[str, int] | None = None
    classes: Mapping[int, int] | None = None
    nodata: float | None = None

    @property
    def path(self) -> Path:
        return self.rows.path

    @property
    def scattered(self) -> bool:
        """See `Codes`."""
        return self.rows.pointed

    def read(self, window: Window) -> Coded:
        held = self._shapes(window)
        if self.rows.pointed:
            named = self.classes or {}
            present = enumerate(np.unique(held.codes).tolist(), start=1 + max(named.values(), default=0))
            of = {code: named.get(code, number) for number, code in present}
            classes = np.array([of[code] for code in held.codes.tolist()], np.int64)
            at = shapely.get_coordinates(held.shapes).reshape(-1, 2)
            return laid_on(window, covered_by_points(at[:, 0], at[:, 1], held.radii), held.codes, classes)
        numbered = np.zeros(window.shape, np.int32)
        distinct, numbers = np.unique(held.codes, return_inverse=True)
        if len(held.codes):
            # Not in the order of the file: with a spatial index that depends on the window asked for.
            order = np.lexsort((held.codes, -shapely.area(held.shapes)))
            numbered = burnt(((held.shapes[row], int(numbers[row]) + 1) for row in order), window)
        table = np.concatenate([np.zeros(1, np.int64), distinct])
        return Coded(table[numbered], numbered > 0)

    def present(self) -> npt.NDArray[np.int64]:
        if self.column is None:
            return np.ones(1, np.int64)
        return np.unique(self._integers(self.rows.column(self.column))[0])

    def unused(self, windows: Sequence[Window]) -> Counter[RowFault]:
        """Rows that can't be used: of the windows those without a shape or code, of the whole file those without a geometry."""
        faults = sum((self._shapes(window).faults for window in windows), Counter[RowFault]())
        faults[RowFault.NO_GEOMETRY] += self.rows.without_geometry()
        return +faults

    def strange_words(self) -> tuple[str, ...]:
        """Words of the column, sorted, that have no code."""
        return tuple(word for word in words_in(self) if self.words is not None and spelled(word) not in self.words)

    def near(self, window: Window, columns: Sequence[str] = ()) -> tuple[Any, Polygons]:
        """The rows that may meet a window as a `geopandas.GeoDataFrame`, with these columns beside those of codes and radii; and their
        shapes in the zone's metres, by the place of their row in it."""
        named = [name for name in (self.column, self.radii.column, *columns) if name is not None]
        around = window.widened(math.ceil(self.radii.largest / PIXEL))
        frame = self.rows.near(self._bounds(around), list(dict.fromkeys(named)))
        with vector_errors(lambda why: self._misplaced(window, why)):
            moved = frame.geometry.to_crs(window.epsg).to_numpy()
            return frame, points_of(moved) if self.rows.pointed else polygons_of(moved)

    def codes_of(self, column: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The codes (rows,) that a part of the column says, 0 where none, and where one is. Text that holds integers will do."""
        read, given = self._integers(column)
        codes = np.zeros(len(given), np.int64)
        codes[given] = read
        return codes, given

    def _shapes(self, window: Window) -> _Shapes:
        """Shapes that may meet the window, and why other rows have none."""
        frame, held = self.near(window)
        radii, sound = self.radii.read(frame.iloc[held.rows])
        codes, given = np.ones(len(held.rows), np.int64), np.ones(len(held.rows), np.bool_)
        if self.column is not None:
            codes, given = self.codes_of(frame[self.column].iloc[held.rows])
        faults = held.faults + Counter(
            {
                RowFault.NO_CODE: int((~given).sum()),
                RowFault.NO_RADIUS: int((given & ~sound).sum()),
            }
        )
        kept = given & sound
        return _Shapes(held.shapes[kept], codes[kept], radii[kept], faults)

    def _bounds(self, window: Window) -> tuple[float, float, float, float]:
        with vector_errors(lambda why: self._misplaced(window, why)):
            transformer = Transformer.from_crs(window.epsg, self.rows.crs, always_xy=True)
            west, south, east, north = transformer.transform_bounds(*window.bounds)
        if not np.isfinite((west, south, east, north)).all():
            raise self._misplaced(window, "the area lies outside of its coordinate system")
        return west, south, east, north

    def _misplaced(self, window: Window, why: str) -> RequestError:
        return RequestError(
            f"{self.what} {self.path}: can't be brought to EPSG:{window.epsg}: {why}. Reproject it first."
        )

    def _integers(self, column: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The codes that are given, and (rows,) True where one is. Text that holds integers will do."""
        if self.words is not None:
            numbers = [self.words.get(spelled(word_of(value) or "")) for value in column]
            given = np.array([number is not None for number in numbers], bool)
            return np.array([number for number in numbers if number is not None], np.int64), given
        given = column.notna().to_numpy(bool)
        codes = np.zeros(int(given.sum()), np.int64)
        for row, value in enumerate(column[given]):
            try:
                codes[row] = int(value)
                whole = isinstance(value, str) or codes[row] == value
            except (ValueError, TypeError, OverflowError):
                whole = False
            if not whole:
                raise RequestError(
                    f"{self.what} {self.path}: {shown(value)} in column {self.column} is no integer code. "
                    "Put integer codes into a column named source_code."
                )
        return codes, given


def open_vector_codes(
    path: Path,
    what: str,
    columns: tuple[str, ...],
    *,
    mask: bool = False,
    layer: str | None = None,
    column: str | None = None,
    radius: float = 0.0,
) -> VectorCodes:
    """Open polygons, or, where it is no ``mask``, points; ``columns``: names that a column of codes may have. Raises `RequestError`.

    ``column``: the one meant, of codes or of words; ``radius``: of the parcels that points stand for, m.
    """
    rows = open_rows(path, what, layer, points=not mask)
    if radius and not rows.pointed:
        raise RequestError(f"{what}_radius: {path} holds polygons, and a radius is one of points. Drop {what}_radius.")
    radii = Radii.of(rows, radius) if not mask else Radii()
    if column is not None:
        return VectorCodes(
            rows, chosen(list(rows.types), column, f"{what}_column", str(path)), what, radii, worded=True
        )
    named = _code_column(path, what, columns, rows.types, mask)
    worded = named is not None and bool(called([named], WORD_COLUMNS))
    return VectorCodes(rows, named, what, radii, worded)


def words_in(codes: VectorCodes) -> tuple[str, ...]:
    """The different words of the column, sorted as they are spelled; none where it holds codes, as numbers or as text."""
    if codes.column is None or not codes.worded or codes.rows.types[codes.column] not in _TEXT:
        return ()
    words: dict[str, str] = {}
    for value in codes.rows.column(codes.column):
        if (word := word_of(value)) is not None:
            words.setdefault(spelled(word), word)
    if all(word.removeprefix("-").isdecimal() for word in words):
        return ()
    return tuple(words[key] for key in sorted(words))


def candidates(types: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """Columns that may say the class, one where it is clear: of codes by its name (a shapefile cuts names to ten letters), else the only
    one that is called like a class, of words before one of integers, else the only one of integers."""
    if by_name := called(types, columns):
        return by_name[:1]
    no_classes = called(types, (*ROW_NUMBERS, *ID_COLUMNS, *RADIUS_COLUMNS))
    integers = [
        name for name, kind in types.items() if name and kind.startswith(("int", "uint")) and name not in no_classes
    ]
    like_class = called(types, WORD_COLUMNS)
    worded = [name for name in like_class if types[name] in _TEXT]
    for fitting in (worded, [name for name in like_class if name in integers], integers):
        if len(fitting) == 1:
            return fitting
    return [*worded, *(name for name in integers if name not in worded)]


def _code_column(path: Path, what: str, columns: tuple[str, ...], types: dict[str, str], mask: bool) -> str | None:
    if mask:
        return next(iter(called(types, columns)), None)
    fitting = candidates(types, columns)
    if len(fitting) == 1:
        return fitting[0]
    listed = shortened(", ".join(f"{name} ({kind})" for name, kind in types.items()), 300) or "none"
    other = f", or name it: {what}_column" if what == "labels" else ""
    raise RequestError(
        f"{what} {path}: which column holds the codes? There are: {listed}. Rename the one meant to source_code{other}."
    )
