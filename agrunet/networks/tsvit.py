"""TSViT: a transformer over the dates of each small patch, then one over the patches, with a token per class."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrunet.errors import AgrunetError
from agrunet.networks.folding import for_inference
from agrunet.networks.series_shape import check_series
from agrunet.settings import Frozen

DAYS = 366
"""Days that have an encoding of their own; later ones start again, so that a date means the same time of year."""

MOST_SEQUENCES = 65_535
"""Sequences in one call of the attention: CUDA's grids end there, and 16 patches of 128 x 128 pixels have one more."""


class TSViTConfig(Frozen):
    """Shape of the network; the defaults are those published for PASTIS."""

    kind: Literal["tsvit"] = "tsvit"
    bands: Annotated[int, Field(ge=1, description="input channels: the bands, and the clear mask where it is fed")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    patch: Annotated[int, Field(ge=1, description="side, in pixels, of the square that makes one token per date")] = 2
    grid: Annotated[
        int, Field(ge=1, description="side, in tokens, of the learned spatial encoding; other sizes interpolate it")
    ] = 12
    dim: Annotated[int, Field(ge=1, description="length of a token")] = 128
    temporal_depth: Annotated[int, Field(ge=1, description="layers of the transformer over the dates")] = 4
    spatial_depth: Annotated[int, Field(ge=1, description="layers of the transformer over the patches")] = 4
    heads: Annotated[int, Field(ge=1, description="heads of every attention")] = 4
    head_dim: Annotated[int, Field(ge=1, description="length of a head's query, keys and values")] = 32
    mlp_ratio: Annotated[
        int, Field(ge=1, description="width of the layers between the attentions, in token lengths")
    ] = 4

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return self.patch


class TSViT(nn.Module):
    """TSViT (Tarasiou, Chavez & Zafeiriou, 2023, "ViTs for SITS: Vision Transformers for Satellite Image Time Series"), for segmentation.

    Each ``patch`` x ``patch`` square of each date is one token. Over time: the encoding of its day is added, one learned token per
    class put in front, and the transformer's outputs at the class tokens are kept. Over space: for each class apart, a transformer
    over the squares with a learned encoding of their place; then a linear layer gives the class's logits of the square's pixels.
    Transformers are pre-norm with GELU, without dropout, as published for PASTIS. 1,657,476 parameters with 10 bands, 19 classes
    and a grid of 12 (24 x 24 pixels); the paper says 1.67 M. Pixels of a square keep their order in the logits.

    *Size*: the encoding of place is learned on ``grid`` x ``grid`` tokens and interpolated bilinearly to other sizes, as vision
    transformers do (Dosovitskiy et al., 2021), not tiled: attention runs over the whole image, so with tiles squares far apart
    would share one place. Give a network the ``grid`` of the size it is trained on; then nothing is interpolated.

    *Dates*: days since the season's start take the place of the calendar's day of the year: a shift by a constant. Padded dates
    are no keys of the attention, and nothing else mixes dates: they change nothing, in evaluation as in training. The published
    code attends to them. The last layer over time computes only what leaves it: its queries are the class tokens.
    """

    def __init__(self, config: TSViTConfig) -> None:
        super().__init__()
        self.config = config
        dim, area = config.dim, config.patch**2
        self.embed = nn.Linear(config.bands * area, dim)
        self.day = nn.Linear(DAYS, dim)
        self.classes = nn.Parameter(torch.randn(config.classes, dim))
        self.temporal = Transformer(config, config.temporal_depth)
        self.place = nn.Parameter(torch.randn(config.grid, config.grid, dim))
        self.spatial = Transformer(config, config.spatial_depth)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, area))

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor:
        """Logits (B, K, H, W) of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days``: (B, T)
        days since the season's start, 0, 1, 2 … by default. Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        B, T, C, H, W = values.shape
        if days is not None and days.shape != (B, T):
            raise AgrunetError(f"days {tuple(days.shape)} don't fit values {tuple(values.shape)}; give (B, T).")
        if days is None:
            days = torch.arange(T, device=values.device).expand(B, T)
        mask = None
        if valid is not None and not bool(valid.all()):
            values = values.masked_fill(~valid[:, :, None, None, None], 0)
            mask = functional.pad(valid, (self.config.classes, 0), value=True)  # (B, K + T)
        p, K, dim = self.config.patch, self.config.classes, self.config.dim
        h, w = H // p, W // p
        squares = values.reshape(B, T, C, h, p, w, p).permute(0, 3, 5, 1, 4, 6, 2).reshape(B, h * w, T, -1)
        tokens = self.embed(squares) + self._day_code(days).unsqueeze(1)
        own = self.classes.to(tokens.dtype).expand(B, h * w, K, dim)
        series = torch.cat((own, tokens), dim=2).flatten(0, 1)  # (B · h · w, K + T, dim)
        if mask is not None:
            mask = mask.unsqueeze(1).expand(B, h * w, K + T).reshape(B * h * w, 1, 1, K + T)
        seen = self.temporal(series, mask, keep=K).view(B, h * w, K, dim).transpose(1, 2)
        images = (seen + self._place_code(h, w)).reshape(B * K, h * w, dim)
        logits = self.head(self.spatial(images))
        whole: Tensor = logits.view(B, K, h, w, p, p).transpose(3, 4).reshape(B, K, H, W)
        return whole

    def for_inference(self) -> TSViT:
        """A copy in evaluation mode, without gradients; there is no batch norm to fold."""
        return for_inference(self)

    def _day_code(self, days: Tensor) -> Tensor:
        # The linear layer's answer to a one-hot day: a row of its transposed weight. (B, T) to (B, T, dim).
        return functional.embedding(days.long() % DAYS, self.day.weight.t()) + self.day.bias

    def _place_code(self, height: int, width: int) -> Tensor:
        # (h · w, dim)
        if self.place.shape[:2] == (height, width):
            return self.place.flatten(0, 1)
        images = self.place.permute(2, 0, 1).unsqueeze(0)
        images = functional.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)
        return images[0].flatten(1).t()


class Transformer(nn.Module):
    """Pre-norm layers and a last norm."""

    def __init__(self, config: TSViTConfig, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(config) for _ in range(depth)])
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, keep: int | None = None) -> Tensor:
        """Map (N, L, dim) to (N, ``keep``, dim): the first ``keep`` tokens, by default all. ``mask`` (N, 1, 1, L): False is no key."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            tokens = layer(tokens, mask, keep if index == last else None)
        normed: Tensor = self.norm(tokens)
        return normed


class Layer(nn.Module):
    """Attention between the tokens, then two linear layers on each, both added to what came in."""

    def __init__(self, config: TSViTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        inner, hidden = config.heads * config.head_dim, config.mlp_ratio * config.dim
        self.attention_norm = nn.LayerNorm(config.dim)
        self.query_key_value = nn.Linear(config.dim, 3 * inner, bias=False)
        self.mix = nn.Linear(inner, config.dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(config.dim), nn.Linear(config.dim, hidden), nn.GELU(), nn.Linear(hidden, config.dim)
        )

    def forward(self, tokens: Tensor, mask: Tensor | None, keep: int | None) -> Tensor:
        """Map (N, L, dim) to (N, ``keep`` or L, dim)."""
        normed = self.attention_norm(tokens)
        if keep is None:
            query, key, value = self._heads(self.query_key_value(normed), 3)
        else:
            tokens = tokens[:, :keep]
            weight, inner = self.query_key_value.weight, self.mix.in_features
            (query,) = self._heads(functional.linear(normed[:, :keep], weight[:inner]), 1)
            key, value = self._heads(functional.linear(normed, weight[inner:]), 2)
        tokens = tokens + self.mix(attend(query, key, value, mask).transpose(1, 2).flatten(2))
        mixed: Tensor = tokens + self.mlp(tokens)
        return mixed

    def _heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        # (N, L, parts · heads · head_dim) to `parts` views (N, heads, L, head_dim).
        N, L, _ = projected.shape
        return projected.view(N, L, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention of (N, heads, L, head_dim), however many sequences there are."""
    parts = []
    for start in range(0, len(query), MOST_SEQUENCES):
        here = slice(start, start + MOST_SEQUENCES)
        masks = None if mask is None else mask[here]
        parts.append(functional.scaled_dot_product_attention(query[here], key[here], value[here], attn_mask=masks))
    return parts[0] if len(parts) == 1 else torch.cat(parts)
