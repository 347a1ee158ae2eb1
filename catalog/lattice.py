"""Squares of a lattice that a geometry meets, found with work that grows with those, not with the lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

HAIR = 1e-3
"""Width of a strip that doesn't count, in the geometry's unit: a vertex that came back from longitude and latitude meets no more."""

_AT_ONCE = 64
"""Squares that are compared with a geometry in one go."""

Starts = npt.NDArray[np.int64]


def squares_meeting(
    geometry: BaseGeometry,
    wests: Sequence[int] | Starts,
    souths: Sequence[int] | Starts,
    edge: int,
    hair: float = HAIR,
) -> list[tuple[int, int]]:
    """(row, column) of the squares that share surface with a geometry, sorted.

    Square (r, c) begins at ``wests[c]`` and ``souths[r]``, both rising, and is ``edge`` wide and high. ``hair``: width of a strip along
    its edge that doesn't count; below 0, squares that are only touched count too.
    """
    met: set[tuple[int, int]] = set()
    squares = _Squares(np.asarray(wests, np.int64), np.asarray(souths, np.int64), edge, hair)
    for part in shapely.get_parts(geometry):
        shapely.prepare(part)
        squares.search(part, met, *squares.around(part))
    return sorted(met)


@dataclass(frozen=True, slots=True, eq=False)
class _Squares:
    """The lattice. Where a block of squares meets a polygon in part, its halves are looked at."""

    wests: Starts
    souths: Starts
    edge: int
    hair: float

    def around(self, part: BaseGeometry) -> tuple[int, int, int, int]:
        """First row and one beyond the last, first column and one beyond the last of those that a geometry's bounds meet."""
        west, south, east, north = part.bounds
        return (*self._between(self.souths, south, north), *self._between(self.wests, west, east))

    def _between(self, starts: Starts, low: float, high: float) -> tuple[int, int]:
        first = int(np.searchsorted(starts + self.edge, low + self.hair, side="right"))
        return first, int(np.searchsorted(starts, high - self.hair, side="left"))

    def search(
        self, part: BaseGeometry, met: set[tuple[int, int]], bottom: int, top: int, left: int, right: int
    ) -> None:
        """Add the squares met among rows ``bottom`` to ``top`` and columns ``left`` to ``right``, the ends exclusive."""
        if bottom >= top or left >= right:
            return
        if (top - bottom) * (right - left) <= _AT_ONCE:
            columns, rows = np.meshgrid(np.arange(left, right), np.arange(bottom, top))
            hit = shapely.intersects(part, self._boxes(rows, rows, columns, columns))
            met.update(zip(rows[hit].tolist(), columns[hit].tolist(), strict=True))
            return
        around = self._boxes(bottom, top - 1, left, right - 1)
        if not shapely.intersects(part, around):
            return
        if shapely.contains(part, around):
            met.update((row, column) for row in range(bottom, top) for column in range(left, right))
        elif top - bottom > right - left:
            middle = (bottom + top) // 2
            self.search(part, met, bottom, middle, left, right)
            self.search(part, met, middle, top, left, right)
        else:
            middle = (left + right) // 2
            self.search(part, met, bottom, top, left, middle)
            self.search(part, met, bottom, top, middle, right)

    def _boxes(self, bottom: Starts | int, top: Starts | int, left: Starts | int, right: Starts | int) -> Any:
        hair, edge = self.hair, self.edge
        return shapely.box(
            self.wests[left] + hair,
            self.souths[bottom] + hair,
            self.wests[right] + edge - hair,
            self.souths[top] + edge - hair,
        )
