"""ConvRNN: a bidirectional convolutional recurrent encoder of the series, and a convolution that classifies its last states."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from agrunet.networks.folding import for_inference
from agrunet.networks.packed_dates import as_images, series_dates
from agrunet.networks.series_shape import check_series
from agrunet.settings import Frozen


class ConvRNNConfig(Frozen):
    """Shape of the network. About a million parameters: 112 hidden channels of LSTM cells, or 128 of GRU cells."""

    kind: Literal["conv_rnn"] = "conv_rnn"
    bands: Annotated[int, Field(ge=1, description="input channels")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    cell: Annotated[Literal["lstm", "gru"], Field(description="kind of recurrent cell")] = "lstm"
    hidden: Annotated[int, Field(ge=1, description="channels of the recurrent state, each direction")] = 112

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return 1


class ConvRNN(nn.Module):
    """The sequential encoder of Rußwurm & Körner (2018): a convolutional recurrent layer per direction, at full resolution.

    The cell states of ConvLSTM (Shi et al., 2015, without peepholes) or the hidden states of ConvGRU (Ballas et al., 2016) that
    both directions end with are concatenated and classified by a 3x3 convolution. A padded date leaves the state as it is.
    """

    def __init__(self, config: ConvRNNConfig) -> None:
        super().__init__()
        self.config = config
        cell = ConvLSTMCells if config.cell == "lstm" else ConvGRUCells
        self.cells = cell(config.bands, config.hidden)
        self.head = nn.Conv2d(2 * config.hidden, config.classes, 3, padding=1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Logits (B, K, H, W) of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days`` is
        not used. Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        B, T, _, H, W = values.shape
        dates = series_dates(values, valid)
        # Inputs and hidden states meet in one convolution: both in its type, not cast at every step.
        memory = values.permute(0, 1, 3, 4, 2).to(_arithmetic(values)).contiguous()
        if not dates.all_valid:
            memory = memory.masked_fill(~dates.valid[:, :, None, None, None], 0)
        steps = memory.unbind(1)
        states = self.cells.start(memory.new_zeros((B, H, W, 2, self.config.hidden)))
        for step in range(T):
            inputs = torch.stack((steps[step], steps[T - 1 - step]), dim=-2)
            new = self.cells(inputs, states)
            if not dates.all_valid:
                seen = torch.stack((dates.valid[:, step], dates.valid[:, T - 1 - step]), dim=1).view(B, 1, 1, 2, 1)
                new = tuple(torch.where(seen, fresh, old) for fresh, old in zip(new, states, strict=True))
            states = new
        logits: Tensor = self.head(as_images(states[-1].flatten(-2)))
        return logits

    def for_inference(self) -> ConvRNN:
        """A copy in evaluation mode, gradients off; there is no batch norm to fold."""
        return for_inference(self)


class ConvLSTMCells(nn.Module):
    """A step of a ConvLSTM in both directions. States: hidden and cell, each (B, H, W, 2, hidden).

    Inputs are few here and the maps at full resolution, so they join the hidden states in one grouped convolution per step: made
    ahead for all dates, the gates would fill memory with 8·hidden channels a date.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(2 * (inputs + hidden), 8 * hidden, 3, padding=1, groups=2)

    def start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        """The states before the first date. The cell, which adds up over all dates, is never of less than float32."""
        return zeros, zeros.to(torch.promote_types(zeros.dtype, torch.float32))

    def forward(self, inputs: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Step through a date. Inputs are (B, H, W, 2, C), for each direction. Gates are in the order input, forget, output, cell."""
        hidden, cell = states
        found = _convolved(self.gates, inputs, hidden)
        opened = torch.sigmoid(found[..., : 3 * self.hidden])
        taken, kept, shown = opened.chunk(3, dim=-1)
        fresh = torch.tanh(found[..., 3 * self.hidden :])
        cell = torch.addcmul(kept * cell, taken.to(cell.dtype), fresh.to(cell.dtype))
        return (shown * torch.tanh(cell)).to(hidden.dtype), cell


class ConvGRUCells(nn.Module):
    """A step of a ConvGRU in both directions. States: hidden only, (B, H, W, 2, hidden)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * (inputs + hidden), 4 * hidden, 3, padding=1, groups=2)
        self.fresh = nn.Conv2d(2 * (inputs + hidden), 2 * hidden, 3, padding=1, groups=2)

    def start(self, zeros: Tensor) -> tuple[Tensor, ...]:
        """The states before the first date, of at least float32: what is kept passes through all of them."""
        return (zeros.to(torch.promote_types(zeros.dtype, torch.float32)),)

    def forward(self, inputs: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Step through a date. Inputs are (B, H, W, 2, C), for each direction. Gates are in the order update, reset."""
        (hidden,) = states
        update, reset = torch.sigmoid(_convolved(self.gates, inputs, hidden)).chunk(2, dim=-1)
        fresh = torch.tanh(_convolved(self.fresh, inputs, reset * hidden))
        return (torch.lerp(hidden, fresh.to(hidden.dtype), update.to(hidden.dtype)),)


def _convolved(layer: nn.Conv2d, inputs: Tensor, states: Tensor) -> Tensor:
    # (B, H, W, 2, C) and (B, H, W, 2, hidden) to (B, H, W, 2, outputs): a group per direction.
    joined = torch.cat((inputs, states.to(inputs.dtype)), dim=-1).flatten(-2)
    found: Tensor = layer(as_images(joined)).permute(0, 2, 3, 1)
    return found.reshape(*inputs.shape[:-1], -1)


def _arithmetic(values: Tensor) -> torch.dtype:
    # What convolutions of these values are calculated in.
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype
