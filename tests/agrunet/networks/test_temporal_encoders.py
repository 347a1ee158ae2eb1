"""Every temporal encoder against code without batches or fused gates: torch's own recurrences, and plain loops over the dates."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from agrunet.networks.ltae import attended
from agrunet.networks.packed_dates import Dates
from agrunet.networks.temporal_encoders import (
    AttentionOverDates,
    ConvGRU,
    ConvLSTM,
    ConvRecurrence,
    TemporalKind,
    temporal_encoder,
)

RECURRENCES: list[TemporalKind] = ["bi_conv_lstm", "conv_lstm", "bi_conv_gru", "conv_gru"]
LENGTHS = (5, 2, 4)


def _encoder(kind: TemporalKind, channels: int = 4, hidden: int = 3) -> Any:
    torch.manual_seed(1)
    return temporal_encoder(kind, channels, hidden, heads=2, d_model=6, d_k=3).double()


def _series(height: int, width: int, channels: int = 4) -> tuple[Tensor, Dates]:
    """(B, T, C, h, w) with rubbish on the padded dates."""
    torch.manual_seed(2)
    valid = torch.tensor([[date < length for date in range(max(LENGTHS))] for length in LENGTHS])
    series = torch.randn(*valid.shape, channels, height, width, dtype=torch.float64)
    series[~valid] = 1e3
    return series, Dates(valid)


def _packed(series: Tensor, dates: Dates) -> Tensor:
    return dates.pack(series.flatten(0, 1).contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("kind", RECURRENCES)
def test_a_recurrence_equals_a_loop_over_the_dates_of_each_series(kind: TemporalKind) -> None:
    encoder = _encoder(kind)
    series, dates = _series(6, 5)
    found, attention = encoder(_packed(series, dates), dates, None)
    assert attention is None
    for index, length in enumerate(LENGTHS):
        wanted = _loop(encoder, series[index, :length])
        torch.testing.assert_close(found[index], wanted, rtol=1e-10, atol=1e-12)


def _loop(layer: ConvRecurrence, images: Tensor) -> Tensor:
    states = []
    for direction in range(layer.directions):
        assert layer.inputs.bias is not None
        weights = [
            part.chunk(layer.directions)[direction].chunk(layer.gates)
            for part in (layer.inputs.weight, layer.inputs.bias, layer.states.weight)
        ]
        ordered = images.flip(0) if direction else images
        state = cell = images.new_zeros(layer.hidden, *images.shape[-2:])
        for image in ordered:
            taken = [functional.conv2d(image, w, b, padding=1) for w, b in zip(weights[0], weights[1], strict=True)]
            recalled = [functional.conv2d(state, w, padding=1) for w in weights[2]]
            if isinstance(layer, ConvLSTM):
                entered, kept, shown = (torch.sigmoid(taken[gate] + recalled[gate]) for gate in range(3))
                cell = kept * cell + entered * torch.tanh(taken[3] + recalled[3])
                state = shown * torch.tanh(cell)
            else:
                reset, update = (torch.sigmoid(taken[gate] + recalled[gate]) for gate in range(2))
                state = (1 - update) * torch.tanh(taken[2] + reset * recalled[2]) + update * state
        states.append(state)
    mixed: Tensor = layer.mix(torch.cat(states).unsqueeze(0))[0]
    return mixed


@pytest.mark.parametrize("kind", RECURRENCES)
def test_on_single_pixels_a_recurrence_is_torchs_own(kind: TemporalKind) -> None:
    encoder = _encoder(kind)
    series, dates = _series(1, 1)
    found, _ = encoder(_packed(series, dates), dates, None)
    reference = (nn.LSTM if isinstance(encoder, ConvLSTM) else nn.GRU)(
        4, encoder.hidden, batch_first=True, bidirectional=encoder.directions == 2
    ).double()
    # torch's order of gates: input, forget, cell, output; and reset, update, candidate.
    order = [0, 1, 3, 2] if isinstance(encoder, ConvLSTM) else [0, 1, 2]
    with torch.no_grad():
        for direction, suffix in zip(range(encoder.directions), ("", "_reverse"), strict=False):
            for ours, theirs in (
                (encoder.inputs.weight[..., 1, 1], "weight_ih_l0"),
                (encoder.inputs.bias, "bias_ih_l0"),
                (encoder.states.weight[..., 1, 1], "weight_hh_l0"),
            ):
                gates = ours.chunk(encoder.directions)[direction].chunk(encoder.gates)
                getattr(reference, theirs + suffix).copy_(torch.cat([gates[gate] for gate in order]))
            getattr(reference, "bias_hh_l0" + suffix).zero_()
    lengths = torch.tensor(LENGTHS)
    packed = pack_padded_sequence(series[..., 0, 0], lengths, batch_first=True, enforce_sorted=False)
    last = reference(packed)[1]
    last = last[0] if isinstance(last, tuple) else last
    wanted = encoder.mix(last.transpose(0, 1).reshape(len(LENGTHS), -1, 1, 1))
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", RECURRENCES)
def test_a_padded_date_amid_others_leaves_the_state_as_it_is(kind: TemporalKind) -> None:
    encoder = _encoder(kind)
    series, _ = _series(3, 3)
    dates = Dates(torch.tensor([[True, False, True, True, False]]))
    found, _ = encoder(_packed(series[:1], dates), dates, None)
    torch.testing.assert_close(found[0], _loop(encoder, series[0, [0, 2, 3]]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", [ConvLSTM, ConvGRU])
def test_the_states_stay_in_float32_under_autocast(
    cell: type[ConvLSTM | ConvGRU], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = cell(4, 3, 2)
    kept: list[torch.dtype] = []
    step = cell._step

    def watched(self: Any, *given: Any) -> Any:
        new = step(self, *given)
        kept.append(new[-1].dtype)
        return new

    monkeypatch.setattr(cell, "_step", watched)
    dates = Dates(torch.tensor([[True, True, True], [True, True, False]]))
    packed = torch.randn(5, 4, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, _ = encoder(packed, dates, None)
    assert features.dtype == torch.bfloat16
    assert kept == [torch.float32] * 3
    torch.testing.assert_close(features.float(), encoder(packed, dates, None)[0], rtol=0.1, atol=0.02)


def test_attention_equals_a_loop_over_pixels_and_heads() -> None:
    encoder = _encoder("ltae").eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    series, dates = _series(2, 3)
    days = torch.tensor([[0, 9, 20, 33, 70]] * len(LENGTHS))
    found, attention = encoder(_packed(series, dates), dates, days)
    assert attention.shape == (2, 3, 5, 2, 3)
    for index, length in enumerate(LENGTHS):
        assert attention[:, index, length:].abs().sum() == 0
        for row in range(2):
            for column in range(3):
                wanted, masks = _attend(encoder, series[index, :length, :, row, column], days[index])
                torch.testing.assert_close(found[index, :, row, column], wanted, rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(attention[:, index, :length, row, column].double(), masks, rtol=0, atol=1e-5)


def _attend(encoder: AttentionOverDates, pixel: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
    """One pixel (T, C): what leaves (C,) and the attention (heads, T)."""
    ltae = encoder.ltae
    normed = functional.group_norm(pixel.T[None], ltae.heads, ltae.norm.weight, ltae.norm.bias)[0].T
    size = ltae.d_model // ltae.heads
    encoding = torch.zeros(len(pixel), size, dtype=pixel.dtype)
    for date in range(len(pixel)):
        for channel in range(size):
            angle = float(days[date]) / 1000 ** (2 * (channel // 2) / size)
            encoding[date, channel] = math.cos(angle) if channel % 2 else math.sin(angle)
    raised = ltae.raise_channels(normed) + encoding.repeat(1, ltae.heads)
    sums, masks = [], []
    for head in range(ltae.heads):
        keys = ltae.key(raised)[:, head * ltae.d_k : (head + 1) * ltae.d_k]
        mask = torch.softmax(keys @ ltae.query[head] / math.sqrt(ltae.d_k), dim=0)
        sums.append(mask @ raised[:, head * size : (head + 1) * size])
        masks.append(mask)
    mixed = ltae.mix_norm(ltae.mix(torch.cat(sums))[None]).relu()
    return ltae.out_norm(mixed)[0], torch.stack(masks)


def test_days_count_from_zero_where_none_are_given() -> None:
    encoder = _encoder("ltae").eval()
    series, dates = _series(2, 2)
    packed = _packed(series, dates)
    found, _ = encoder(packed, dates, None)
    wanted, _ = encoder(packed, dates, torch.arange(5).expand(3, -1))
    torch.testing.assert_close(found, wanted)


def test_masks_of_the_bottom_weight_the_dates_of_a_skip() -> None:
    series, dates = _series(4, 6)
    attention = torch.rand(2, 3, 5, 2, 3, dtype=torch.float64)
    found = attended(_packed(series, dates), dates, attention)
    for index, length in enumerate(LENGTHS):
        wanted = torch.zeros(4, 4, 6, dtype=torch.float64)
        for date in range(length):
            for channel in range(4):
                mask = functional.interpolate(
                    attention[channel // 2, index, date][None, None], scale_factor=2, mode="bilinear"
                )
                wanted[channel] += mask[0, 0] * series[index, date, channel]
        torch.testing.assert_close(found[index], wanted)
