"""A file read in many pieces, each of its blocks decoded once.

A block (a JP2 tile, a block of a COG) reaches over several cells. Whoever needs it first decodes it; what the others need of it
is kept until they come. GDAL's block cache isn't relied on: it is one of the process, and of a fixed size.
"""

from __future__ import annotations

import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window as RasterWindow

from catalog.errors import StoreError
from processors.engine.limits import uninterruptible

KEPT_BYTES = 256 * 2**20
"""Limit of what all acquisitions of the process together keep in memory; the rest waits in scratch files. Two that are read at once over
50 km, which is as wide as a square area may be, keep 130 MB."""

_counting = threading.Lock()
_kept_bytes = 0


class Part(NamedTuple):
    """A rectangle of a file's own pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def intersection(self, other: Part) -> Part | None:
        """Part that both cover, or None."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Part(top, left, bottom, right) if top < bottom and left < right else None

    def slices(self, inner: Part) -> tuple[slice, slice]:
        """Row and column slices of ``inner`` (which lies inside) in an array of this part."""
        return (
            slice(inner.top - self.top, inner.bottom - self.top),
            slice(inner.left - self.left, inner.right - self.left),
        )


class Filed(NamedTuple):
    """An array that waits in a file, without a header: `np.save` of a part of an array takes four times as long."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


Kept = npt.NDArray[Any] | Filed


class Scratch:
    """Keeps arrays: in memory while the process keeps few, else in files of a folder. For one acquisition, then closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = 0

    def keep(self, values: npt.NDArray[Any]) -> Kept:
        """Keep a block for `take`. Raises `StoreError` where the disk is full."""
        if self._count(values.nbytes):
            return values.copy()
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise StoreError(
                f"can't write scratch files in {self._folder}: {error}. Free some space, or set TMPDIR to a larger disk."
            ) from error
        return Filed(Path(file.name), values.dtype, values.shape)

    def take(self, kept: Kept) -> npt.NDArray[Any]:
        """Hand out a block that was kept, and forget it."""
        if isinstance(kept, Filed):
            values: npt.NDArray[Any] = np.fromfile(kept.path, kept.dtype).reshape(kept.shape)
            kept.path.unlink()
            return values
        self._count(-kept.nbytes)
        return kept

    def close(self) -> None:
        """Give up what wasn't taken."""
        self._count(-self._held)

    def _count(self, number: int) -> bool:
        global _kept_bytes
        with _counting:
            if number > 0 and _kept_bytes + number > KEPT_BYTES:
                return False
            _kept_bytes += number
            self._held += number
            return True


class BlockReader:
    """Reads parts of a dataset's first band. One thread at a time."""

    def __init__(self, dataset: rasterio.DatasetReader, parts: Iterable[Part], scratch: Scratch) -> None:
        """``parts``: all that will be asked for, each as often as it will be; the order doesn't matter."""
        self._dataset = dataset
        self._waiting = list(parts)
        self._scratch = scratch
        self.decoded_bytes = 0
        """Of raw numbers, decoded so far."""
        self._decoded: set[tuple[int, int]] = set()
        self._kept: dict[Part, list[tuple[Part, Kept]]] = defaultdict(list)

    def read(self, part: Part) -> npt.NDArray[Any]:
        """Raw numbers (H, W), good until this thread reads again. Raises `RasterioError` where they can't be read."""
        self._waiting.remove(part)
        raw = self._joined(part, self._kept.pop(part, []), list(self._undecoded(part)))
        if part in self._waiting:  # a small file is all that several cells need
            self._kept[part] = [(part, self._scratch.keep(raw))]
        return raw

    def _joined(self, part: Part, kept: Sequence[tuple[Part, Kept]], fresh: Sequence[Part]) -> npt.NDArray[Any]:
        if not kept and len(fresh) == 1:  # whole blocks hold it all: no need to copy it
            return self._decoded_blocks(fresh[0], part)[fresh[0].slices(part)]
        raw = _buffer("part", part.shape, self._dataset.dtypes[0])
        for piece, token in kept:
            raw[part.slices(piece)] = self._scratch.take(token)
        for whole in fresh:
            values = self._decoded_blocks(whole, part)
            if (inner := whole.intersection(part)) is not None:
                raw[part.slices(inner)] = values[whole.slices(inner)]
        return raw

    def _decoded_blocks(self, whole: Part, part: Part) -> npt.NDArray[Any]:
        """Decode whole blocks for one part; what others will need of them is kept."""
        values = read_part(self._dataset, whole)
        self.decoded_bytes += values.nbytes
        for other in set(self._waiting) - {part}:
            if (shared := whole.intersection(other)) is not None:
                self._kept[other].append((shared, self._scratch.keep(values[whole.slices(shared)])))
        return values

    def _undecoded(self, part: Part) -> Iterator[Part]:
        """Rectangles of whole blocks that the part needs and nobody had yet; from now on they count as decoded."""
        height, width = self._dataset.block_shapes[0]
        rectangles: list[list[int]] = []  # in blocks: top, left, bottom, right
        for row in range(part.top // height, -(-part.bottom // height)):
            for left, right in self._runs(row, part.left // width, -(-part.right // width)):
                above = next((one for one in rectangles if one[1:] == [left, row, right]), None)
                if above is not None:
                    above[2] = row + 1
                else:
                    rectangles.append([row, left, row + 1, right])
        for top, left, bottom, right in rectangles:
            yield Part(
                top * height,
                left * width,
                min(bottom * height, self._dataset.height),
                min(right * width, self._dataset.width),
            )

    def _runs(self, row: int, first: int, end: int) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        for column in range(first, end):
            if (row, column) in self._decoded:
                continue
            self._decoded.add((row, column))
            if runs and runs[-1][1] == column:
                runs[-1] = runs[-1][0], column + 1
            else:
                runs.append((column, column + 1))
        return runs


def read_part(dataset: rasterio.DatasetReader, part: Part) -> npt.NDArray[Any]:
    """The only call that decodes; its array is good until this thread reads again. Raises `RasterioError`."""
    height, width = part.shape
    values = _buffer("blocks", part.shape, dataset.dtypes[0])
    with uninterruptible():
        dataset.read(1, window=RasterWindow(part.left, part.top, width, height), out=values)
    return values


class _Buffers(threading.local):
    """Memory that a thread reads into again and again: fresh memory must be cleared, and scatters the heap."""

    def __init__(self) -> None:
        self.by_name: dict[str, npt.NDArray[np.uint8]] = {}


_buffers = _Buffers()


def _buffer(name: str, shape: tuple[int, int], dtype: str) -> npt.NDArray[Any]:
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    if name not in _buffers.by_name or _buffers.by_name[name].size < size:
        _buffers.by_name[name] = np.empty(size, np.uint8)
    return _buffers.by_name[name][:size].view(dtype).reshape(shape)
