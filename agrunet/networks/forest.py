"""A forest of decision trees over series interpolated in time, as arrays of nodes that torch walks through."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from agrunet.networks.day_grid import at_days
from agrunet.networks.folding import for_inference
from agrunet.networks.series_shape import MAX_DATES, check_series
from agrunet.settings import Frozen

_WALKS = 2**20
"""Walks, each of one pixel through one tree, that are on their way at once: about 50 MB."""

_LEAST = 1e-7
"""Probability below which a class is as good as impossible; its logarithm is finite."""


_HARDLY = 10.0
"""Sum of stored integers that keeps the normalised difference of two black bands at zero."""


class Differences(Frozen):
    """Normalised differences of reflectance, (a - b) / (a + b), that trees look at, too: they change little with the light."""

    pairs: Annotated[tuple[tuple[int, int], ...], Field(min_length=1, description="positions of the bands a and b")]
    mean: Annotated[tuple[float, ...], Field(description="of each band, taken off in the inputs")]
    std: Annotated[tuple[float, ...], Field(description="that each band is divided by there")]


class ForestConfig(Frozen):
    """Shape of a forest. It is grown by `agrunet.training.forest`; a fresh one says the same of everything."""

    kind: Literal["forest"] = "forest"
    bands: Annotated[int, Field(ge=1, description="input channels: the bands")]
    classes: Annotated[int, Field(ge=2, description="what the forest tells apart, background included")]
    grid: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(min_length=1, max_length=MAX_DATES, description="days since the season's start that trees look at"),
    ]
    trees: Annotated[int, Field(ge=1, description="whose probabilities are averaged")]
    nodes: Annotated[int, Field(ge=1, description="of all trees together, leaves included")]
    differences: Annotated[
        Differences | None,
        Field(
            description="looked at on each day, behind its bands",
            exclude_if=lambda differences: differences is None,
        ),
    ] = None

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return 1


class Forest(nn.Module):
    """A random forest (Breiman, 2001): the mean over its trees of the class frequencies in the leaf that a series falls into.

    Node ``n`` asks whether feature ``feature[n]`` (day of the grid x columns + column, the bands and then the differences) is at most
    ``threshold[n]``: if so, node ``below[n]`` comes next, else the one after that. A leaf leads to itself whatever the value. Nothing is
    learnt by gradients.
    """

    roots: Tensor
    below: Tensor
    feature: Tensor
    threshold: Tensor
    probability: Tensor

    def __init__(self, config: ForestConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("roots", torch.zeros(config.trees, dtype=torch.int32))
        self.register_buffer("below", torch.zeros(config.nodes, dtype=torch.int32))
        self.register_buffer("feature", torch.zeros(config.nodes, dtype=torch.int16))
        self.register_buffer("threshold", torch.full((config.nodes,), torch.inf))
        leaves = (config.nodes + config.trees) // 2  # a tree of n nodes has one leaf more than it has questions
        self.register_buffer("probability", torch.full((leaves, config.classes), 1 / config.classes))

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor:
        """Logarithms (B, K, H, W) of the class probabilities of series, which a softmax gives back.

        ``values``: (B, T, C, H, W), normalised and interpolated; ``valid``: (B, T), False for padded dates, all valid by default; ``days``:
        (B, T) since the season's start, by default one after the other. Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        B, T, _, H, W = values.shape
        valid = values.new_ones((B, T), dtype=torch.bool) if valid is None else valid
        days = torch.arange(T, device=values.device).expand(B, -1) if days is None else days
        grid = torch.tensor(self.config.grid, device=values.device)
        with torch.autocast(
            values.device.type, enabled=False
        ):  # a rounded value may fall on the other side of a threshold
            series = with_differences(at_days(values.float(), valid, days, grid), self.config.differences)
        features = series.permute(0, 3, 4, 1, 2).reshape(B * H * W, -1)
        return self.probabilities(features).clamp(min=_LEAST).log().view(B, H, W, -1).permute(0, 3, 1, 2)

    def probabilities(self, features: Tensor) -> Tensor:
        """Class probabilities (N, K) of ``features`` (N, days of the grid x columns), float32."""
        size = max(1, _WALKS // self.config.trees)
        leaf = self.below == torch.arange(len(self.below), device=self.below.device)
        number = (leaf.cumsum(0, dtype=torch.int32) - 1).clamp(min=0)
        return torch.cat([self._walked(part, number) for part in torch.split(features, size)])

    def _walked(self, features: Tensor, number: Tensor) -> Tensor:
        N, F = features.shape
        flat = features.reshape(-1)
        row = torch.arange(N, device=features.device, dtype=torch.int32).mul_(F).repeat_interleave(len(self.roots))
        node = self.roots.repeat(N)
        while True:
            asked = row + self.feature.index_select(0, node)
            no = flat.index_select(0, asked) > self.threshold.index_select(0, node)
            following = self.below.index_select(0, node) + no
            if torch.equal(following, node):
                break
            node = following
        total = self.probability.index_select(0, number.index_select(0, node)).view(N, len(self.roots), -1)
        return total.mean(1)

    def for_inference(self) -> Forest:
        """A copy in evaluation mode; there is nothing to fold."""
        return for_inference(self)


def with_differences(series: Tensor, differences: Differences | None) -> Tensor:
    """Columns (B, G, columns, H, W) of ``series`` (B, G, C, H, W), normalised: its bands, then their differences."""
    if differences is None:
        return series
    mean, std = (series.new_tensor(part).view(-1, 1, 1) for part in (differences.mean, differences.std))
    stored = (series * std + mean).clamp(min=0)
    one, other = (stored[:, :, list(side)] for side in zip(*differences.pairs, strict=True))
    return torch.cat([series, (one - other) / (one + other + _HARDLY)], dim=2)
