"""U-TAE: a U-Net over each date, collapsed over time at every level by one temporal attention at the bottom."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from agrunet.errors import AgrunetError
from agrunet.networks.folding import fold_norm, for_inference
from agrunet.networks.ltae import LTAE, attended
from agrunet.networks.packed_dates import series_dates
from agrunet.networks.series_shape import check_series
from agrunet.settings import Frozen

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class UTAEConfig(Frozen):
    """Shape of the network; the defaults are the published network's."""

    kind: Literal["utae"] = "utae"
    bands: Annotated[int, Field(ge=1, description="input channels: the bands, and the clear mask where it is fed")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    encoder: Annotated[
        Widths,
        Field(min_length=1, max_length=6, description="channels per level; all but the first halve height and width"),
    ] = (64, 64, 64, 128)
    decoder: Annotated[
        Widths,
        Field(min_length=1, max_length=6, description="channels per level on the way up; the last is the encoder's"),
    ] = (32, 32, 64, 128)
    head: Annotated[int, Field(ge=1, description="channels between the decoder and the classes")] = 32
    groups: Annotated[int, Field(ge=1, description="groups of channels of the encoder's norms")] = 4
    heads: Annotated[int, Field(ge=1, description="heads of the temporal attention")] = 16
    d_model: Annotated[int, Field(ge=1, description="channels inside the temporal attention")] = 256
    d_k: Annotated[int, Field(ge=1, description="length of each head's query and keys")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="of the temporal encoder's features")] = 0.2
    attention_dropout: Annotated[
        float, Field(ge=0, lt=1, description="of the attention, date by date and pixel by pixel")
    ] = 0.1

    @model_validator(mode="after")
    def _fits(self) -> UTAEConfig:
        if len(self.encoder) != len(self.decoder) or self.encoder[-1] != self.decoder[-1]:
            raise ValueError(
                f"encoder {self.encoder} and decoder {self.decoder} need as many levels and the same last width"
            )
        for width in self.encoder:
            if width % self.groups or width % self.heads:
                raise ValueError(
                    f"an encoder width of {width} can't be shared by {self.groups} groups and {self.heads} heads; give multiples"
                )
        if self.d_model % self.heads:
            raise ValueError(f"a d_model of {self.d_model} can't be shared by {self.heads} heads; give a multiple")
        return self

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this, and at least twice it."""
        return int(2 ** (len(self.encoder) - 1))


class UTAE(nn.Module):
    """U-TAE (Garnot & Landrieu, 2021, "Panoptic segmentation of satellite image time series with convolutional temporal attention
    networks"), for semantic segmentation.

    Each date passes the encoder alone: two 3x3 convolutions, then per level a strided 4x4 one and two 3x3 ones, the second with
    a shortcut (GroupNorm, ReLU, reflected borders). L-TAE collapses the coarsest level and gives one attention mask per head;
    enlarged bilinearly, these collapse the finer levels too, each head its share of the channels (the mode "att_group"). The
    decoder (BatchNorm) goes up with ConvTranspose2d 4x4 and takes the collapsed levels as skips. As published, the last
    convolution too has a batch norm and a ReLU: no logit is negative. 1,086,969 parameters with 10 bands and 19 classes.

    Only valid dates are encoded, and padded ones get no attention: they change nothing, in evaluation as in training (but for
    the random numbers that dropout draws). The published code encodes one more batch only to learn the encoder's output shape,
    and lets padded dates into the statistics of L-TAE's first norm. Weights start as PyTorch's layers do.
    """

    def __init__(self, config: UTAEConfig) -> None:
        super().__init__()
        self.config = config
        encoder, decoder = config.encoder, config.decoder
        self.first = nn.Sequential(
            _date_conv(config.bands, encoder[0], config.groups), _date_conv(encoder[0], encoder[0], config.groups)
        )
        self.down = nn.ModuleList([Down(fine, coarse, config.groups) for fine, coarse in pairwise(encoder)])
        self.temporal = LTAE(
            encoder[-1],
            heads=config.heads,
            d_model=config.d_model,
            d_k=config.d_k,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
        )
        self.up = nn.ModuleList(
            [Up(coarse, fine, skip) for coarse, fine, skip in zip(decoder[1:], decoder, encoder, strict=False)]
        )
        self.head = nn.Sequential(_map_conv(decoder[0], config.head), _map_conv(config.head, config.classes))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor:
        """Logits (B, K, H, W) of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days``: (B, T)
        days since the season's start, 0, 1, 2 … by default. Raises `AgrunetError` where the shape can't be taken.
        """
        self._check(values, valid)
        B, T, C, H, W = values.shape
        if days is None:
            days = torch.arange(T, device=values.device).expand(B, T)
        dates = series_dates(values, valid)
        packed = dates.pack(values.reshape(B * T, C, H, W).contiguous(memory_format=torch.channels_last))
        levels = [self.first(packed)]
        for down in self.down:
            levels.append(down(levels[-1]))
        features, attention = self.temporal(dates.unpack(levels.pop()).permute(0, 1, 4, 2, 3), dates.valid, days)
        for up in reversed(self.up):
            features = up(features, attended(levels.pop(), dates, attention))
        logits: Tensor = self.head(features)
        return logits

    def for_inference(self) -> UTAE:
        """A copy in evaluation mode with its batch norms folded into the layers before them: the same logits to rounding, sooner."""
        return for_inference(self)

    def fold(self) -> None:
        """Put the batch norm of the temporal encoder, in evaluation mode, into the layer before it."""
        self.temporal.fold_last_norm()

    def _check(self, values: Tensor, valid: Tensor | None) -> None:
        check_series(self.config, values, valid)
        least = 2 * self.config.divisor
        if min(values.shape[-2:]) < least:
            raise AgrunetError(
                f"patches of {values.shape[-2]} x {values.shape[-1]} pixels; U-TAE needs {least} a side, as its coarsest level reflects "
                "its border pixels. Feed larger patches."
            )


class ConvNorm(nn.Module):
    """A convolution, its norm, a ReLU."""

    def __init__(self, convolution: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm: nn.Module = norm

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (N, C, H, W), normalise, rectify."""
        return functional.relu_(self.norm(self.convolution(images)))

    def fold(self) -> None:
        """Put a batch norm, in evaluation mode, into the convolution. A group norm depends on its input and stays."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.norm = fold_norm(self.convolution, self.norm)


class Down(nn.Module):
    """A level down, to half the height and width: Conv 4x4 stride 2, Conv 3x3, and another 3x3 added to what the first gives."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.halve = _date_conv(inputs, inputs, groups, size=4, stride=2)
        self.widen = _date_conv(inputs, outputs, groups)
        self.refine = _date_conv(outputs, outputs, groups)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H/2, W/2)."""
        features = self.widen(self.halve(images))
        refined: Tensor = features + self.refine(features)
        return refined


class Up(nn.Module):
    """A level up, to twice the height and width: ConvTranspose 4x4 stride 2, the skip after a 1x1 convolution, Conv 3x3, another added."""

    def __init__(self, inputs: int, outputs: int, skip: int) -> None:
        super().__init__()
        self.enlarge = ConvNorm(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.BatchNorm2d(outputs))
        self.skip = ConvNorm(nn.Conv2d(skip, skip, 1), nn.BatchNorm2d(skip))
        self.narrow = _map_conv(outputs + skip, outputs)
        self.refine = _map_conv(outputs, outputs)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Map (B, C, h, w) and the skip (B, S, 2h, 2w) to (B, outputs, 2h, 2w)."""
        features = self.narrow(torch.cat((self.enlarge(coarse), self.skip(skip)), dim=1))
        refined: Tensor = features + self.refine(features)
        return refined


class DateNorm(nn.GroupNorm):
    """GroupNorm that leaves half precision as it is, like a batch norm does: autocast would widen every activation to float32.

    Its statistics are float32 all the same.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape and type."""
        with torch.autocast(images.device.type, enabled=False):
            weight, bias = self.weight.to(images.dtype), self.bias.to(images.dtype)
            normed: Tensor = functional.group_norm(images, self.num_groups, weight, bias, self.eps)
        return normed


def _date_conv(inputs: int, outputs: int, groups: int, size: int = 3, stride: int = 1) -> ConvNorm:
    convolution = nn.Conv2d(inputs, outputs, size, stride=stride, padding=1, padding_mode="reflect")
    return ConvNorm(convolution, DateNorm(groups, outputs))


def _map_conv(inputs: int, outputs: int) -> ConvNorm:
    return ConvNorm(nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(outputs))
