"""The blocks of AgrUNet, arranged for the machine.

Between blocks, the dates of a batch lie *packed*: only the valid ones, as (N, C, H, W) in channels-last memory, N being their
number. So batch statistics are taken over valid dates by construction, padded dates cost nothing, and both kinds of
convolution are two-dimensional: (1, 3, 3) over the N images, (3, 1, 1) over a view of the same memory as (B, C, T, H·W).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Dates:
    """Which dates of a batch are real: ``valid`` (B, T), bool. Packs them and lays them out again."""

    def __init__(self, valid: Tensor) -> None:
        self.batch, self.steps = valid.shape
        self.valid = valid
        # One look at the device per batch; a batch without padding needs no index and no copy.
        self.all_valid = bool(valid.all())
        self._index = None if self.all_valid else valid.flatten().nonzero().squeeze(1)

    def pack(self, images: Tensor) -> Tensor:
        """(B·T, C, H, W) to the valid ones (N, C, H, W)."""
        if self._index is None:
            return images
        return _images(_memory(images).index_select(0, self._index))

    def unpack(self, packed: Tensor) -> Tensor:
        """(N, C, H, W) to (B, T, H, W, C), contiguous, with zeros where a date is padding. No copy without padding."""
        memory = _memory(packed)
        if self._index is not None:
            blank = memory.new_zeros((self.batch * self.steps, *memory.shape[1:]))
            memory = blank.index_copy(0, self._index, memory)
        return memory.reshape(self.batch, self.steps, *memory.shape[1:])

    def mean(self, packed: Tensor) -> Tensor:
        """Mean over the valid dates: (N, C, H, W) to (B, C, H, W)."""
        count = self.valid.sum(1).clamp(min=1).to(packed.dtype)
        return _images(self.unpack(packed).sum(1) / count.view(-1, 1, 1, 1))


def _memory(images: Tensor) -> Tensor:
    # (N, C, H, W) as it lies in channels-last memory: (N, H, W, C); a view.
    return images.permute(0, 2, 3, 1)


def _images(memory: Tensor) -> Tensor:
    return memory.permute(0, 3, 1, 2)


def columns(memory: Tensor) -> Tensor:
    """(B, T, H, W, C) seen as images of T rows and H·W columns: (B, C, T, H·W), channels last, without a copy."""
    B, T, H, W, C = memory.shape
    return memory.reshape(B, T, H * W, C).permute(0, 3, 1, 2)


class SpaceTimeUnit(nn.Module):
    """Conv3d (1, 3, 3) → BN → ReLU → Conv3d (3, 1, 1) → BN → ReLU: space first, time second."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.space: nn.Module = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.space_norm: nn.Module = nn.BatchNorm2d(outputs)
        self.time: nn.Module = nn.Conv2d(outputs, outputs, (3, 1), padding=(1, 0))
        self.time_norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, packed: Tensor, dates: Dates) -> Tensor:
        """(N, C, H, W) to (N, outputs, H, W)."""
        packed = functional.relu_(self.space_norm(self.space(packed)))
        H, W = packed.shape[-2:]
        mixed = _memory(self.time(columns(dates.unpack(packed))))
        packed = dates.pack(_images(mixed.reshape(dates.batch * dates.steps, H, W, -1)))
        return functional.relu_(self.time_norm(packed))

    def fold(self) -> None:
        """Put the batch norms, in evaluation mode, into their convolutions."""
        self.space, self.space_norm = _folded(self.space, self.space_norm)
        self.time, self.time_norm = _folded(self.time, self.time_norm)


class EncoderLevel(nn.Module):
    """Two units; what leaves is the skip (mean over the valid dates) and the halved images."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.units = nn.ModuleList([SpaceTimeUnit(inputs, outputs), SpaceTimeUnit(outputs, outputs)])

    def forward(self, packed: Tensor, dates: Dates) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to the skip (B, outputs, H, W) and (N, outputs, H/2, W/2)."""
        for unit in self.units:
            packed = unit(packed, dates)
        return dates.mean(packed), functional.max_pool2d(packed, 2)


class BiConvLSTM(nn.Module):
    """A ConvLSTM (Shi et al., 2015, without peepholes) in each direction; their last hidden states, mixed by a 1x1 convolution.

    The convolution of the inputs runs once for all dates and both directions, outside the loop over time; in the loop, one
    grouped convolution makes the gates of both directions from their hidden states.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.inputs = nn.Conv2d(channels, 8 * hidden, 3, padding=1)
        self.states = nn.Conv2d(2 * hidden, 8 * hidden, 3, padding=1, groups=2, bias=False)
        self.mix = nn.Conv2d(2 * hidden, channels, 1)
        # Both are parts of one convolution of (channels + hidden) inputs and start as that one would.
        bound = 1 / math.sqrt((channels + hidden) * 9)
        for parameter in (self.inputs.weight, self.states.weight, cast("Tensor", self.inputs.bias)):
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, packed: Tensor, dates: Dates, days: Tensor | None) -> Tensor:  # noqa: ARG002 - other encoders use the days
        """(N, C, h, w) to (B, C, h, w). A padded date leaves the state as it is. Gates are in the order input, forget, output, cell."""
        gates = dates.unpack(self.inputs(packed))  # (B, T, h, w, 2 directions · 4 gates · hidden)
        B, T, height, width, _ = gates.shape
        gates = gates.view(B, T, height, width, 2, 4 * self.hidden)
        forward, backward = gates[..., 0, :].unbind(1), gates[..., 1, :].unbind(1)
        state = gates.new_zeros((B, height, width, 2 * self.hidden))
        # In half precision the cell, which adds up over all dates, stays in float32.
        precise = torch.promote_types(gates.dtype, torch.float32)
        cell = torch.zeros((B, height, width, 2, self.hidden), dtype=precise, device=gates.device)
        for step in range(T):
            here = torch.stack((forward[step], backward[T - 1 - step]), dim=-2)
            if step:
                here = here + _memory(self.states(_images(state))).reshape(here.shape)
            taken, kept, shown, fresh = here.view(B, height, width, 2, 4, self.hidden).unbind(-2)
            new_cell = torch.sigmoid(kept) * cell + torch.sigmoid(taken) * torch.tanh(fresh)
            new_state = (torch.sigmoid(shown) * torch.tanh(new_cell)).to(state.dtype).flatten(-2)
            if not dates.all_valid:
                seen = torch.stack((dates.valid[:, step], dates.valid[:, T - 1 - step]), dim=1).view(B, 1, 1, 2, 1)
                new_cell = torch.where(seen, new_cell, cell)
                old = state.view(B, height, width, 2, self.hidden)
                new_state = torch.where(seen, new_state.view_as(old), old).flatten(-2)
            cell, state = new_cell, new_state
        mixed: Tensor = self.mix(_images(state))
        return mixed


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
        """(B, C, h, w) and the skip (B, F, 2h, 2w) to (B, F, 2h, 2w)."""
        fine = torch.cat((self.up(coarse), skip), dim=1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            fine = functional.relu_(norm(convolution(fine)))
        return fine

    def fold(self) -> None:
        """Put the batch norms, in evaluation mode, into their convolutions."""
        for index in range(len(self.norms)):
            self.convolutions[index], self.norms[index] = _folded(self.convolutions[index], self.norms[index])


def _folded(convolution: nn.Module, norm: nn.Module) -> tuple[nn.Module, nn.Module]:
    if isinstance(norm, nn.Identity):
        return convolution, norm
    folded = fuse_conv_bn_eval(cast("nn.Conv2d", convolution), cast("nn.BatchNorm2d", norm))
    return folded.to(memory_format=torch.channels_last), nn.Identity()  # type: ignore[call-overload]
