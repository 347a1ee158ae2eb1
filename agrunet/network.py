"""AgrUNet: a U-Net over space whose encoder also convolves over time, with a recurrent bottleneck."""

from __future__ import annotations

import copy
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from agrunet.layers import BiConvLSTM, Dates, DecoderLevel, EncoderLevel, SpaceTimeUnit
from agrunet.settings import Frozen
from agrunet.shapes import check_series


class AgrUNetConfig(Frozen):
    """All that fixes the network's shape."""

    kind: Literal["agrunet"] = "agrunet"
    bands: Annotated[int, Field(ge=1, description="input channels: the bands, and the clear mask where it is fed")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    filters: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, max_length=6, description="channels per level; each level halves height and width"),
    ] = (64, 128)
    hidden: Annotated[int, Field(ge=1, description="channels of the recurrent state, each direction")] = 64
    temporal: Annotated[Literal["bi_conv_lstm"], Field(description="what collapses time at the bottom")] = (
        "bi_conv_lstm"
    )

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** len(self.filters))


class AgrUNet(nn.Module):
    """AgrUNet (A. Miola, University of Ferrara, 2025), in a form that is *consistent with the talk*, not copied from its author's code.

    The talk gives an outline and the parameter counts, no table of layers. This rule, of standard parts only, meets both counts
    (2,016,742 with 10 bands, 19 classes and filters 64, 128; 6,284,406 with 7 bands, 18 classes and 64, 128, 256):
    per encoder level two units of Conv3d (1,3,3) → BN → ReLU → Conv3d (3,1,1) → BN → ReLU, their mean over the valid dates as
    the skip, MaxPool (1,2,2); at the bottom a ConvLSTM in each direction and a 1x1 convolution; per decoder level
    ConvTranspose2d 2x2, concatenation, twice Conv 3x3 → BN → ReLU; a 1x1 head at every level (deep supervision).

    Padded dates (at the end of the shorter series of a batch) change nothing, in training as in evaluation.
    """

    def __init__(self, config: AgrUNetConfig) -> None:
        super().__init__()
        self.config = config
        filters = config.filters
        self.encoder = nn.ModuleList(
            [EncoderLevel(inputs, outputs) for inputs, outputs in zip((config.bands, *filters), filters, strict=False)]
        )
        self.temporal = BiConvLSTM(filters[-1], config.hidden)
        below = (*filters[1:], filters[-1])
        self.decoder = nn.ModuleList([DecoderLevel(c, f) for c, f in zip(below, filters, strict=True)])
        self.heads = nn.ModuleList([nn.Conv2d(f, config.classes, 1) for f in filters])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor | list[Tensor]:
        """Logits of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days``: (B, T)
        days since the season's start, for temporal encoders that use them. Gives (B, K, H, W); in training a list of
        logits from fine to coarse, level ``i`` at (H/2^i, W/2^i). Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        B, T, C, H, W = values.shape
        dates = Dates(torch.ones((B, T), dtype=torch.bool, device=values.device) if valid is None else valid)
        images = values.reshape(B * T, C, H, W).contiguous(memory_format=torch.channels_last)
        packed = dates.pack(images)
        skips = []
        for level in self.encoder:
            skip, packed = level(packed, dates)
            skips.append(skip)
        features = self.temporal(packed, dates, days)
        logits: list[Tensor] = []
        for index in reversed(range(len(skips))):
            features = self.decoder[index](features, skips[index])
            if index == 0 or self.training:
                logits.insert(0, self.heads[index](features))
        return logits if self.training else logits[0]

    def for_inference(self) -> AgrUNet:
        """A copy in evaluation mode with its batch norms folded into the convolutions: the same logits to rounding, sooner."""
        network = copy.deepcopy(self).eval()
        for module in network.modules():
            if isinstance(module, (SpaceTimeUnit, DecoderLevel)):
                module.fold()
        return network.requires_grad_(False)
