"""Curves of a training for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from agrunet.training.saved_state import Epoch


class Curves:
    """Loss, scores and seconds by epoch, in TensorBoard's format. A training that goes on appends to its own."""

    def __init__(self, folder: Path | None) -> None:
        """Open the curves in ``folder``; None writes nothing (processes other than the first)."""
        self._writer = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and needed by trainings alone

            self._writer = SummaryWriter(folder)

    def add(self, entry: Epoch) -> None:
        """Add the figures of an epoch."""
        if self._writer is not None:
            for name in ("loss", "dice", "oa", "seconds"):
                tag = f"{'train' if name == 'loss' else 'stop'}/{name}" if name != "seconds" else name
                self._writer.add_scalar(tag, getattr(entry, name), entry.epoch)
            self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
