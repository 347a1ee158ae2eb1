"""The pixel network: a perceptron for each date and a temporal attention encoder, on the series of every pixel alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from agrunet.networks.folding import for_inference
from agrunet.networks.ltae import LTAE
from agrunet.networks.series_shape import check_series
from agrunet.settings import Frozen

_PIXELS = 1024
"""Pixels that are mapped at once: 36 dates of them take about 150 MB."""


class PixelConfig(Frozen):
    """Shape of the network."""

    kind: Literal["pixel"] = "pixel"
    bands: Annotated[int, Field(ge=1, description="input channels")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    widths: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, description="channels of the layers of each date")
    ] = (32, 64, 128)
    heads: Annotated[int, Field(ge=1, description="attention heads of L-TAE")] = 16
    d_model: Annotated[int, Field(ge=1, description="channels that L-TAE attends to, all heads together")] = 256
    d_k: Annotated[int, Field(ge=1, description="length of a head's query in L-TAE")] = 8
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="in L-TAE's output, in training; half of it in its attention")
    ] = 0.2
    head: Annotated[int, Field(ge=1, description="channels of the classifier's hidden layer")] = 64
    members: Annotated[
        int, Field(ge=1, le=20, description="networks with weights of their own, whose probabilities are averaged")
    ] = 1

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return 1


class PixelNetwork(nn.Module):
    """L-TAE on the series of each pixel, as Garnot & Landrieu (2020) classify parcels, without the encoder of a parcel's pixels.

    Each date passes a perceptron (Linear, LayerNorm, ReLU per layer), L-TAE sums up the dates, another perceptron classifies. Members
    learn beside each other, each with a loss of its own, and the mean of their probabilities is what the network says (Lakshminarayanan
    et al., 2017).
    """

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList([_Member(config) for _ in range(config.members)])

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor | list[Tensor]:
        """Logits (B, K, H, W) of a batch of series; in training of several members a list of theirs.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days``: (B, T)
        days since the season's start, 0, 1, 2 … by default. Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        B, T, _, H, W = values.shape
        valid = values.new_ones((B, T), dtype=torch.bool) if valid is None else valid
        days = torch.arange(T, device=values.device).expand(B, T) if days is None else days
        known = values.masked_fill(~valid[:, :, None, None, None], 0).flatten(3).permute(0, 1, 3, 2)
        if self.training:
            logits = [member(known, valid, days).view(B, -1, H, W) for member in self.members]
            return logits if len(logits) > 1 else logits[0]
        parts = [self._mean(part, valid, days) for part in torch.split(known, max(1, _PIXELS // B), dim=2)]
        return torch.cat(parts, dim=2).view(B, -1, H, W)

    def _mean(self, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
        """Logarithms (B, K, N) of the members' mean probabilities; the logits themselves of a single member."""
        logits = torch.stack([member(series, valid, days) for member in self.members]).float()
        return logits[0] if len(logits) == 1 else logits.log_softmax(2).logsumexp(0)

    def for_inference(self) -> PixelNetwork:
        """A copy in evaluation mode with its batch norms folded into the layers before them: the same logits to rounding, sooner."""
        return for_inference(self)


class _Member(nn.Module):
    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((config.bands, *config.widths)):
            layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()]
        self.date = nn.Sequential(*layers)
        self.temporal = LTAE(
            config.widths[-1],
            config.heads,
            config.d_model,
            config.d_k,
            dropout=config.dropout,
            attention_dropout=config.dropout / 2,
        )
        self.hidden = nn.Linear(config.widths[-1], config.head)
        self.norm = nn.LayerNorm(config.head)
        self.classify = nn.Linear(config.head, config.classes)

    def forward(self, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
        """Logits (B, K, N) of series (B, T, N, C)."""
        features = self.date(series).permute(0, 1, 3, 2).unsqueeze(-1)  # (B, T, F, N, 1), in the memory of (B, T, N, F)
        summed, _ = self.temporal(features, valid, days)
        hidden = torch.relu(self.norm(self.hidden(summed.flatten(2).transpose(1, 2))))
        logits: Tensor = self.classify(hidden).transpose(1, 2)
        return logits

    def fold(self) -> None:
        """Put the batch norm of the temporal encoder, in evaluation mode, into the layer before it."""
        self.temporal.fold_last_norm()
