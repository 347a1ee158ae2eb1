"""The lightweight temporal attention encoder, run on every pixel of a series of feature images."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_linear_bn_eval

from agrunet.errors import AgrunetError
from agrunet.networks.packed_dates import Dates, as_images, as_memory


def day_angles(days: Tensor, channels: int, period: float = 1000.0) -> Tensor:
    """Sines and cosines of ``days`` (B, T): (B, T, channels), float32.

    Channel ``2i`` is sin(day / period^(2i / channels)), channel ``2i + 1`` the cosine of the same angle (Vaswani et al., 2017, with
    the days in place of the positions and a period of 1000 in place of 10,000, as Garnot & Landrieu, 2020, take it).
    """
    even = torch.arange(channels, device=days.device) // 2 * 2
    angles = days.unsqueeze(-1).float() / period ** (even.float() / channels)
    return torch.where(torch.arange(channels, device=days.device) % 2 == 0, angles.sin(), angles.cos())


class ValidGroupNorm(nn.GroupNorm):
    """GroupNorm of each pixel's series: one mean and variance per pixel and group of channels, over the valid dates only."""

    def forward(self, series: Tensor, valid: Tensor) -> Tensor:  # type: ignore[override]  # the mask is what it is for
        """Norm ``series`` (B, T, H, W, C) with ``valid`` (B, T); its shape and type stay, and padded dates give finite values, no more."""
        B, T, H, W, C = series.shape
        seen = valid.view(B, T, 1, 1, 1, 1)
        grouped = series.float().reshape(B, T, H, W, self.num_groups, C // self.num_groups)
        grouped = grouped.masked_fill(~seen, 0)
        count = (valid.sum(1).clamp(min=1) * (C // self.num_groups)).view(B, 1, 1, 1, 1, 1)
        centred = grouped - grouped.sum((1, 5), keepdim=True) / count
        variance = (centred.square() * seen).sum((1, 5), keepdim=True) / count
        normed = (centred * torch.rsqrt(variance + self.eps)).reshape(B, T, H, W, C)
        return (normed * self.weight + self.bias).to(series.dtype)


class LTAE(nn.Module):
    """L-TAE (Garnot & Landrieu, 2020, "Lightweight temporal self-attention for classifying satellite image time series"), per pixel.

    As U-TAE (Garnot & Landrieu, 2021) uses it: the series is normalised per pixel (GroupNorm over dates and channels, one group
    per head), raised to ``d_model`` channels, and the encoding of the days added, the same for each head. Each head has one
    learned query of ``d_k`` values and, as its values, its share of the channels: softmax(query · key / sqrt(d_k)) over the dates
    weights them. The heads' sums pass Linear → BN → ReLU → dropout and a GroupNorm.

    Padded dates get no attention and don't enter the first norm's statistics, so they change nothing; the published code
    lets them into that norm.

    A query doesn't depend on the input, so query · (key matrix · x) is computed as (query · key matrix) · x: the same mathematics
    with ``heads`` in place of ``heads · d_k`` channels per date.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 16,
        d_model: int = 256,
        d_k: int = 4,
        out: int | None = None,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
    ) -> None:
        """Make a layer that takes ``channels`` and gives ``out``, by default as many.

        Raises `AgrunetError` where heads don't divide the channels, or get only one each of those that leave.
        """
        super().__init__()
        out = channels if out is None else out
        for name, size in (("channels", channels), ("d_model", d_model), ("out", out)):
            if size % heads:
                raise AgrunetError(
                    f"{name} of {size} can't be shared by {heads} heads; give a multiple, or fewer heads."
                )
        if out < 2 * heads:
            raise AgrunetError(
                f"out of {out} leaves each of {heads} heads one channel, which the last norm makes constant; give more, or fewer heads."
            )
        self.channels, self.heads, self.d_model, self.d_k = channels, heads, d_model, d_k
        self.norm = ValidGroupNorm(heads, channels)
        self.raise_channels = nn.Linear(channels, d_model)
        self.query = nn.Parameter(torch.empty(heads, d_k))
        self.key = nn.Linear(d_model, heads * d_k)
        self.attention_dropout = nn.Dropout(attention_dropout)
        self.mix: nn.Module = nn.Linear(d_model, out)
        self.mix_norm: nn.Module = nn.BatchNorm1d(out)
        self.dropout = nn.Dropout(dropout)
        self.out_norm = nn.GroupNorm(heads, out)
        for weight in (self.query, self.key.weight):
            nn.init.normal_(weight, std=math.sqrt(2 / d_k))

    def forward(self, images: Tensor, valid: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
        """The collapsed series and how much each date was attended to.

        ``images`` (B, T, C, H, W), best in (B, T, H, W, C) memory; ``valid`` (B, T), False for padded dates, whatever they hold;
        ``days`` (B, T) since the season's start. Gives (B, out, H, W) and the attention (heads, B, T, H, W): 0 on padded dates,
        summing to one over the others (in training after its dropout, so to one on average). Raises `AgrunetError` where shapes don't fit.
        """
        self._check(images, valid, days)
        B, _, _, H, W = images.shape
        series = self.norm(images.permute(0, 1, 3, 4, 2), valid)
        angles = day_angles(days, self.d_model // self.heads).repeat(1, 1, self.heads)
        series = self.raise_channels(series)
        series = series + angles.to(series.dtype)[:, :, None, None]
        attention = self.attention_dropout(self._attention(series, valid))  # (B, T, H, W, heads)
        values = series.unflatten(-1, (self.heads, -1))
        summed = (values * attention.to(values.dtype).unsqueeze(-1)).sum(1)  # (B, H, W, heads, d_model / heads)
        mixed = self.mix_norm(self.mix(summed.reshape(B * H * W, self.d_model)))
        features = self.out_norm(self.dropout(mixed.relu()))
        return features.view(B, H, W, -1).permute(0, 3, 1, 2), attention.permute(4, 0, 1, 2, 3)

    def fold_last_norm(self) -> None:
        """Put the batch norm, in evaluation mode, into the layer before it."""
        if isinstance(self.mix_norm, nn.BatchNorm1d):
            self.mix = fuse_linear_bn_eval(cast("nn.Linear", self.mix), self.mix_norm)
            self.mix_norm = nn.Identity()

    def _attention(self, series: Tensor, valid: Tensor) -> Tensor:
        # (B, T, H, W, d_model) to (B, T, H, W, heads), float32.
        keys = self.key.weight.view(self.heads, self.d_k, self.d_model)
        weight = (self.query.unsqueeze(-1) * keys).sum(1)
        bias = (self.query * self.key.bias.view(self.heads, self.d_k)).sum(1)
        scores = nn.functional.linear(series, weight, bias).float() / math.sqrt(self.d_k)
        padded = ~valid[:, :, None, None, None]
        # The lowest finite value, not minus infinity: a series without any valid date gives zeros, not NaN.
        attention = scores.masked_fill(padded, torch.finfo(scores.dtype).min).softmax(1)
        return attention.masked_fill(padded, 0)

    def _check(self, images: Tensor, valid: Tensor, days: Tensor) -> None:
        if images.dim() != 5 or images.shape[2] != self.channels:
            raise AgrunetError(f"the temporal encoder takes (B, T, {self.channels}, H, W), got {tuple(images.shape)}.")
        for name, given in (("valid", valid), ("days", days)):
            if given.shape != images.shape[:2]:
                raise AgrunetError(
                    f"{name} {tuple(given.shape)} don't fit images {tuple(images.shape)}; give (B, T), one value per date."
                )


def attended(packed: Tensor, dates: Dates, attention: Tensor) -> Tensor:
    """Sum of a series' dates weighted by ``attention`` (heads, B, T, h, w): (N, C, H, W) to (B, C, H, W).

    As in U-TAE (Garnot & Landrieu, 2021): the masks of the bottom, made larger by bilinear interpolation, each weight their head's
    share of the channels. No 1x1 convolution follows, as the decoder convolves the skip at once.
    """
    features = dates.unpack(packed)
    B, T, H, W, C = features.shape
    heads = len(attention)
    coarse = attention.permute(1, 2, 0, 3, 4).reshape(B * T, heads, *attention.shape[-2:])
    masks = functional.interpolate(coarse, size=(H, W), mode="bilinear", align_corners=False)
    weights = as_memory(masks).to(features.dtype).reshape(B, T, H, W, heads, 1)
    return as_images((features.view(B, T, H, W, heads, C // heads) * weights).sum(1).flatten(-2))
