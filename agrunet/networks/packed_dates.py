"""Batches of series of unequal length, in memory as convolutions like them.

The dates of a batch lie *packed*: only the valid ones, as (N, C, H, W) in channels-last memory, N being their number. So batch
statistics are taken over valid dates by construction, and padded dates cost nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dates:
    """The valid dates of a batch, ``valid`` (B, T), bool: packs them and lays them out again."""

    def __init__(self, valid: Tensor, all_valid: bool | None = None) -> None:
        """Index the valid dates. ``all_valid``: whether there is no padding, where that is known; else it is looked up."""
        self.batch, self.steps = valid.shape
        self.valid = valid
        # One look at the device per batch; a batch without padding needs no index and no copy.
        self.all_valid = bool(valid.all()) if all_valid is None else all_valid
        self._index = None if self.all_valid else valid.flatten().nonzero().squeeze(1)

    def pack(self, images: Tensor) -> Tensor:
        """Take the valid ones (N, C, H, W) of (B·T, C, H, W)."""
        if self._index is None:
            return images
        return as_images(as_memory(images).index_select(0, self._index))

    def unpack(self, packed: Tensor) -> Tensor:
        """Lay (N, C, H, W) out as (B, T, H, W, C), contiguous, with zeros where a date is padding. No copy without padding."""
        memory = as_memory(packed)
        if self._index is not None:
            blank = memory.new_zeros((self.batch * self.steps, *memory.shape[1:]))
            memory = blank.index_copy(0, self._index, memory)
        return memory.reshape(self.batch, self.steps, *memory.shape[1:])

    def mean(self, packed: Tensor) -> Tensor:
        """Mean over the valid dates: (N, C, H, W) to (B, C, H, W)."""
        series = self.unpack(packed)
        if self.all_valid:
            return as_images(series.mean(1))
        # Not the mean of all, scaled: its rounding would depend on the padding.
        count = self.valid.sum(1).clamp(min=1).view(-1, 1, 1, 1)
        return as_images((series.sum(1) / count).to(series.dtype))

    def split(self, packed: Tensor) -> list[tuple[Dates, Tensor]]:
        """Split a batch into its series: the dates (one row) and the images of each."""
        if self.batch == 1:
            return [(self, packed)]
        parts = torch.split(packed, self.valid.sum(1).tolist())
        return [(Dates(valid), part) for valid, part in zip(torch.split(self.valid, 1), parts, strict=True)]


def as_memory(images: Tensor) -> Tensor:
    """View (N, C, H, W) as it lies in channels-last memory: (N, H, W, C)."""
    return images.permute(0, 2, 3, 1)


def as_images(memory: Tensor) -> Tensor:
    """View (N, H, W, C) as (N, C, H, W) in channels-last memory."""
    return memory.permute(0, 3, 1, 2)


def columns(memory: Tensor) -> Tensor:
    """View (B, T, H, W, C) as images of T rows and H·W columns: (B, C, T, H·W), channels last, without a copy."""
    B, T, H, W, C = memory.shape
    return memory.reshape(B, T, H * W, C).permute(0, 3, 1, 2)


def channels_last(module: nn.Module) -> None:
    """Lay the weights of 2-D and 3-D convolutions out as the images lie, channels last, in place."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        elif parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def pack_series(values: Tensor, valid: Tensor | None) -> tuple[Tensor, Dates]:
    """Pack (B, T, C, H, W) as the valid dates (N, C, H, W), channels last, with the `Dates` that lay them out again."""
    dates = series_dates(values, valid)
    return dates.pack(values.flatten(0, 1).contiguous(memory_format=torch.channels_last)), dates


def series_dates(values: Tensor, valid: Tensor | None) -> Dates:
    """Find the dates of (B, T, C, H, W); without ``valid`` all are real, which then isn't looked up on the device."""
    if valid is None:
        return Dates(torch.ones(values.shape[:2], dtype=torch.bool, device=values.device), all_valid=True)
    found: Dates = looked_up(valid)
    return found


def looked_up(valid: Tensor) -> Dates:
    """Look up the dates of ``valid`` (B, T); the only place where a compiled network stops to look at the device."""
    if not torch.compiler.is_compiling():
        return Dates(valid)
    from agrunet.networks.uncompiled import call  # brings the compiler with it, whose import takes a second

    found: Dates = call(Dates, valid)
    return found
