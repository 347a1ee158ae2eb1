"""What a map says of parcels: their crop, its share, and its confidence, counted block by block."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window as RasterWindow

from catalog.grid import Window
from catalog.legend import MAP_NO_DATA


class NumberLayers(Protocol):
    """Numbers of parcels on the pixels of windows."""

    def read(self, window: Window) -> tuple[npt.NDArray[np.int32], ...]:
        """Layers (H, W) of numbers from 1 on, 0 for none."""


@dataclass(frozen=True, slots=True, eq=False)
class MapOfParcels:
    """What a map says of N parcels: their map value (255 where nothing), pixels mapped, its share of these, mean confidence; each (N,)."""

    value: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]


def map_of_parcels(
    layers: NumberLayers,
    count: int,
    classes: Path,
    confidence: Path | None,
    values: Sequence[int],
    area_window: Window,
    blocks: Sequence[Window],
) -> MapOfParcels:
    """Count what a class map shows in each of ``count`` parcels; the crop of most pixels is theirs, of several the one of lower value.

    ``values``: those that the map can show; ``area_window``: what the rasters cover; ``blocks``: those that hold parcels.
    """
    known = np.array(sorted(values), np.int64)
    index = np.full(256, len(known), np.int64)
    index[known] = np.arange(len(known))
    width = len(known) + 1  # the last for what the map doesn't say
    counts = np.zeros((count, width), np.int32)
    sums, seen = np.zeros(count), np.zeros(count, np.int64)
    with rasterio.open(classes) as raster, _opened(confidence) as sure:
        for block in blocks:
            place = RasterWindow(block.left - area_window.left, area_window.top - block.top, block.width, block.height)
            kinds = index[raster.read(1, window=place)].ravel()
            trust = None if sure is None else sure.read(1, window=place).ravel()
            for layer in layers.read(block):
                here = np.flatnonzero(layer)
                own, local = np.unique(layer.ravel()[here], return_inverse=True)
                pairs = np.bincount(local * width + kinds[here], minlength=len(own) * width)
                counts[own - 1] += pairs.reshape(len(own), width).astype(np.int32)
                if trust is not None:
                    finite = np.isfinite(trust[here]) & (kinds[here] < len(known))
                    sums[own - 1] += np.bincount(local[finite], trust[here][finite], len(own))
                    seen[own - 1] += np.bincount(local[finite], minlength=len(own))
    shown = counts[:, :-1]
    pixels = shown.sum(axis=1, dtype=np.int64)
    best = shown.argmax(axis=1) if len(known) else np.zeros(count, np.int64)
    value = np.where(pixels > 0, known[best] if len(known) else 0, MAP_NO_DATA).astype(np.uint8)
    most = shown[np.arange(count), best] if len(known) else np.zeros(count)
    return MapOfParcels(value, pixels, _ratio(most, pixels), _ratio(sums, seen))


def _ratio(
    upper: npt.NDArray[np.floating] | npt.NDArray[np.integer], lower: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    ratio = np.full(len(lower), np.nan)
    np.divide(upper, lower, out=ratio, where=lower > 0)
    return ratio


def _opened(path: Path | None) -> AbstractContextManager[Any]:
    return nullcontext() if path is None else rasterio.open(path)
