"""Inputs of the network, made from stored integers: clouds and normalisation, the same in training and inference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.settings import Frozen

CloudInput = Literal["raw", "interpolate", "zero"]
"""Input of the network where a pixel is not clear: the value as it is; the line in time between the pixel's clear dates, its ends held;
or zero (the band's mean), with the clear mask as one more channel."""


class Normalisation(Frozen):
    """Z-score: (value - mean) / std, band by band, in units of the stored integers."""

    mean: Annotated[tuple[float, ...], Field(description="of the clear training pixels")]
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(description="of the clear training pixels")]

    @model_validator(mode="after")
    def _consistent(self) -> Normalisation:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} standard deviations")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Series stacked, padded at their ends: ``values`` (B, T, C, H, W) integers, ``clear`` (B, T, H, W), ``days``, ``valid`` (B, T)."""

    values: Tensor
    clear: Tensor
    days: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device, non_blocking=True) for part in (self.values, self.clear, self.days, self.valid)))


def stack(patches: Sequence[Patch]) -> Batch:
    """Stack patches of the same C, H and W; shorter series are padded with no-data that is nowhere clear."""
    T = max(len(patch.days) for patch in patches)
    _, C, H, W = patches[0].values.shape
    B = len(patches)
    values = np.zeros((B, T, C, H, W), dtype=patches[0].values.dtype)
    clear = np.zeros((B, T, H, W), dtype=np.bool_)
    days = np.zeros((B, T), dtype=np.int32)
    valid = np.zeros((B, T), dtype=np.bool_)
    for index, patch in enumerate(patches):
        steps = len(patch.days)
        values[index, :steps] = patch.values
        clear[index, :steps] = patch.clear
        days[index, :steps] = patch.days
        valid[index, :steps] = True
    return Batch(*(torch.from_numpy(array) for array in (values, clear, days, valid)))


def channels(bands: int, cloud_input: CloudInput) -> int:
    """Number of the network's input channels for so many bands."""
    return bands + 1 if cloud_input == "zero" else bands


def prepare(batch: Batch, normalisation: Normalisation, cloud_input: CloudInput) -> Tensor:
    """Prepare a batch as (B, T, `channels`, H, W) float32 on its device, zero on padded dates.

    A pixel that is never clear has nothing to interpolate between and gets zeros, the bands' means.
    """
    device = batch.values.device
    mean = torch.tensor(normalisation.mean, dtype=torch.float32, device=device).view(1, 1, -1, 1, 1)
    std = torch.tensor(normalisation.std, dtype=torch.float32, device=device).view(1, 1, -1, 1, 1)
    if batch.values.shape[2] != mean.numel():
        raise AgrunetError(
            f"patches hold {batch.values.shape[2]} bands, the normalisation {mean.numel()}. Give the bands of the checkpoint."
        )
    values = torch.sub(batch.values.to(torch.float32), mean).div_(std)
    clear = batch.clear & batch.valid[:, :, None, None]
    if cloud_input == "interpolate":
        values = interpolate(values, clear, batch.days)
    elif cloud_input == "zero":
        values = torch.cat((values * clear.unsqueeze(2), clear.unsqueeze(2).to(values.dtype)), dim=2)
    return values.mul_(batch.valid[:, :, None, None, None])


def interpolate(values: Tensor, clear: Tensor, days: Tensor) -> Tensor:
    """Replace what is not clear by the line between the pixel's nearest clear dates; before the first and after the last, hold.

    ``values``: (B, T, C, H, W) float; ``clear``: (B, T, H, W) bool; ``days``: (B, T), rising. Zero where a pixel is never clear.
    """
    T = values.shape[1]
    moment = days.to(values.dtype)[:, :, None, None].expand(clear.shape)
    # Date by date, so that what is worked on stays in the processor's cache. Going back, each date gets the next clear values.
    result = torch.empty_like(values)
    ends, later = moment.clone(memory_format=torch.contiguous_format), torch.empty_like(clear)
    held, day, seen = torch.zeros_like(values[:, 0]), torch.zeros_like(ends[:, 0]), torch.zeros_like(clear[:, 0])
    for date in reversed(range(T)):
        held, day, seen = _held(values, clear, moment, date, held, day, seen)
        result[:, date], ends[:, date], later[:, date] = held, day, seen
    held, day, seen = torch.zeros_like(held), torch.zeros_like(day), torch.zeros_like(seen)
    for date in range(T):
        held, day, seen = _held(values, clear, moment, date, held, day, seen)
        left, start = torch.where(seen.unsqueeze(1), held, result[:, date]), torch.where(seen, day, ends[:, date])
        right, end = (
            torch.where(later[:, date].unsqueeze(1), result[:, date], left),
            torch.where(later[:, date], ends[:, date], start),
        )
        weight = ((moment[:, date] - start) / (end - start).clamp(min=1)).clamp(0, 1)
        result[:, date] = torch.lerp(left, right, weight.unsqueeze(1).expand_as(left))
    return result


def _held(
    values: Tensor, clear: Tensor, moment: Tensor, date: int, held: Tensor, day: Tensor, seen: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The values, the day, and whether there are any, of the last date that was clear up to this one, given those up to the one before."""
    now = clear[:, date]
    return torch.where(now.unsqueeze(1), values[:, date], held), torch.where(now, moment[:, date], day), seen | now


def pad_edges(batch: Batch, multiple: int) -> Batch:
    """Repeat the last rows and columns until height and width are multiples of ``multiple``; as it is where they are."""
    H, W = batch.values.shape[-2:]
    below, right = -H % multiple, -W % multiple
    if not below and not right:
        return batch
    margins = (0, right, 0, below)
    # Replication is not written for integers; every 16-bit number is exact in float32.
    values = functional.pad(batch.values.to(torch.float32).flatten(0, 1), margins, mode="replicate")
    clear = functional.pad(batch.clear.to(torch.float32), margins, mode="replicate") > 0
    return Batch(values.view(*batch.values.shape[:3], H + below, W + right), clear, batch.days, batch.valid)


def measure_normalisation(parts: Iterable[tuple[Patch, np.ndarray]]) -> Normalisation:
    """Measure the mean and standard deviation of each band over the clear dates of the chosen pixels, from sums in float64.

    ``parts``: patches, each with the pixels to count (H, W) bool. Raises `AgrunetError` where none is ever clear.
    """
    count = 0
    total = squares = np.zeros(0)
    for patch, chosen in parts:
        clear = patch.clear & chosen
        seen = patch.values.transpose(0, 2, 3, 1)[clear].astype(np.float64)  # (pixels, C)
        count += len(seen)
        total = seen.sum(0) + (total if total.size else 0)
        squares = (seen**2).sum(0) + (squares if squares.size else 0)
    if not count:
        raise AgrunetError(
            "no labelled training pixel is clear on any date. Give labels that overlap the area, or allow more clouds."
        )
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    # A band that never changes carries nothing; 1 keeps it finite.
    return Normalisation(mean=tuple(mean.tolist()), std=tuple(np.where(std > 0, std, 1.0).tolist()))
