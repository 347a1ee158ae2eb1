"""Points on pixels: the pixel that each falls in, or a round parcel around it; and pixels on which points of different classes meet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from processors.patches.codes import Coded

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """Pixels (N,) of points: the point that each is of, its column counted from easting 0, and its upper edge as `Window.top` is."""

    points: Numbers
    columns: Numbers
    uppers: Numbers

    def within(self, window: Window) -> tuple[Covered, Numbers]:
        """Those in a window, and where they lie in its flat array."""
        rows, columns = window.top - self.uppers, self.columns - window.left
        there = (rows >= 0) & (rows < window.height) & (columns >= 0) & (columns < window.width)
        part = Covered(self.points[there], self.columns[there], self.uppers[there])
        return part, rows[there] * window.width + columns[there]


def covered_by_points(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], radii: npt.NDArray[np.float64]
) -> Covered:
    """The pixels of points (N,) at ``x`` and ``y`` in the metres of a zone: the one that each falls in, and those whose centres lie within
    its radius, m; ordered by point."""
    columns, uppers = np.floor(x / PIXEL).astype(np.int64), np.ceil(y / PIXEL).astype(np.int64)
    points = np.arange(len(x))
    round_ones = np.flatnonzero(radii > 0).tolist()
    parts = [Covered(points, columns, uppers)]
    parts += [_around(point, float(x[point]), float(y[point]), float(radii[point])) for point in round_ones]
    every = Covered(*(np.concatenate(of) for of in zip(*((p.points, p.columns, p.uppers) for p in parts), strict=True)))
    order = np.argsort(every.points, kind="stable")
    return Covered(every.points[order], every.columns[order], every.uppers[order])


def _around(point: int, x: float, y: float, radius: float) -> Covered:
    """Pixels whose centres lie in the circle, but for the one that the point falls in."""
    columns = np.arange(math.floor((x - radius) / PIXEL), math.ceil((x + radius) / PIXEL))
    uppers = np.arange(math.ceil((y - radius) / PIXEL), math.ceil((y + radius) / PIXEL) + 1)
    east, north = (columns + 0.5) * PIXEL - x, (uppers - 0.5) * PIXEL - y
    inside = north[:, None] ** 2 + east[None, :] ** 2 <= radius**2
    inside[uppers == math.ceil(y / PIXEL)] &= columns != math.floor(x / PIXEL)
    rows, places = np.nonzero(inside)
    return Covered(np.full(len(rows), point), columns[places], uppers[rows])


def laid_on(window: Window, covered: Covered, codes: Numbers, classes: Numbers) -> Coded:
    """The codes of points on the pixels of a window; ``codes`` and ``classes``: (points,).

    A pixel on which points of different classes meet is unknown; of one class's codes the lowest stands.
    """
    part, places = covered.within(window)
    coded = Coded(np.zeros(window.shape, np.int64), np.zeros(window.shape, np.bool_))
    if not len(places):
        return coded
    own, kinds = codes[part.points], classes[part.points]
    order = np.lexsort((own, places))
    places, own, kinds = places[order], own[order], kinds[order]
    at, first = np.unique(places, return_index=True)
    alike = np.minimum.reduceat(kinds, first) == np.maximum.reduceat(kinds, first)
    coded.codes.reshape(-1)[at[alike]] = own[first[alike]]
    coded.known.reshape(-1)[at[alike]] = True
    rows, columns = np.divmod(at[~alike], window.width)
    uppers: Iterable[int] = (window.top - rows).tolist()
    contradicted = frozenset(zip((window.left + columns).tolist(), uppers, strict=True))
    return Coded(coded.codes, coded.known, contradicted)
