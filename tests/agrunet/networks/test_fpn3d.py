"""3D FPN: its size, and its arithmetic beside the plain 3-D form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.errors import AgrunetError
from agrunet.networks.fpn3d import FPN3D, FPN3DConfig, ResidualBlock
from agrunet.networks.masked_conv3d import Unit3d


def test_it_has_about_1_15_million_parameters() -> None:
    with torch.device("meta"):
        network = FPN3D(FPN3DConfig(bands=10, classes=19))
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(1.15e6, rel=0.01)


def _norm(norm: nn.Module, volume: Tensor) -> Tensor:
    return functional.batch_norm(
        volume, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, norm.training
    )


def _unit(unit: Unit3d, volume: Tensor) -> Tensor:
    return _norm(unit.norm, unit.convolution(volume))


def _block(block: ResidualBlock, volume: Tensor) -> Tensor:
    first, second = block.units
    around = volume
    if isinstance(block.shortcut, nn.Conv2d):
        step = block.stride
        weight, bias = block.shortcut.weight.unsqueeze(2), block.shortcut.bias
        around = _norm(block.shortcut_norm, functional.conv3d(volume, weight, bias, stride=(1, step, step)))
    return torch.relu(_unit(second, torch.relu(_unit(first, volume))) + around)


def _plain(network: FPN3D, values: Tensor) -> Tensor:
    """The whole network in 3-D operations on (B, C, T, H, W), each level enlarged before the mean over time."""
    volume = torch.relu(_unit(network.stem, values.transpose(1, 2)))
    levels = []
    for block in network.blocks:
        volume = _block(block, volume)
        levels.append(volume)
    laterals = [
        functional.conv3d(level, lateral.weight.unsqueeze(2), lateral.bias)
        for level, lateral in zip(levels, network.laterals, strict=True)
    ]
    for index in range(len(laterals) - 2, -1, -1):
        repeated = laterals[index + 1].repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
        laterals[index] = laterals[index] + repeated
    T, H, W = values.shape[1], *values.shape[-2:]
    merged = sum(
        functional.interpolate(torch.relu(_unit(smooth, lateral)), (T, H, W), mode="trilinear")
        for smooth, lateral in zip(network.smooth, laterals, strict=True)
    ).mean(2)
    return network.head(torch.relu(_norm(network.segment_norm, network.segment(merged))))


@pytest.mark.parametrize("training", [False, True])
def test_without_padding_it_is_the_plain_3d_network(training: bool) -> None:
    torch.manual_seed(1)
    network = FPN3D(FPN3DConfig(bands=3, classes=4, widths=(4, 6, 5), pyramid=4)).train(training)
    values = torch.randn(2, 5, 3, 8, 12)
    torch.testing.assert_close(network(values), _plain(network, values), rtol=1e-5, atol=1e-5)


def test_one_level_needs_no_multiple() -> None:
    network = FPN3D(FPN3DConfig(bands=3, classes=4, widths=(4,), pyramid=4))
    assert network(torch.randn(1, 2, 3, 5, 7)).shape == (1, 4, 5, 7)


def test_sizes_that_do_not_fit_the_levels_are_refused() -> None:
    with pytest.raises(AgrunetError, match="multiples of 8"):
        FPN3D(FPN3DConfig(bands=3, classes=4, widths=(2, 2, 2, 2), pyramid=2))(torch.zeros(1, 2, 3, 12, 8))
