"""ConvRNN: its size, and its two directions beside a plain loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.networks.conv_rnn import ConvRNN, ConvRNNConfig

HIDDEN = 4


@pytest.mark.parametrize(("cell", "hidden"), [("lstm", 112), ("gru", 128)])
def test_it_has_about_a_million_parameters(cell: str, hidden: int) -> None:
    with torch.device("meta"):
        network = ConvRNN(ConvRNNConfig(bands=10, classes=19, cell=cell, hidden=hidden))
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(1e6, rel=0.03)


def _convolve(layer: nn.Conv2d, direction: int, *images: Tensor) -> Tensor:
    """The one direction's half of a grouped convolution, as a convolution of its own."""
    assert layer.bias is not None
    weight, bias = layer.weight.chunk(2)[direction], layer.bias.chunk(2)[direction]
    return functional.conv2d(torch.cat(images, dim=1), weight, bias, padding=1)


def _lstm(network: ConvRNN, direction: int, series: list[Tensor]) -> Tensor:
    hidden = cell = torch.zeros(1, HIDDEN, *series[0].shape[-2:])
    for image in series:
        taken, kept, shown, fresh = _convolve(network.cells.gates, direction, image, hidden).chunk(4, dim=1)
        cell = kept.sigmoid() * cell + taken.sigmoid() * fresh.tanh()
        hidden = shown.sigmoid() * cell.tanh()
    return cell


def _gru(network: ConvRNN, direction: int, series: list[Tensor]) -> Tensor:
    hidden = torch.zeros(1, HIDDEN, *series[0].shape[-2:])
    for image in series:
        update, reset = _convolve(network.cells.gates, direction, image, hidden).sigmoid().chunk(2, dim=1)
        fresh = _convolve(network.cells.fresh, direction, image, reset * hidden).tanh()
        hidden = (1 - update) * hidden + update * fresh
    return hidden


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_each_direction_is_a_plain_loop_over_the_valid_dates(cell: str) -> None:
    torch.manual_seed(1)
    network = ConvRNN(ConvRNNConfig(bands=3, classes=5, cell=cell, hidden=HIDDEN))
    values = torch.randn(2, 4, 3, 6, 5)
    # A date that is missing in the middle of a series is passed over as well.
    valid = torch.tensor([[True, True, True, True], [True, False, True, False]])
    logits = network(values, valid)
    loop = _lstm if cell == "lstm" else _gru
    for index in range(2):
        series = [values[index : index + 1, t] for t in range(4) if valid[index, t]]
        states = torch.cat((loop(network, 0, series), loop(network, 1, series[::-1])), dim=1)
        torch.testing.assert_close(logits[index : index + 1], network.head(states), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_order_of_dates_matters(cell: str) -> None:
    torch.manual_seed(1)
    network = ConvRNN(ConvRNNConfig(bands=3, classes=5, cell=cell, hidden=HIDDEN))
    values = torch.randn(1, 4, 3, 4, 4)
    assert not torch.allclose(network(values), network(values.flip(1)), atol=1e-4)
