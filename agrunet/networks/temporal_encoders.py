"""Temporal encoders, which collapse time at the bottom of AgrUNet: recurrences over images, and attention over the dates.

Each takes the packed images (N, C, h, w), their `Dates` and the days, and gives features (B, C, h, w) and, if it has one, the
attention (heads, B, T, h, w).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from agrunet.networks.ltae import LTAE
from agrunet.networks.packed_dates import Dates, as_images, as_memory

TemporalKind = Literal["bi_conv_lstm", "conv_lstm", "bi_conv_gru", "conv_gru", "ltae"]
"""Kind of temporal encoder: recurrences forward in time or in both directions, or the lightweight attention of L-TAE."""

Directions = Literal[1, 2]
"""Directions of a recurrence: forward in time, or forward and backward."""


class ConvRecurrence(nn.Module, ABC):
    """A recurrence over images, in one direction or both; the last hidden states are mixed by a 1x1 convolution.

    The convolution of the inputs runs once for all dates and both directions, outside the loop over time; in the loop, one
    convolution, grouped by direction, makes all gates from the hidden states. A padded date leaves the state as it is.
    """

    gates: ClassVar[int]

    def __init__(self, channels: int, hidden: int, directions: Directions) -> None:
        super().__init__()
        self.hidden, self.directions = hidden, directions
        gates = directions * self.gates * hidden
        self.inputs = nn.Conv2d(channels, gates, 3, padding=1)
        self.states = nn.Conv2d(directions * hidden, gates, 3, padding=1, groups=directions, bias=False)
        self.mix = nn.Conv2d(directions * hidden, channels, 1)
        # Both are parts of one convolution of (channels + hidden) inputs and start as that one would.
        bound = 1 / math.sqrt((channels + hidden) * 9)
        for parameter in (self.inputs.weight, self.states.weight, cast("Tensor", self.inputs.bias)):
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, packed: Tensor, dates: Dates, days: Tensor | None) -> tuple[Tensor, None]:  # noqa: ARG002 - L-TAE uses the days
        """Map (N, C, h, w) to (B, C, h, w), and no attention. A series without any valid date ends in the state of zeros."""
        given = self._by_direction(dates.unpack(self.inputs(packed)))
        B, T, height, width = given.shape[:4]
        inputs = [way.unbind(1) for way in given.unbind(4)]
        valid = [dates.valid.unbind(1)] * self.directions
        # In half precision what adds up over all dates stays in float32.
        precise = torch.promote_types(given.dtype, torch.float32)
        shape = (B, height, width, self.directions, self.hidden)
        kept = self._start(torch.zeros(shape, dtype=precise, device=given.device))
        for step in range(T):
            # Fresh states are zeros, and so would their convolution be.
            recalled = self._recalled(kept[0].to(given.dtype)) if step else None
            new = self._step(_met(inputs, step, -2), recalled, kept)
            if not dates.all_valid:
                seen = _met(valid, step, -1).view(B, 1, 1, self.directions, 1)
                new = tuple(torch.where(seen, now, before) for now, before in zip(new, kept, strict=True))
            kept = new
        mixed: Tensor = self.mix(as_images(kept[0].to(given.dtype).flatten(-2)))
        return mixed, None

    def _recalled(self, state: Tensor) -> Tensor:
        """Compute the hidden states' part of the gates: (B, h, w, directions, hidden) to (B, h, w, directions, gates · hidden)."""
        return self._by_direction(as_memory(self.states(as_images(state.flatten(-2)))))

    def _by_direction(self, gates: Tensor) -> Tensor:
        return gates.view(*gates.shape[:-1], self.directions, self.gates * self.hidden)

    @abstractmethod
    def _start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        """Make the states before the first date, the hidden one first, from zeros (B, h, w, directions, hidden)."""

    @abstractmethod
    def _step(self, taken: Tensor, recalled: Tensor | None, kept: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Step by one date. ``taken`` and ``recalled``: (B, h, w, directions, gates · hidden), of the inputs and of the hidden states."""


def _met(ways: list[tuple[Tensor, ...]], step: int, dim: int) -> Tensor:
    # What each direction meets at a step, side by side in ``dim``. Ordered here: a copy of the whole series takes longer.
    if len(ways) == 1:
        return ways[0][step].unsqueeze(dim)
    return torch.stack((ways[0][step], ways[1][-1 - step]), dim=dim)


class ConvLSTM(ConvRecurrence):
    """A ConvLSTM (Shi et al., 2015, without peepholes). Gates are in the order input, forget, output, cell."""

    gates = 4

    def _start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        return zeros, zeros

    def _step(self, taken: Tensor, recalled: Tensor | None, kept: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        both = taken if recalled is None else taken + recalled
        entered, remembered, shown = both[..., : 3 * self.hidden].sigmoid().chunk(3, dim=-1)
        cell = torch.addcmul(remembered * kept[1], entered, both[..., 3 * self.hidden :].tanh())
        return shown * cell.tanh(), cell


class ConvGRU(ConvRecurrence):
    """A ConvGRU (Ballas et al., 2016). Gates are in the order reset, update, candidate.

    The reset gate weights the convolution of the state, not the state that is convolved (as in cuDNN's GRU), so that one convolution makes
    all three gates.
    """

    gates = 3

    def _start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        return (zeros,)

    def _step(self, taken: Tensor, recalled: Tensor | None, kept: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        gates, candidate = torch.split(taken, [2 * self.hidden, self.hidden], dim=-1)
        if recalled is not None:
            past_gates, past = torch.split(recalled, [2 * self.hidden, self.hidden], dim=-1)
            reset, update = (gates + past_gates).sigmoid().chunk(2, dim=-1)
            candidate = torch.addcmul(candidate, reset, past)
        else:
            update = gates[..., self.hidden :].sigmoid()
        precise = kept[0].dtype
        return (torch.lerp(candidate.to(precise).tanh(), kept[0], update.to(precise)),)


class AttentionOverDates(nn.Module):
    """L-TAE (Garnot & Landrieu, 2020), pixel by pixel, as U-TAE has it at its bottom; without dropout, like all of AgrUNet."""

    def __init__(self, channels: int, heads: int, d_model: int, d_k: int) -> None:
        super().__init__()
        self.ltae = LTAE(
            channels, heads=heads, d_model=d_model, d_k=d_k, out=channels, dropout=0.0, attention_dropout=0.0
        )

    def forward(self, packed: Tensor, dates: Dates, days: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (N, C, h, w) to (B, C, h, w) and the attention (heads, B, T, h, w), 0 on padded dates. ``days`` None: 0, 1, 2 …"""
        if days is None:
            days = torch.arange(dates.steps, device=packed.device).expand(dates.batch, -1)
        features, attention = self.ltae(dates.unpack(packed).permute(0, 1, 4, 2, 3), dates.valid, days)
        return features, attention


def temporal_encoder(
    kind: TemporalKind, channels: int, hidden: int, heads: int, d_model: int, d_k: int
) -> ConvRecurrence | AttentionOverDates:
    """Make a temporal encoder with fresh weights; ``hidden`` is the recurrences', the sizes after it are the attention's."""
    if kind == "ltae":
        return AttentionOverDates(channels, heads, d_model, d_k)
    directions: Directions = 2 if kind.startswith("bi_") else 1
    recurrence = ConvLSTM if kind.endswith("lstm") else ConvGRU
    return recurrence(channels, hidden, directions)
