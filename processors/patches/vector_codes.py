"""Integer codes of polygons, or of points, burnt onto the pixels of a window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from shapely import area

from catalog.errors import RequestError
from catalog.grid import Window, burnt
from catalog.guards.vectors import vector_errors
from catalog.legend import spelled
from catalog.legend_words import word_of
from catalog.quoting import shortened, shown
from processors.patches.codes import Coded
from processors.patches.polygons import RowFault, points_of, polygons_of
from processors.patches.vector_rows import Rows, open_rows

_NUMBERS_OF_ROWS = ("fid", "id", "gid", "objectid", "ogc_fid")
_CLASS_COLUMNS = ("class", "crop", "crop_type", "crop_name", "label", "class_name", "land_cover")
"""Names of columns that may say classes in words, where none holds codes. A shapefile cuts names to ten letters."""

_WORDED = {name[:length] for name in _CLASS_COLUMNS for length in (10, len(name))}
_TEXT = ("object", "str", "string", "large_string")


@dataclass(frozen=True, slots=True)
class VectorCodes:
    """Codes of polygons, burnt where a polygon holds the pixel's centre; where two overlap the smaller lies above. A point is its pixel.

    ``column`` is None where every row means 1. ``words``: the code of each word, where the column holds words, spelled alike.
    """

    rows: Rows
    column: str | None
    what: str
    words: dict[str, int] | None = None
    nodata: float | None = None

    @property
    def path(self) -> Path:
        return self.rows.path

    @property
    def scattered(self) -> bool:
        """See `Codes`."""
        return self.rows.pointed

    def read(self, window: Window) -> Coded:
        shapes, codes, _ = self._shapes(window)
        numbered = np.zeros(window.shape, np.int32)
        distinct, numbers = np.unique(codes, return_inverse=True)
        if len(codes):
            # Not in the order of the file: with a spatial index that depends on the window asked for.
            order = np.lexsort((codes, -area(shapes)))
            numbered = burnt(((shapes[row], int(numbers[row]) + 1) for row in order), window)
        table = np.concatenate([np.zeros(1, np.int64), distinct])
        return Coded(table[numbered], numbered > 0)

    def present(self) -> npt.NDArray[np.int64]:
        if self.column is None:
            return np.ones(1, np.int64)
        return np.unique(self._integers(self.rows.column(self.column))[0])

    def unused(self, windows: Sequence[Window]) -> Counter[RowFault]:
        """Rows that can't be used: of the windows those without a shape or code, of the whole file those without a geometry."""
        faults = sum((self._shapes(window)[2] for window in windows), Counter[RowFault]())
        faults[RowFault.NO_GEOMETRY] += self.rows.without_geometry()
        return +faults

    def strange_words(self) -> tuple[str, ...]:
        """Words of the column, sorted, that have no code."""
        return tuple(word for word in words_in(self) if self.words is not None and spelled(word) not in self.words)

    def _shapes(self, window: Window) -> tuple[Any, npt.NDArray[np.int64], Counter[RowFault]]:
        """Shapes (N,) that may meet the window and their codes, and why other rows have none."""
        frame = self.rows.near(self._bounds(window), [self.column] if self.column else [])
        with vector_errors(lambda why: self._misplaced(window, why)):
            moved = frame.geometry.to_crs(window.epsg).to_numpy()
            held = points_of(moved) if self.rows.pointed else polygons_of(moved)
        if self.column is None:
            return held.shapes, np.ones(len(held.shapes), np.int64), held.faults
        codes, given = self._integers(frame[self.column].iloc[held.rows])
        faults = held.faults + Counter({RowFault.NO_CODE: int((~given).sum())})
        return held.shapes[given], codes, faults

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
    path: Path, what: str, columns: tuple[str, ...], *, mask: bool = False, layer: str | None = None
) -> VectorCodes:
    """Open polygons, or, where it is no ``mask``, points; ``columns``: names that a column of codes may have. Raises `RequestError`."""
    rows = open_rows(path, what, layer, points=not mask)
    column = _code_column(path, what, columns, rows.types, mask)
    return VectorCodes(rows, column, what)


def words_in(codes: VectorCodes) -> tuple[str, ...]:
    """The different words of the column, sorted as they are spelled; none where it holds codes, as numbers or as text."""
    if codes.column is None or codes.column.lower() not in _WORDED or codes.rows.types[codes.column] not in _TEXT:
        return ()
    words: dict[str, str] = {}
    for value in codes.rows.column(codes.column):
        if (word := word_of(value)) is not None:
            words.setdefault(spelled(word), word)
    if all(word.removeprefix("-").isdecimal() for word in words):
        return ()
    return tuple(words[key] for key in sorted(words))


def _code_column(path: Path, what: str, columns: tuple[str, ...], types: dict[str, str], mask: bool) -> str | None:
    """The column by its name, whatever the case (a shapefile cuts names to ten letters), else the only integer one, else of words."""
    for wanted in columns:
        for name in types:
            if name and name.lower() in (wanted, wanted[:10]):
                return name
    if mask:
        return None
    integers = [
        name
        for name, kind in types.items()
        if name and kind.startswith(("int", "uint")) and name.lower() not in _NUMBERS_OF_ROWS
    ]
    worded = [name for name, kind in types.items() if kind in _TEXT and name.lower() in _WORDED]
    for fitting in (worded, integers):
        if len(fitting) == 1:
            return fitting[0]
    listed = shortened(", ".join(f"{name} ({kind})" for name, kind in types.items()), 300) or "none"
    raise RequestError(
        f"{what} {path}: which column holds the codes? There are: {listed}. Rename the one meant to source_code."
    )
