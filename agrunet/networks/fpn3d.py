"""3D FPN: a feature pyramid of 3-D convolutions, segmented in 2-D once time is collapsed."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrunet.networks.folding import fold_norm, for_inference
from agrunet.networks.masked_conv3d import Unit3d
from agrunet.networks.packed_dates import Dates, pack_series
from agrunet.networks.series_shape import check_series
from agrunet.settings import Frozen


class FPN3DConfig(Frozen):
    """Shape of the network."""

    kind: Literal["fpn3d"] = "fpn3d"
    bands: Annotated[int, Field(ge=1, description="input channels")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    widths: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(
            min_length=1, max_length=6, description="channels per level; each after the first halves height and width"
        ),
    ] = (32, 64, 80, 96)
    pyramid: Annotated[int, Field(ge=1, description="channels of every level of the pyramid")] = 32

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** (len(self.widths) - 1))


class FPN3D(nn.Module):
    """A (3+2)D feature pyramid after Gallo et al. (2021), whose Munich score the talk gives as "3D FPN".

    Their text names the parts, no table of layers; this form is *consistent with it*, with about 1.15 M parameters (10 bands, 19
    classes). 3-D: a stem and per level a residual block (He et al., 2016) of 3x3x3 convolutions, which halve space and keep time; 1x1x1
    laterals and a top-down path (Lin et al., 2017); per level a 3x3x3 unit. 2-D: each level, averaged over the valid dates, is
    enlarged to full resolution; their sum (Kirillov et al., 2019) goes through a 3x3 unit and a 1x1 classifier. The mean over
    time takes series of any length; it stands before the enlargement, which it commutes with.

    Padded dates are zero before every convolution over time and are in no batch statistic and no mean.
    """

    def __init__(self, config: FPN3DConfig) -> None:
        super().__init__()
        self.config = config
        widths, pyramid = config.widths, config.pyramid
        self.stem = Unit3d(config.bands, widths[0], 0.0)
        self.blocks = nn.ModuleList([ResidualBlock(widths[0], widths[0], 1)])
        self.blocks.extend([ResidualBlock(inputs, outputs, 2) for inputs, outputs in pairwise(widths)])
        self.laterals = nn.ModuleList([nn.Conv2d(width, pyramid, 1) for width in widths])
        self.smooth = nn.ModuleList([Unit3d(pyramid, pyramid, 0.0) for _ in widths])
        self.segment = nn.Conv2d(pyramid, pyramid, 3, padding=1)
        self.segment_norm: nn.Module = nn.BatchNorm2d(pyramid)
        self.head = nn.Conv2d(pyramid, config.classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations
            elif isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Logits (B, K, H, W) of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days`` is
        not used. Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        packed, dates = pack_series(values, valid)
        packed = self.stem(packed, dates)
        levels = []
        for block in self.blocks:
            packed = block(packed, dates)
            levels.append(packed)
        merged = functional.relu_(self.segment_norm(self.segment(self._merge(levels, dates))))
        logits: Tensor = self.head(merged)
        return logits

    def _merge(self, levels: list[Tensor], dates: Dates) -> Tensor:
        """Merge the pyramid from the coarsest level up, collapsed in time and summed at full resolution: (B, P, H, W)."""
        coarsest = len(levels) - 1
        above = self.laterals[coarsest](levels[coarsest])
        merged = self._collapse(coarsest, above, dates)
        for index in reversed(range(coarsest)):
            above = self.laterals[index](levels[index]) + functional.interpolate(above, scale_factor=2.0)
            merged = merged + self._collapse(index, above, dates)
        return merged

    def _collapse(self, index: int, level: Tensor, dates: Dates) -> Tensor:
        # (N, P, H/2^i, W/2^i) to (B, P, H, W)
        collapsed = dates.mean(self.smooth[index](level, dates))
        if not index:
            return collapsed
        return functional.interpolate(collapsed, scale_factor=2.0**index, mode="bilinear", align_corners=False)

    def fold(self) -> None:
        """Put the batch norm of the 2-D part, in evaluation mode, into its convolution."""
        self.segment_norm = fold_norm(self.segment, self.segment_norm)

    def for_inference(self) -> FPN3D:
        """A copy in evaluation mode with its batch norms folded into the convolutions: the same logits to rounding, sooner."""
        return for_inference(self)


class ResidualBlock(nn.Module):
    """Two 3x3x3 units around which the input is added, by a 1x1x1 convolution → BN where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.units = nn.ModuleList([Unit3d(inputs, outputs, 0.0, stride), Unit3d(outputs, outputs, None)])
        # Every s-th pixel is taken before the convolution: with the stride inside, its gradient on CPUs (torch 2.13) writes out of bounds.
        self.stride = stride
        changes = stride != 1 or inputs != outputs
        self.shortcut: nn.Module = nn.Conv2d(inputs, outputs, 1) if changes else nn.Identity()
        self.shortcut_norm: nn.Module = nn.BatchNorm2d(outputs) if changes else nn.Identity()

    def forward(self, packed: Tensor, dates: Dates) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H/s, W/s)."""
        found, around = packed, packed[:, :, :: self.stride, :: self.stride]
        for unit in self.units:
            found = unit(found, dates)
        return functional.relu_(found + self.shortcut_norm(self.shortcut(around)))

    def fold(self) -> None:
        """Put the shortcut's batch norm, in evaluation mode, into its convolution."""
        self.shortcut_norm = fold_norm(self.shortcut, self.shortcut_norm)
