"""The pattern of a synthetic farmland: blocks between roads, cut into parcels.

Sizes follow a log-normal distribution cut to 0.5 to 20 ha. France declared 9,517,891 parcels on 27,917,501 ha in 2018 (Registre
parcellaire graphique in EuroCrops), 2.9 ha in the mean, and cereals 4.4 ha; the classes of Lesiv et al. (2019) call 0.64 to 2.56 ha
small and 2.56 to 16 ha medium. The spread is chosen so that both prevail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from processors.simulation.land.crops import EDGE, HEDGE, ROAD, VILLAGE, WATER, WOOD
from processors.simulation.noise.seeded import keys, noise, uniform

Points = npt.NDArray[np.float64]
Point = tuple[float, float]
Line = tuple[Point, Point]

BLOCK = 1300.0
"""Mean edge of a block, m."""

MEDIAN_HECTARES, SIGMA = 2.3, 0.75
"""Distribution of the size at which a parcel isn't cut any more."""

SMALLEST, LARGEST = 0.5, 20.0
"""Hectares."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """One piece of land, convex."""

    number: int
    """Names it, everywhere and for good; 40 bits."""
    corners: Points
    """(K, 2) easting and northing, m, without the first repeated."""
    kind: int | None
    """Code of a background, or None for a field."""


@lru_cache(maxsize=4096)
def block_parcels(seed: int, column: int, row: int) -> tuple[Parcel, ...]:
    """The parcels of one block in the order they are painted: later ones lie on earlier ones, fields last."""
    random = np.random.default_rng([seed % 2**63, column % 2**32, row % 2**32, 11])
    base = int(keys(seed, column, row, 5) >> np.uint64(36)) << 12
    outline = [_corner(seed, column + i, row + j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    shapes: list[tuple[list[Point], int | None]] = [(outline, ROAD)]
    inner = outline
    for side, (east, north) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
        line = outline[side], outline[(side + 1) % 4]
        # Both blocks beside an edge name it alike: by its direction and its south-western end.
        edge = keys(seed, side % 2, column + max(east, 0), row + max(north, 0), 6)
        share = float(uniform(edge, 1))
        if (_height(seed, column, row) > 0) != (_height(seed, column + east, row + north) > 0):
            bank = 8 + 12 * share
            shapes.append((_clipped(outline, _moved(line, bank), keep_left=False), WATER))
            inner = _clipped(inner, _moved(line, bank + 5), keep_left=True)
        else:
            inner = _clipped(inner, _moved(line, 1.5 + 3.5 * share**2), keep_left=True)
    shapes.append((inner, EDGE))
    bushy = 0.08 + 0.30 * float(uniform(keys(seed, column // 6, row // 6, 7), 1))
    shapes += _cut(inner, random, bushy)
    village = _village(seed, column, row, outline)
    parcels = []
    for offset, (corners, kind) in enumerate(shapes):
        if len(corners) < 3:
            continue
        parcels.append(Parcel(base + offset, np.array(corners), _field_or(kind, corners, village, seed)))
    return tuple(parcels)


def _corner(seed: int, column: int, row: int) -> Point:
    key = keys(seed, column, row, 4)
    reach = 0.34 * BLOCK
    return (
        column * BLOCK + reach * (float(uniform(key, 1)) - 0.5),
        row * BLOCK + reach * (float(uniform(key, 2)) - 0.5),
    )


def _height(seed: int, column: int, row: int) -> float:
    """Rivers run between blocks of different sign."""
    return float(noise(seed, 8, np.array([row]), np.array([column]), 9)[0, 0]) + 0.35


def _village(seed: int, column: int, row: int, outline: list[Point]) -> tuple[float, float, float]:
    """Centre and radius, m; most blocks have none."""
    key = keys(seed, column, row, 9)
    radius = 0.0 if float(uniform(key, 1)) > 0.22 else 130 + 330 * float(uniform(key, 2)) ** 2
    toward = 0.25 + 0.5 * float(uniform(key, 3))
    (x, y), (u, v) = outline[0], outline[2]
    return x + toward * (u - x), y + toward * (v - y), radius


def _field_or(kind: int | None, corners: list[Point], village: tuple[float, float, float], seed: int) -> int | None:
    """The kind of a parcel: village and wood take whole parcels, a few are ponds."""
    if kind is not None:
        return kind
    x, y = (sum(values) / len(corners) for values in zip(*corners, strict=True))
    if math.hypot(x - village[0], y - village[1]) < village[2]:
        return VILLAGE
    node = np.array([math.floor(y / 100)]), np.array([math.floor(x / 100)])
    wooded = float(noise(seed, 10, *node, 23)[0, 0]) + 0.6 * float(noise(seed, 12, *node, 7)[0, 0])
    if wooded > 1.15:
        return WOOD
    return WATER if float(uniform(keys(seed, math.floor(x), math.floor(y), 13), 1)) < 0.004 else None


def _cut(outline: list[Point], random: np.random.Generator, bushy: float) -> list[tuple[list[Point], int | None]]:
    """Cut a block until its pieces are as small as drawn; strips between them stay verges or become hedges."""
    hedges: list[tuple[list[Point], int | None]] = []
    pieces: list[tuple[list[Point], int | None]] = []
    todo = [outline]
    while todo:
        piece = todo.pop()
        size = _area(piece) / 1e4
        if size < SMALLEST * 0.6:
            continue  # too small to be worked: it stays verge
        wanted = min(MEDIAN_HECTARES * math.exp(SIGMA * random.normal()), LARGEST / 1.45)
        if size < max(1.45 * wanted, 2 * SMALLEST) and size < LARGEST:
            pieces.append((piece, None))
            continue
        length, start, end = max((math.dist(a, b), a, b) for a, b in zip(piece, [*piece[1:], piece[0]], strict=True))
        along = math.atan2(end[1] - start[1], end[0] - start[0]) + random.normal(0, 0.03)
        # Mostly across the longest side; sometimes along it, which makes long fields.
        cross = along + (math.pi / 2 if random.random() < 0.72 or length > 2.2 * math.sqrt(size * 1e4) else 0)
        normal = (-math.sin(cross), math.cos(cross))
        reach = [x * normal[0] + y * normal[1] for x, y in piece]
        at = min(reach) + random.uniform(0.34, 0.66) * (max(reach) - min(reach))
        hedge = random.random() < bushy
        half = random.uniform(2.5, 6.0) if hedge else random.uniform(0.3, 1.8)
        through = normal[0] * at, normal[1] * at
        line = through, (through[0] + math.cos(cross), through[1] + math.sin(cross))
        if hedge:
            strip = _clipped(_clipped(piece, _moved(line, -half), keep_left=True), _moved(line, half), keep_left=False)
            hedges.append((strip, HEDGE))
        todo += [
            _clipped(piece, _moved(line, half), keep_left=True),
            _clipped(piece, _moved(line, -half), keep_left=False),
        ]
    return hedges + pieces


def _area(corners: list[Point]) -> float:
    """Area, m²."""
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True) if corners else ()
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def _moved(line: Line, distance: float) -> Line:
    """A line moved to its left, m."""
    (x, y), (u, v) = line
    length = math.dist(*line)
    dx, dy = -(v - y) / length * distance, (u - x) / length * distance
    return (x + dx, y + dy), (u + dx, v + dy)


def _clipped(corners: list[Point], line: Line, *, keep_left: bool) -> list[Point]:
    """Part of a convex polygon on one side of a line (Sutherland & Hodgman, 1974)."""
    (x, y), (u, v) = line
    sign = 1 if keep_left else -1
    heights = [sign * ((u - x) * (q - y) - (v - y) * (p - x)) for p, q in corners]
    kept: list[Point] = []
    for number, (here, height) in enumerate(zip(corners, heights, strict=True)):
        before, earlier = corners[number - 1], heights[number - 1]
        if (height > 0) != (earlier > 0):
            way = earlier / (earlier - height)
            kept.append((before[0] + way * (here[0] - before[0]), before[1] + way * (here[1] - before[1])))
        if height > 0:
            kept.append(here)
    return kept
