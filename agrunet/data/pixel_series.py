"""The series of the pixels to learn from, taken out of their patches: what is trained pixel by pixel wastes nothing on unknown ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agrunet.data.inputs import Batch
from agrunet.data.patches import UNKNOWN, LabelledSource
from agrunet.data.training_pixels import seen_only, training_label
from agrunet.errors import AgrunetError


@dataclass(frozen=True, slots=True, eq=False)
class PixelSeries:
    """Labelled series, padded at their ends: ``values`` (N, T, C) integers, ``clear``, ``days`` and ``valid`` (N, T), ``label`` (N,)."""

    values: npt.NDArray[np.uint16] | npt.NDArray[np.int16]
    clear: npt.NDArray[np.bool_]
    days: npt.NDArray[np.int32]
    valid: npt.NDArray[np.bool_]
    label: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.label)

    def where(self, chosen: npt.NDArray[np.bool_]) -> PixelSeries:
        """Keep the chosen ones, (N,)."""
        return PixelSeries(*(getattr(self, name)[chosen] for name in ("values", "clear", "days", "valid", "label")))

    def labels(self, rows: npt.NDArray[np.integer]) -> Tensor:
        """Labels (B, 1, 1) int64 of these series."""
        return torch.from_numpy(self.label[rows].astype(np.int64)).view(-1, 1, 1)

    def batch(self, rows: npt.NDArray[np.integer]) -> Batch:
        """Make a batch of these series, each a patch of one pixel."""
        arrays = (
            self.values[rows][..., None, None],
            self.clear[rows][..., None, None],
            self.days[rows],
            self.valid[rows],
        )
        return Batch(*(torch.from_numpy(array) for array in arrays))


def gather_pixels(source: LabelledSource, most: int, seed: int) -> PixelSeries:
    """Gather the pixels to learn from, at most about ``most``: of each class as many as fit, small ones whole; ``seed`` draws the others.

    Raises `AgrunetError` where none has enough clear dates.
    """
    labels = [training_label(source, index) for index in range(len(source))]
    counts = sum(np.bincount(label[label != UNKNOWN], minlength=len(source.header.classes)) for label in labels)
    kept = np.minimum(1, _limit(np.asarray(counts), most) / np.maximum(counts, 1))
    rng = np.random.default_rng((seed, len(labels)))
    parts = []
    for index, label in enumerate(labels):
        known = np.flatnonzero(label != UNKNOWN)
        known = known[rng.random(len(known)) < kept[label.reshape(-1)[known]]]
        if len(known):
            patch = source.read(index)
            seen = seen_only(source, patch.clear, label).reshape(-1)[known]
            pixels = known[seen != UNKNOWN]
            T, C = patch.values.shape[:2]
            values = patch.values.reshape(T, C, -1)[:, :, pixels].transpose(2, 0, 1)
            clear = patch.clear.reshape(T, -1)[:, pixels].T
            parts.append((values, clear, patch.days, label.reshape(-1)[pixels]))
    if not any(len(label) for *_, label in parts):
        raise AgrunetError(
            f"no labelled pixel has {source.header.min_acquisitions} clear dates, so there is nothing to learn from. "
            "Allow more clouds, or choose more months."
        )
    return _padded(parts)


def joined(series: Sequence[PixelSeries]) -> PixelSeries:
    """Put series of the same bands one behind the other."""
    parts = [(own.values, own.clear, own.days, own.valid, own.label) for own in series]
    dates = max(days.shape[1] for _, _, days, _, _ in parts)

    def padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.pad(a, [(0, 0), (0, dates - a.shape[1])] + [(0, 0)] * (a.ndim - 2)) for a in arrays])

    values, clear, days, valid, label = zip(*parts, strict=True)
    return PixelSeries(padded(values), padded(clear), padded(days), padded(valid), np.concatenate(label))


def _limit(counts: npt.NDArray[np.int64], most: int) -> float:
    """Pixels that a class may give at most, so that all classes together give about ``most``."""
    left, classes = float(most), len(counts)
    for number, count in enumerate(np.sort(counts).tolist()):
        share = left / (classes - number)
        if count > share:
            return share
        left -= count
    return float(counts.max())


def _padded(parts: list[tuple[np.ndarray, np.ndarray, npt.NDArray[np.int32], npt.NDArray[np.int16]]]) -> PixelSeries:
    N, T = sum(len(label) for *_, label in parts), max(len(days) for _, _, days, _ in parts)
    values = np.zeros((N, T, parts[0][0].shape[2]), parts[0][0].dtype)
    clear, valid = np.zeros((N, T), np.bool_), np.zeros((N, T), np.bool_)
    days, start = np.zeros((N, T), np.int32), 0
    for series, seen, moments, label in parts:
        rows, dates = slice(start, start + len(label)), slice(0, len(moments))
        values[rows, dates], clear[rows, dates], days[rows, dates], valid[rows, dates] = series, seen, moments, True
        start += len(label)
    return PixelSeries(values, clear, days, valid, np.concatenate([label for *_, label in parts]))


class PixelBatches:
    """Batches of series in random order, each pixel once before any comes again, changed as other seasons and skies would."""

    def __init__(self, series: PixelSeries, date_dropout: float, day_shift: float, seed: tuple[int, ...]) -> None:
        """Draw from ``series``.

        ``date_dropout``: part of the dates left out of each series, on average, up to twice that in a batch; ``day_shift``: standard
        deviation of the days by which a whole series is moved; ``seed``: fixes all draws.
        """
        self._series, self._date_dropout, self._day_shift = series, date_dropout, day_shift
        self._rng = np.random.default_rng(seed)

    def batches(self, steps: int, batch: int) -> Iterator[tuple[Batch, Tensor]]:
        """Draw ``steps`` batches of ``batch`` series with their labels (B, 1, 1) int64."""
        order = np.zeros(0, np.int64)
        for _ in range(steps):
            while len(order) < batch:
                order = np.concatenate([order, self._rng.permutation(len(self._series))])
            rows, order = order[:batch], order[batch:]
            yield self._changed(self._series.batch(rows)), self._series.labels(rows)

    def _changed(self, drawn: Batch) -> Batch:
        B, T = drawn.days.shape
        # As many dates in all series of a batch: nothing more is padded. Which ones they are differs.
        kept = max(1, round(T * (1 - self._rng.uniform(0, 2 * self._date_dropout))))
        dates = torch.from_numpy(np.sort(self._rng.permuted(np.tile(np.arange(T), (B, 1)), axis=1)[:, :kept], axis=1))
        shift = np.round(self._rng.normal(0, self._day_shift, (B, 1))).astype(np.int32)
        row = torch.arange(B).unsqueeze(1)
        moved = drawn.days[row, dates] + torch.from_numpy(shift)
        return Batch(drawn.values[row, dates], drawn.clear[row, dates], moved, drawn.valid[row, dates])
