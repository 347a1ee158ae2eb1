"""The network against its plain form: Conv3d over (B, C, T, H, W) and a ConvLSTM step by step, with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.networks.agrunet import AgrUNet
from agrunet.networks.agrunet_layers import SpaceTimeUnit, TimeSpaceUnit, VolumeUnit
from agrunet.networks.temporal_encoders import ConvLSTM

# Besides the published form; the temporal encoders have plain forms of their own in test_temporal.
OTHERS = [
    {"block": "time_space", "collapse": "max"},
    {"block": "conv3d"},
]


def _plain_logits(network: AgrUNet, values: Tensor) -> list[Tensor]:
    """Logits from fine to coarse of series without padding, ``values`` (B, T, C, H, W), with the weights of ``network``."""
    x = values.transpose(1, 2)
    skips = []
    for level in network.encoder:
        for unit in level.units:
            x = _unit(unit, x)
        skips.append(x.mean(2) if network.config.collapse == "mean" else x.amax(2))
        x = functional.max_pool3d(x, (1, 2, 2))
    y = _bidirectional(network.temporal, x)
    logits = []
    for decoder, head, skip in reversed(list(zip(network.decoder, network.heads, skips, strict=True))):
        y = torch.cat((decoder.up(y), skip), dim=1)
        for convolution, norm in zip(decoder.convolutions, decoder.norms, strict=True):
            y = torch.relu(norm(convolution(y)))
        logits.insert(0, head(y))
    return logits


def _unit(unit: SpaceTimeUnit | TimeSpaceUnit | VolumeUnit, x: Tensor) -> Tensor:
    if isinstance(unit, VolumeUnit):
        x = functional.conv3d(x, unit.volume.weight, unit.volume.bias, padding=1)
        return torch.relu(_norm(unit.volume_norm, x))
    return _space(unit, _time(unit, x)) if isinstance(unit, TimeSpaceUnit) else _time(unit, _space(unit, x))


def _space(unit: SpaceTimeUnit | TimeSpaceUnit, x: Tensor) -> Tensor:
    x = functional.conv3d(x, unit.space.weight.unsqueeze(2), unit.space.bias, padding=(0, 1, 1))
    return torch.relu(_norm(unit.space_norm, x))


def _time(unit: SpaceTimeUnit | TimeSpaceUnit, x: Tensor) -> Tensor:
    x = functional.conv3d(x, unit.time.weight.unsqueeze(4), unit.time.bias, padding=(1, 0, 0))
    return torch.relu(_norm(unit.time_norm, x))


def _norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    return functional.batch_norm(
        x, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, norm.training, eps=norm.eps
    )


def _bidirectional(layer: ConvLSTM, x: Tensor) -> Tensor:
    weights = torch.cat((layer.inputs.weight.chunk(2)[0], layer.states.weight.chunk(2)[0]), dim=1)
    back_weights = torch.cat((layer.inputs.weight.chunk(2)[1], layer.states.weight.chunk(2)[1]), dim=1)
    bias, back_bias = layer.inputs.bias.chunk(2)
    forward = _conv_lstm(x.unbind(2), weights, bias, layer.hidden)
    backward = _conv_lstm(x.unbind(2)[::-1], back_weights, back_bias, layer.hidden)
    return layer.mix(torch.cat((forward, backward), dim=1))


def _conv_lstm(dates: tuple[Tensor, ...], weights: Tensor, bias: Tensor, hidden: int) -> Tensor:
    B, _, height, width = dates[0].shape
    state = cell = dates[0].new_zeros(B, hidden, height, width)
    for image in dates:
        gates = functional.conv2d(torch.cat((image, state), dim=1), weights, bias, padding=1)
        taken, kept, shown, fresh = gates.chunk(4, dim=1)
        cell = torch.sigmoid(kept) * cell + torch.sigmoid(taken) * torch.tanh(fresh)
        state = torch.sigmoid(shown) * torch.tanh(cell)
    return state


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("settings", [{}, *OTHERS])
def test_the_arranged_network_equals_the_plain_conv3d_form(
    make_network: Callable[..., AgrUNet], training: bool, settings: dict[str, str]
) -> None:
    network = make_network((16, 24, 32), bands=10, classes=19, **settings).train(training)
    values = torch.randn(2, 5, 10, 16, 24)
    wanted = _plain_logits(network, values)
    found = network(values)
    if not training:
        with torch.inference_mode():
            found = [found, network(values), network.for_inference()(values)]  # as a whole, in bands, and folded
        wanted = [wanted[0]] * 3
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert len(found) == 3


@pytest.mark.parametrize("settings", [{}, *OTHERS])
def test_the_gradients_equal_those_of_the_plain_form(
    make_network: Callable[..., AgrUNet], settings: dict[str, str]
) -> None:
    network = make_network(**settings).double().train()
    values = torch.randn(2, 4, 3, 8, 8, dtype=torch.float64)
    sum((level**2).mean() for level in network(values)).backward()
    ours = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    sum((level**2).mean() for level in _plain_logits(network, values)).backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-9, atol=1e-12)
