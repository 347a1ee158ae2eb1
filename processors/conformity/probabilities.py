"""Class probabilities of parcels: sums over the pixels inside each, block by block of the blended results.

What a block says is small, and blocks are added up in their order: memory grows with the parcels, not with the area, and the sums are
the same however many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from catalog.area import Area
from catalog.grid import PIXEL, Window, blocks_meeting, to_zone
from catalog.storage.store import CellPath
from processors.engine.batches import in_batches
from processors.engine.protocol import Engine
from processors.mosaic import BLOCK, Block, Recipe, blended_block, cut_blocks
from processors.thematic.protocol import Fields, Job
from processors.thematic.sent_job import sent_job
from processors.views.declared import DeclaredLayers

INNER = 10.0
"""Metres off its border from which on a pixel's centre is inside a parcel: one nearer is of the neighbour in part."""


@dataclass(frozen=True, slots=True, eq=False)
class ParcelProbabilities:
    """What the season says of N parcels, over the pixels inside them; K classes."""

    mean: npt.NDArray[np.float64]
    """(N, K): mean probabilities, NaN where no pixel is mapped."""
    share: npt.NDArray[np.float64]
    """(N, K): of the mapped pixels, those whose most probable class it is; NaN where there is none."""
    pixels: npt.NDArray[np.int64]
    """(N,): mapped pixels."""
    expected: npt.NDArray[np.float64]
    """(N,): pixels that the parcel's inside has room for, in the area or not."""
    in_area: npt.NDArray[np.float64]
    """(N,): of these, in the area."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    block: Block
    numbers: tuple[npt.NDArray[np.int32], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Sums (n, K), pixels by most probable class (n, K), of the parcels of those numbers (n,)."""

    numbers: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


def parcel_probabilities(
    processor: str,
    job: Job,
    classes: int,
    windows: Sequence[Window],
    results: CellPath,
    area: Area,
    area_window: Window,
    polygons: npt.NDArray[Any],
    engine: Engine,
    progress: Callable[[int, int], None] | None = None,
) -> ParcelProbabilities:
    """Probabilities of ``polygons`` (N,), in the zone's metres, from the results of the patches (``windows``, in their order).

    ``progress`` is told (blocks done, blocks in all); blocks without a parcel are not read.
    """
    inner = shapely.buffer(polygons, -INNER)
    zone_area = to_zone(area, area_window.epsg)
    touched = blocks_meeting(zone_area, area_window, BLOCK)
    tree = shapely.STRtree(inner)
    touched = [window for window in touched if len(tree.query(shapely.box(*window.bounds)))]
    layers = DeclaredLayers(inner)

    def pieces() -> Iterator[_Piece]:
        for block in cut_blocks(touched, windows, zone_area):
            yield _Piece(block, layers.read(block.window))

    total = np.zeros((len(polygons), classes))
    counts = np.zeros((len(polygons), classes), np.int64)
    recipe = Recipe(sent_job(processor, job, results), results)
    for done, sums in enumerate(in_batches(engine, partial(_block_sums, recipe), pieces()), start=1):
        for layer in sums:
            total[layer.numbers - 1] += layer.total
            counts[layer.numbers - 1] += layer.classes
        if progress is not None:
            progress(done, len(touched))
    pixels = counts.sum(axis=1)
    divisor = np.where(pixels > 0, pixels, np.nan)[:, None]
    expected = shapely.area(inner) / PIXEL**2
    shapely.prepare(zone_area)
    beyond = ~shapely.covers(zone_area, inner)
    in_area = expected.copy()
    in_area[beyond] = shapely.area(shapely.intersection(inner[beyond], zone_area)) / PIXEL**2
    return ParcelProbabilities(total / divisor, counts / divisor, pixels, expected, in_area)


def _block_sums(recipe: Recipe, piece: _Piece) -> tuple[_Sums, ...]:
    fields = blended_block(recipe, piece.block)
    return tuple(_of_numbers(fields, layer) for layer in piece.numbers)


def _of_numbers(fields: Fields, numbers: npt.NDArray[np.int32]) -> _Sums:
    here = np.flatnonzero((numbers.ravel() > 0) & np.isfinite(fields).all(axis=0).ravel())
    own, local = np.unique(numbers.ravel()[here], return_inverse=True)
    values = fields.reshape(len(fields), -1)[:, here]
    total = np.zeros((len(own), len(fields)))
    for number, of_class in enumerate(values):
        total[:, number] = np.bincount(local, of_class.astype(np.float64), len(own))
    best = values.argmax(axis=0) if here.size else np.zeros(0, np.int64)
    counts = np.bincount(local * len(fields) + best, minlength=len(own) * len(fields)).reshape(len(own), len(fields))
    return _Sums(own.astype(np.int64), total, counts.astype(np.int64))
