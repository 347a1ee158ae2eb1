"""UNet-3D: a U-Net whose convolutions and pooling run over time as well as space."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from agrunet.networks.folding import for_inference
from agrunet.networks.masked_conv3d import Unit3d, Up3d, halved, mean_of_convolution, pool
from agrunet.networks.packed_dates import Dates, pack_series
from agrunet.networks.series_shape import check_series
from agrunet.settings import Frozen

_SLOPE = 0.01
"""Slope of the leaky ReLUs below zero."""


class UNet3DConfig(Frozen):
    """Shape of the network."""

    kind: Literal["unet3d"] = "unet3d"
    bands: Annotated[int, Field(ge=1, description="input channels")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    width: Annotated[
        int, Field(ge=2, multiple_of=2, description="channels at full resolution; twice as many per halving")
    ] = 32

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return 4


class UNet3D(nn.Module):
    """UNet-3D (Çiçek et al., 2016), as Rustowicz et al. (2019) set it up for crops and Garnot & Landrieu (2021) for PASTIS.

    1,553,363 parameters with 10 bands and 19 classes. Two levels of twice Conv3d 3x3x3 → BN → leaky ReLU, MaxPool 2x2x2, a
    bottleneck, and the way back by ConvTranspose3d; a last Conv3d gives logits per date, which are averaged over the valid dates.

    Where the published form drops the dates that a pooling by two leaves over, or, of fewer than four dates, all of them, an odd
    last date is pooled alone here, so that any T is taken and each date counts. A pooled date is valid where one of its two
    dates is; padding never wins a maximum, is zero before every convolution over time and is in no batch statistic.
    """

    def __init__(self, config: UNet3DConfig) -> None:
        super().__init__()
        self.config = config
        full, half, quarter = config.width, 2 * config.width, 4 * config.width
        self.encoder_full = _Pair(config.bands, full, full)
        self.encoder_half = _Pair(full, half, half)
        self.bottom = nn.ModuleList([Unit3d(half, quarter, _SLOPE), Unit3d(quarter, quarter, _SLOPE)])
        self.up_half = Up3d(quarter, half, None, norm=False)
        self.decoder_half = _Pair(2 * half, half, half)
        self.up_full = Up3d(half, full, _SLOPE, norm=True)
        self.decoder_full = _Pair(2 * full, full, full // 2)
        self.head = nn.Conv3d(full // 2, config.classes, 3, padding=1)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # missing in torch's annotations

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Logits (B, K, H, W) of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days`` is
        not used. Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        packed, dates = pack_series(values, valid)
        half_dates = halved(dates)
        quarter_dates = halved(half_dates)
        full = self.encoder_full(packed, dates)
        half = self.encoder_half(pool(full, dates, half_dates), half_dates)
        packed = pool(half, half_dates, quarter_dates)
        for unit in self.bottom:
            packed = unit(packed, quarter_dates)
        packed = torch.cat((self.up_half(packed, quarter_dates, half_dates), half), dim=1)
        packed = self.up_full(self.decoder_half(packed, half_dates), half_dates, dates)
        packed = self.decoder_full(torch.cat((packed, full), dim=1), dates)
        return mean_of_convolution(self.head, packed, dates)

    def for_inference(self) -> UNet3D:
        """A copy in evaluation mode with its batch norms folded into the convolutions: the same logits to rounding, sooner."""
        return for_inference(self)


class _Pair(nn.Module):
    """Two units."""

    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.units = nn.ModuleList([Unit3d(inputs, middle, _SLOPE), Unit3d(middle, outputs, _SLOPE)])

    def forward(self, packed: Tensor, dates: Dates) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W)."""
        for unit in self.units:
            packed = unit(packed, dates)
        return packed
