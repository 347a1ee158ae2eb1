"""The blocks of AgrUNet, arranged for the machine.

Between blocks, the dates of a batch lie packed (see `packed_dates`), so both kinds of convolution are two-dimensional:
(1, 3, 3) over the N images, (3, 1, 1) over a view of the same memory as (B, C, T, H·W).
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.networks.folding import fold_norm
from agrunet.networks.packed_dates import Dates, as_images, as_memory, columns

BlockKind = Literal["space_time", "time_space", "conv3d"]
"""Order of a unit's convolutions: space first and time second, the other way round, or both at once."""

Collapse = Literal["mean", "max", "attention"]
"""Collapse of a skip's dates: their mean, their maximum, or a sum weighted by the temporal encoder's attention."""

# Of one band's features. Larger ones leave the cache, smaller ones compute more rows around them twice.
_BAND_BYTES = 16 * 2**20
_BAND_ROWS = 8


class SpaceTimeUnit(nn.Module):
    """Conv3d (1, 3, 3) → BN → ReLU → Conv3d (3, 1, 1) → BN → ReLU: space first, time second."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.space: nn.Module = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.space_norm: nn.Module = nn.BatchNorm2d(outputs)
        self.time: nn.Module = nn.Conv2d(outputs, outputs, (3, 1), padding=(1, 0))
        self.time_norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, packed: Tensor, dates: Dates, rows: slice | None = None) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W), or to those ``rows`` of H only."""
        packed = functional.relu_(self.space_norm(self.space(packed)))
        return _over_time(self.time, self.time_norm, _cut(packed, rows), dates)

    def fold(self) -> None:
        """Put the batch norms, in evaluation mode, into their convolutions."""
        self.space_norm = fold_norm(self.space, self.space_norm)
        self.time_norm = fold_norm(self.time, self.time_norm)


class TimeSpaceUnit(nn.Module):
    """Conv3d (3, 1, 1) → BN → ReLU → Conv3d (1, 3, 3) → BN → ReLU: time first, space second."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.time: nn.Module = nn.Conv2d(inputs, outputs, (3, 1), padding=(1, 0))
        self.time_norm: nn.Module = nn.BatchNorm2d(outputs)
        self.space: nn.Module = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.space_norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, packed: Tensor, dates: Dates, rows: slice | None = None) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W), or to those ``rows`` of H only."""
        packed = _over_time(self.time, self.time_norm, packed, dates)
        return _cut(functional.relu_(self.space_norm(self.space(packed))), rows)

    def fold(self) -> None:
        """Put the batch norms, in evaluation mode, into their convolutions."""
        self.time_norm = fold_norm(self.time, self.time_norm)
        self.space_norm = fold_norm(self.space, self.space_norm)


class VolumeUnit(nn.Module):
    """Conv3d (3, 3, 3) → BN → ReLU: space and time at once, at three times the work of (1, 3, 3)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.volume: nn.Module = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.volume_norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, packed: Tensor, dates: Dates, rows: slice | None = None) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W), or to those ``rows`` of H only."""
        mixed = self.volume(dates.unpack(packed).permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
        packed = dates.pack(as_images(mixed.reshape(dates.batch * dates.steps, *mixed.shape[2:])))
        return _cut(functional.relu_(self.volume_norm(packed)), rows)

    def fold(self) -> None:
        """Put the batch norm, in evaluation mode, into its convolution."""
        self.volume_norm = fold_norm(self.volume, self.volume_norm)


_UNITS: dict[BlockKind, type[SpaceTimeUnit | TimeSpaceUnit | VolumeUnit]] = {
    "space_time": SpaceTimeUnit,
    "time_space": TimeSpaceUnit,
    "conv3d": VolumeUnit,
}


class EncoderLevel(nn.Module):
    """Two units, which give the skip, without its dates, and the halved images.

    On a CPU that only evaluates, both units run over one band of rows of one series after the other, with the rows around it
    that they look at: a band stays in the cache, and the full series is never held between the convolutions. The numbers are the same.
    """

    def __init__(self, inputs: int, outputs: int, block: BlockKind = "space_time", collapse: Collapse = "mean") -> None:
        super().__init__()
        unit = _UNITS[block]
        self.units = nn.ModuleList([unit(inputs, outputs), unit(outputs, outputs)])
        self.outputs, self.collapse = outputs, collapse

    def forward(self, packed: Tensor, dates: Dates) -> tuple[Tensor, Tensor]:
        """Map (N, C, H, W) to the skip (B, outputs, H, W) and (N, outputs, H/2, W/2).

        With the collapse "attention" the skip keeps its dates, (N, outputs, H, W): what collapses them is known at the bottom only.
        """
        evaluating = not self.training and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if evaluating and packed.device.type == "cpu":
            return self._in_bands(packed, dates)
        for unit in self.units:
            packed = unit(packed, dates)
        return self._skip(packed, dates), functional.max_pool2d(packed, 2)

    def _skip(self, packed: Tensor, dates: Dates) -> Tensor:
        if self.collapse == "mean":
            return dates.mean(packed)
        if self.collapse == "max":
            # After the ReLU nothing is below the zeros of padded dates; where both are zero, the ReLU stops the gradient.
            return as_images(dates.unpack(packed).amax(1))
        return packed

    def _in_bands(self, packed: Tensor, dates: Dates) -> tuple[Tensor, Tensor]:
        skips, halves = [], []
        for series, images in dates.split(packed):
            skip, half = self._series(images, series)
            skips.append(skip)
            halves.append(half)
        return (skips[0], halves[0]) if len(skips) == 1 else (torch.cat(skips), torch.cat(halves))

    def _series(self, images: Tensor, dates: Dates) -> tuple[Tensor, Tensor]:
        H, W = images.shape[-2:]
        rows = max(_BAND_ROWS, _BAND_BYTES // max(len(images) * W * self.outputs * images.element_size(), 1))
        bands = math.ceil(H / rows)
        rows = 2 * math.ceil(H / bands / 2)  # even, for the halved images, and all about the same
        skip = half = None
        for first in range(0, H, rows):
            last = min(first + rows, H)
            band = self._band(images, dates, first, last)
            part, pooled = self._skip(band, dates), functional.max_pool2d(band, 2)
            if skip is None or half is None:
                if last == H:
                    return part, pooled
                skip, half = _tall(part, H), _tall(pooled, H // 2)
            skip[:, :, first:last] = part
            half[:, :, first // 2 : last // 2] = pooled
        return cast("tuple[Tensor, Tensor]", (skip, half))

    def _band(self, images: Tensor, dates: Dates, first: int, last: int) -> Tensor:
        """Apply the units to the rows from ``first`` to ``last``; each unit looks one row further than it keeps."""
        H = images.shape[2]
        top, bottom = max(first - len(self.units), 0), min(last + len(self.units), H)
        band = images[:, :, top:bottom]
        for around, unit in zip(reversed(range(len(self.units))), self.units, strict=True):
            upper, lower = max(first - around, 0), min(last + around, H)
            band = unit(band, dates, slice(upper - top, lower - top))
            top = upper
        return band


class DecoderLevel(nn.Module):
    """ConvTranspose2d 2x2 stride 2; concatenate the skip; [Conv 3x3 → BN → ReLU] twice."""

    def __init__(self, inputs: int, skip: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs, 2, stride=2)
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(inputs + skip, skip, 3, padding=1), nn.Conv2d(skip, skip, 3, padding=1)]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(skip), nn.BatchNorm2d(skip)])

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Map (B, C, h, w) and the skip (B, F, 2h, 2w) to (B, F, 2h, 2w)."""
        fine = torch.cat((self.up(coarse), skip), dim=1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            fine = functional.relu_(norm(convolution(fine)))
        return fine

    def fold(self) -> None:
        """Put the batch norms, in evaluation mode, into their convolutions."""
        for index in range(len(self.norms)):
            self.norms[index] = fold_norm(self.convolutions[index], self.norms[index])


def _over_time(convolution: nn.Module, norm: nn.Module, packed: Tensor, dates: Dates) -> Tensor:
    H, W = packed.shape[-2:]
    mixed = as_memory(convolution(columns(dates.unpack(packed))))
    packed = dates.pack(as_images(mixed.reshape(dates.batch * dates.steps, H, W, -1)))
    return functional.relu_(norm(packed))


def _cut(images: Tensor, rows: slice | None) -> Tensor:
    return images if rows is None else images[:, :, rows]


def _tall(part: Tensor, height: int) -> Tensor:
    # Room for parts of (N, C, rows, W) one below the other, channels last.
    N, C, _, W = part.shape
    return as_images(part.new_empty((N, height, W, C)))
