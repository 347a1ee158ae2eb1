"""3-D convolutions over time series of unequal length, in which padded dates change nothing.

As in AgrUNet, the dates of a batch lie packed between blocks: only the valid ones, (N, C, H, W) in channels-last memory. Batch
statistics are therefore those of the valid dates. Before every operation that mixes dates they are laid out again, with zeros
where a date is padding: the same zeros that a 3-D convolution pads a series with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.networks.folding import fold_norm
from agrunet.networks.packed_dates import Dates, as_images, as_memory, looked_up


def convolve(layer: nn.Conv3d, packed: Tensor, dates: Dates) -> Tensor:
    """A 3x3x3 convolution of packed dates: (N, C, H, W) to (N, outputs, H/s, W/s), with the stride (1, s, s) of ``layer``."""
    memory = dates.unpack(packed)
    form = _as_volume if memory.is_cuda else _date_by_date
    return dates.pack(form(layer, memory))


def _as_volume(layer: nn.Conv3d, memory: Tensor) -> Tensor:
    # (B, T, H, W, C) to (B·T, outputs, H', W')
    return as_images(layer(memory.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1).flatten(0, 1))


def _date_by_date(layer: nn.Conv3d, memory: Tensor) -> Tensor:
    # The same as three 2-D convolutions, of the date and its two neighbours: on CPUs up to six times as fast as a 3-D one.
    before, centre, after = layer.weight.unbind(2)
    found = _each_date(memory, centre, layer.bias, layer.stride[1])
    if memory.shape[1] > 1:
        found[:, 1:] += _each_date(memory[:, :-1], before, None, layer.stride[1])
        found[:, :-1] += _each_date(memory[:, 1:], after, None, layer.stride[1])
    return as_images(found.flatten(0, 1))


def _each_date(memory: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    # (B, T, H, W, C) to (B, T, H', W', outputs)
    found = as_memory(functional.conv2d(as_images(memory.flatten(0, 1)), weight, bias, stride, padding=1))
    return found.reshape(*memory.shape[:2], *found.shape[1:])


class Unit3d(nn.Module):
    """A unit of Conv3d 3x3x3 → BN → leaky ReLU of slope ``slope`` (0: ReLU; None: nothing), stride (1, s, s), so many dates out as in."""

    def __init__(self, inputs: int, outputs: int, slope: float | None, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(inputs, outputs, 3, stride=(1, stride, stride), padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.slope = slope

    def forward(self, packed: Tensor, dates: Dates) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H/s, W/s)."""
        found: Tensor = self.norm(convolve(self.convolution, packed, dates))
        return found if self.slope is None else functional.leaky_relu_(found, self.slope)

    def fold(self) -> None:
        """Put the batch norm, in evaluation mode, into the convolution."""
        self.norm = fold_norm(self.convolution, self.norm)


class Up3d(nn.Module):
    """ConvTranspose3d 3x3x3 of stride 2: twice the dates, rows and columns; then, if asked for, BN → leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, slope: float | None, *, norm: bool) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose3d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.slope = slope

    def forward(self, packed: Tensor, coarse: Dates, fine: Dates) -> Tensor:
        """Map (M, C, h, w) at the dates of ``coarse`` to (N, outputs, 2h, 2w) at those of ``fine``: twice as many, or one less."""
        weight, bias = self.convolution.weight, self.convolution.bias
        volume = coarse.unpack(packed).permute(0, 4, 1, 2, 3)
        # Without the padding at the end, an odd number of dates comes out: nothing is computed to be cut off.
        beyond = (fine.steps - (2 * coarse.steps - 1), 1, 1)
        found = functional.conv_transpose3d(volume, weight, bias, stride=2, padding=1, output_padding=beyond)
        packed = self.norm(fine.pack(as_images(found.permute(0, 2, 3, 4, 1).flatten(0, 1))))
        return packed if self.slope is None else functional.leaky_relu_(packed, self.slope)

    def fold(self) -> None:
        """Put the batch norm, in evaluation mode, into the convolution."""
        self.norm = fold_norm(self.convolution, self.norm)


def halved(dates: Dates) -> Dates:
    """Dates after pooling in pairs: valid where either was. An odd last date stands alone."""
    valid = functional.pad(dates.valid, (0, dates.steps % 2)).view(dates.batch, -1, 2).any(2)
    found: Dates = Dates(valid, all_valid=True) if dates.all_valid else looked_up(valid)
    return found


def pool(packed: Tensor, dates: Dates, coarse: Dates) -> Tensor:
    """Maximum over 2 dates, rows and columns, of the valid dates only: (N, C, H, W) to (M, C, H/2, W/2) at the `halved` dates."""
    memory = dates.unpack(functional.max_pool2d(packed, 2))
    if not dates.all_valid:
        memory = memory.masked_fill(~dates.valid[:, :, None, None, None], -torch.inf)
    pairs = torch.maximum(memory[:, : dates.steps // 2 * 2 : 2], memory[:, 1::2])
    if dates.steps % 2:
        pairs = torch.cat((pairs, memory[:, -1:]), dim=1)
    return coarse.pack(as_images(pairs.flatten(0, 1)))


def mean_of_convolution(layer: nn.Conv3d, packed: Tensor, dates: Dates) -> Tensor:
    """Mean over the valid dates of a 3x3x3 convolution: (N, C, H, W) to (B, outputs, H, W).

    Both are linear, so the mean goes first: for each of the kernel's three dates, of the images it meets; then one 2-D convolution.
    """
    memory = dates.unpack(packed)
    B, T, H, W, C = memory.shape
    reached = functional.pad(dates.valid.to(memory.dtype), (1, 1))
    # Kernel date k at an output t meets the input t + k - 1.
    shares = torch.stack([reached[:, 2 - k : 2 - k + T] for k in range(3)], dim=1)
    means = torch.bmm(shares, memory.flatten(2)) / dates.valid.sum(1).clamp(min=1).view(B, 1, 1)
    met = as_images(means.view(B, 3, H, W, C).permute(0, 2, 3, 1, 4).flatten(3))
    return functional.conv2d(met, layer.weight.transpose(1, 2).flatten(1, 2), layer.bias, padding=1)
