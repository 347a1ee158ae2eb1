"""Batches of whole patches: shuffled by seed and epoch, shared out over processes, read ahead by threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agrunet.data.inputs import Batch, stack
from agrunet.data.patches import UNKNOWN, LabelledSource, Patch
from agrunet.data.prefetch import prefetched
from agrunet.data.training_pixels import seen_only, training_label
from agrunet.training.distributed import Ranks

_AHEAD = 2
"""Batches made ahead."""


class PatchBatches:
    """Batches of whole patches. The order depends on seed and epoch alone, so that a resumed training sees what it would have seen."""

    def __init__(
        self, source: LabelledSource, indices: Sequence[int], batch: int, seed: int, group: Ranks, readers: int = 2
    ) -> None:
        """Batch the patches ``indices`` of ``source``. ``batch``: patches per step and process; ``readers``: threads that read."""
        self._source = source
        self._indices = np.asarray(indices)
        self._batch = batch
        self._seed = seed
        self._group = group
        self._readers = readers

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch, the same in every process."""
        return -(-len(self._indices) // (self._batch * self._group.world))

    def batches(self, epoch: int) -> Iterator[tuple[Batch, Tensor]]:
        """Yield this process's batches of one epoch, with their labels (B, H, W) int64."""
        return prefetched(self._made(epoch), _AHEAD)

    def _made(self, epoch: int) -> Iterator[tuple[Batch, Tensor]]:
        order = np.random.default_rng((self._seed, epoch)).permutation(self._indices)
        size = self._batch * self._group.world
        with ThreadPoolExecutor(self._readers, thread_name_prefix="patches") as pool:
            for step in range(self.steps):
                together = order[step * size : (step + 1) * size]
                mine = together[self._group.rank :: self._group.world]
                # A process that is left without a patch in the last step takes part with one that teaches nothing.
                read = pool.map(self._read, mine if len(mine) else together[:1])
                patches, labels = zip(*read, strict=True)
                teaching = np.stack(labels) if len(mine) else np.full_like(np.stack(labels), UNKNOWN)
                yield stack(patches), torch.from_numpy(teaching.astype(np.int64))

    def _read(self, index: int) -> tuple[Patch, npt.NDArray[np.int16]]:
        patch = self._source.read(int(index))
        return patch, seen_only(self._source, patch.clear, training_label(self._source, int(index), patch.label))
