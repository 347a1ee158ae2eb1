"""Random crops of the training patches, flipped, turned, with dates left out and seasons cut short: what one training step sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agrunet.data.composites import WINDOWS, composited
from agrunet.data.inputs import Batch, stack
from agrunet.data.patches import UNKNOWN, LabelledSource, Patch
from agrunet.data.season import month_ends
from agrunet.data.training_pixels import seen_only, training_label

_CACHE_BYTES = 2**30
"""Bytes of patches that one process keeps in memory."""


_LEAST_MONTHS = 3
"""Months that a season which is cut short keeps at least a part of; shorter seasons are not cut."""


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    patch: Patch
    label: npt.NDArray[np.int16]
    pixels: npt.NDArray[np.int64]


class RandomCrops:
    """Random square crops, each around a random pixel to learn from."""

    def __init__(
        self,
        folder: LabelledSource,
        counts: npt.NDArray[np.int64],
        size: int,
        date_dropout: float,
        seed: tuple[int, ...],
        truncation: float = 0.0,
        composites: float = 0.0,
    ) -> None:
        """Draw from the patches of ``folder`` by their ``counts`` of training pixels.

        ``size``: edge of a crop, pixels; ``date_dropout``: part of the dates left out on average; ``seed``: fixes all draws;
        ``truncation``: part of the crops whose season ends early, at a day drawn from the third month's first on;
        ``composites``: part of the batches whose dates are joined to composites of ten or thirty days.
        """
        self._folder = folder
        self._weights = counts / counts.sum()
        self._size = size
        self._date_dropout = date_dropout
        self._truncation = truncation
        days = list(month_ends(folder.header).values())
        self._ends = days[1] if len(days) > _LEAST_MONTHS - 1 else days[-1], days[-1]
        self._rng = np.random.default_rng(seed)
        self._composites = composites
        first = folder.read(0)
        entry_bytes = first.values.nbytes + first.clear.nbytes
        self._entry = lru_cache(maxsize=max(1, _CACHE_BYTES // entry_bytes))(self._load)

    def batches(self, steps: int, batch: int) -> Iterator[tuple[Batch, Tensor]]:
        """Draw ``steps`` batches of crops with their labels (B, h, w) int64."""
        for _ in range(steps):
            kept = 1 - self._rng.uniform(0, 2 * self._date_dropout)
            window = self._window()
            crops = [self._draw(kept, window) for _ in range(batch)]
            labels = np.stack([crop.label for crop in crops if crop.label is not None])
            yield stack(crops), torch.from_numpy(labels.astype(np.int64))

    def _window(self) -> int:
        """Days of a batch's composites; 0 where its dates stay as they are."""
        if not self._composites or self._rng.uniform() >= self._composites:
            return 0
        return int(self._rng.choice(WINDOWS))

    def _load(self, index: int) -> _Entry:
        patch = self._folder.read(index)
        label = training_label(self._folder, index, patch.label)
        pixels = np.flatnonzero(label != UNKNOWN)
        return _Entry(patch, seen_only(self._folder, patch.clear, label), pixels)

    def _draw(self, kept: float, window: int) -> Patch:
        entry = self._entry(int(self._rng.choice(len(self._weights), p=self._weights)))
        T, _, H, W = entry.patch.values.shape
        pixel = int(self._rng.choice(entry.pixels))
        row, column = divmod(pixel, W)
        top, left = self._start(row, H), self._start(column, W)
        # The same number of dates for a whole batch: nothing is padded where all series have one length.
        dates = np.sort(self._rng.permutation(T)[: max(1, round(T * kept))])
        rows, columns = slice(top, top + self._size), slice(left, left + self._size)
        label = entry.label[rows, columns]
        if self._truncation and self._rng.random() < self._truncation:
            there = self._until_then(entry.patch, pixel)
            dates = dates[: max(1, int(np.searchsorted(dates, there)))]
            label = seen_only(self._folder, entry.patch.clear[:there, rows, columns], label)
        turns, flip = int(self._rng.integers(4)), bool(self._rng.integers(2))
        made = Patch(
            # Cut before the dates are chosen: choosing copies.
            values=_turned(entry.patch.values[:, :, rows, columns][dates], turns, flip),
            clear=_turned(entry.patch.clear[:, rows, columns][dates], turns, flip),
            days=entry.patch.days[dates],
            label=_turned(label, turns, flip),
        )
        return composited(made, window, first=int(self._rng.integers(-window, 1))) if window else made

    def _until_then(self, patch: Patch, pixel: int) -> int:
        """Number of dates before a day at which the season ends: late enough that the pixel is seen often enough to be mapped."""
        seen = patch.days[patch.clear.reshape(len(patch.days), -1)[:, pixel]]
        needed, (first, last) = self._folder.header.min_acquisitions, self._ends
        if len(seen) < needed:
            return len(patch.days)
        least = max(first, int(seen[needed - 1]) + 1)
        return int(np.searchsorted(patch.days, self._rng.integers(least, max(least, last) + 1)))

    def _start(self, pixel: int, edge: int) -> int:
        return int(self._rng.integers(max(0, pixel - self._size + 1), min(pixel, edge - self._size) + 1))


def _turned(array: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    turned = np.rot90(array, turns, axes=(-2, -1))
    return turned[..., ::-1] if flip else turned
