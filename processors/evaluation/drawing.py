"""Drawing of a stratified random sample from the pixels of a delivered map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.errors import RequestError
from catalog.legend import LegendClass, spelled
from catalog.quoting import shown
from processors.delivery.areas import map_blocks
from processors.delivery.delivered_map import DeliveredMap
from processors.evaluation.allocation import LEAST, allocate, reached, sample_size
from processors.evaluation.design import Ground, Point, SampleDesign, Stratum

MINIMUM = 50
"""Points of a rare class, where the user says nothing: the least that Olofsson et al. (2014) advise."""

STANDARD_ERROR = 0.02
"""Of the overall accuracy: its 95 % interval is then ± 0.04."""

EXPECTED = 0.8
"""User's accuracy of a class of which the user guesses none."""

MOST = 100_000
"""Points that a sample may have."""


@dataclass(frozen=True, slots=True)
class SampleWish:
    """What a sample has to be. ``points``: in all; else as many as bring the overall accuracy to ``standard_error``."""

    points: int | None = None
    standard_error: float = STANDARD_ERROR
    expected: Mapping[str, float] | None = None
    """User's accuracies that are guessed, by the name of the class."""
    minimum: int = MINIMUM
    seed: int = 0


def draw_sample(delivered: DeliveredMap, wish: SampleWish) -> SampleDesign:
    """Draw points from the map's pixels, in each stratum at random and without replacement; the same seed draws the same points.

    Raises `RequestError` where the wish can't be had of this map.
    """
    rows = [row for row in delivered.areas.rows if row.pixels]
    if not rows:
        raise RequestError("map: it shows no class anywhere, so there is nothing to draw points from.")
    sizes = np.array([row.pixels for row in rows], np.int64)
    counts = _counts(wish, [row.entry for row in rows], sizes)
    random = np.random.default_rng(wish.seed)
    ranks = [
        np.sort(random.choice(size, count, replace=False, shuffle=False))
        for size, count in zip(sizes, counts, strict=True)
    ]
    places = _places(delivered, [row.entry.value for row in rows], ranks)
    order = random.permutation(
        len(places)
    )  # numbers that follow the strata would tell the interpreter what the map shows
    points = tuple(
        Point(id=number, value=int(value), column=int(column), row=int(row))
        for number, (value, column, row) in enumerate(places[order], start=1)
    )
    return SampleDesign(
        map=delivered.identifier,
        map_sha256=delivered.checksum,
        seed=wish.seed,
        ground=Ground.of(delivered.window, delivered.areas.mapped),
        strata=tuple(
            Stratum(value=row.entry.value, name=row.entry.name, pixels=row.pixels, points=int(count))
            for row, count in zip(rows, counts, strict=True)
        ),
        points=points,
    )


def _counts(wish: SampleWish, entries: list[LegendClass], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Points by stratum."""
    expected = _expected(wish, entries)
    minimum = max(LEAST, wish.minimum)
    least = int(np.minimum(sizes, minimum).sum())
    if wish.points is None:
        return _enough(wish, expected, sizes, minimum, least)
    if wish.points < least:  # what the user can afford is shared evenly then
        minimum = max(LEAST, wish.points // len(sizes))
        if int(np.minimum(sizes, minimum).sum()) > wish.points:
            raise RequestError(
                f"points: {wish.points} for {len(sizes)} classes. At least {LEAST} of each are needed to estimate an error: "
                f"ask for {LEAST * len(sizes)} or more."
            )
    return allocate(sizes, wish.points, minimum)


def _enough(
    wish: SampleWish, expected: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64], minimum: int, least: int
) -> npt.NDArray[np.int64]:
    """Points by stratum that lead to the standard error: more than the formula says, since rare classes get more than their share."""
    total = max(sample_size(sizes, expected, wish.standard_error), least)
    while total <= MOST:
        counts = allocate(sizes, total, minimum)
        if reached(sizes, counts, expected) <= wish.standard_error or total >= sizes.sum():
            return counts
        total += max(1, total // 100)
    raise RequestError(
        f"standard_error: {wish.standard_error:g} takes more than {MOST:,} points, the most that are drawn. Ask for a larger one."
    )


def _expected(wish: SampleWish, entries: list[LegendClass]) -> npt.NDArray[np.float64]:
    guessed = {spelled(name): accuracy for name, accuracy in (wish.expected or {}).items()}
    names = [spelled(entry.name) for entry in entries]
    if strange := sorted(set(guessed) - set(names)):
        listed = ", ".join(entry.name for entry in entries)
        raise RequestError(f"expect: the map shows no class {shown(strange[0])}. It shows {listed}.")
    return np.array([guessed.get(name, EXPECTED) for name in names])


def _places(delivered: DeliveredMap, values: list[int], ranks: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Value, column and row (n, 3) of the pixels that have those ranks among the pixels of their value, block by block."""
    passed = np.zeros(len(values), np.int64)
    window, found = delivered.window, []
    for block, pixels in map_blocks(delivered.item.map_file, delivered.zone_area):
        flat = pixels.ravel()
        for number, value in enumerate(values):
            here = np.flatnonzero(flat == value)
            first, last = np.searchsorted(ranks[number], (passed[number], passed[number] + len(here)))
            places = here[ranks[number][first:last] - passed[number]]
            passed[number] += len(here)
            rows, columns = np.divmod(places, block.width)
            found.append(
                np.column_stack(
                    (np.full(len(places), value), columns + block.left - window.left, rows + window.top - block.top)
                )
            )
    return np.concatenate(found)
