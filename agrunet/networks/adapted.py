"""An adapted network: another one, and a linear layer over what it says, which tells other classes apart."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from agrunet.networks.folding import for_inference
from agrunet.networks.plain import PlainConfig, PlainNetwork, make_plain
from agrunet.settings import Frozen

FRESH = -1
"""Source of a row that no class of the start stands behind."""


_LEAST = -30.0
"""Logarithm of the smallest probability that is told from 0."""


class AdaptedRow(Frozen):
    """A row of the linear layer: one reason to call a pixel its class."""

    of: Annotated[int, Field(ge=0, description="index of the class that it speaks for")]
    source: Annotated[int, Field(ge=FRESH, description="index of the start's class that it began as; -1 for none")]


class AdaptedConfig(Frozen):
    """Shape of an adapted network."""

    kind: Literal["adapted"] = "adapted"
    start: Annotated[
        PlainConfig | AdaptedConfig,
        Field(discriminator="kind", description="the network that it started from, with the classes of that one"),
    ]
    bands: Annotated[int, Field(ge=1, description="input channels, those of the start")]
    classes: Annotated[int, Field(ge=2, description="what it tells apart, background included")]
    rows: Annotated[tuple[AdaptedRow, ...], Field(description="of the linear layer; each class has one or more")]
    keep: Annotated[
        float, Field(ge=0, le=1, description="weight of the start's own probabilities, among the classes that it knows")
    ] = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> AdaptedConfig:
        if self.bands != self.start.bands:
            raise ValueError(f"{self.bands} input channels, the start takes {self.start.bands}")
        if {row.of for row in self.rows} != set(range(self.classes)):
            raise ValueError(f"rows of {sorted({row.of for row in self.rows})} for {self.classes} classes")
        if max(row.source for row in self.rows) >= self.start.classes:
            raise ValueError(f"a row began as class {max(row.source for row in self.rows)} of {self.start.classes}")
        return self

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return self.start.divisor


class Adapted(nn.Module):
    """A network whose log-probabilities pass a linear layer (Dirichlet calibration: Kull et al., 2019) that may name other classes.

    A class's logit is the log-sum-exp of its rows. Rows begin as the start's classes, so that untrained it is the start, limited to the
    classes that are asked for; fresh rows begin as the mean of all classes. In evaluation a part ``keep`` of the probabilities that
    known classes have together is shared out among them as the start does.
    """

    def __init__(self, config: AdaptedConfig) -> None:
        super().__init__()
        self.config = config
        start = config.start
        self.network: PlainNetwork | Adapted = Adapted(start) if isinstance(start, AdaptedConfig) else make_plain(start)
        self.weight = nn.Parameter(beginning(config))
        self.bias = nn.Parameter(torch.zeros(len(config.rows)))

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor | list[Tensor]:
        """Logits (B, K, H, W) of a batch of series, as `Network` says; in training a list of them where the start gives one."""
        logits = self.network(values, valid, days)
        if isinstance(logits, list):
            return [named_logits(self.config, self.weight, self.bias, known_of(level)) for level in logits]
        logits_of = named_logits if self.training else mixed_logits
        return logits_of(self.config, self.weight, self.bias, known_of(logits))

    def for_inference(self) -> Adapted:
        """A copy in evaluation mode with the start's batch norms folded: the same logits to rounding, sooner."""
        return for_inference(self)


def beginning(config: AdaptedConfig) -> Tensor:
    """Weights (R, S) with which the linear layer begins."""
    sources = torch.tensor([row.source for row in config.rows])
    weight = functional.one_hot(sources.clamp(min=0), config.start.classes).float()
    weight[sources == FRESH] = 1 / config.start.classes
    return weight


def known_of(logits: Tensor) -> Tensor:
    """Log-probabilities of the start's classes, from its logits (B, S, ...); what is as good as impossible is no further away than that."""
    return logits.float().log_softmax(1).clamp(min=_LEAST)


def named_logits(config: AdaptedConfig, weight: Tensor, bias: Tensor, known: Tensor) -> Tensor:
    """Logits (B, K, ...) of the classes from log-probabilities ``known`` (B, S, ...) of the start's, by the linear layer alone."""
    rows = torch.einsum("rs,bs...->br...", weight, known)
    rows = rows + bias.view(1, -1, *[1] * (known.dim() - 2))
    places: list[list[int]] = [[] for _ in range(config.classes)]
    for number, row in enumerate(config.rows):
        places[row.of].append(number)
    return torch.stack([rows[:, own].logsumexp(1) if len(own) > 1 else rows[:, own[0]] for own in places], dim=1)


def mixed_logits(config: AdaptedConfig, weight: Tensor, bias: Tensor, known: Tensor) -> Tensor:
    """Logits (B, K, ...) likewise, with the start's part of the probabilities."""
    own = named_logits(config, weight, bias, known)
    classes = sorted({row.of for row in config.rows if row.source != FRESH})
    if not config.keep or len(classes) < 2:
        return own
    ours = own.log_softmax(1)
    start = named_logits(config, beginning(config).to(known), torch.zeros_like(bias), known)
    share = ours[:, classes].logsumexp(1, keepdim=True) + start[:, classes].log_softmax(1)
    mixed = ours.clone()
    kept = math.log(config.keep)
    left = math.log1p(-config.keep) if config.keep < 1 else -math.inf
    mixed[:, classes] = torch.logaddexp(ours[:, classes] + left, share + kept)
    return mixed
