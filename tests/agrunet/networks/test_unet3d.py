"""UNet-3D: its parameters, and its arithmetic beside the plain 3-D form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.errors import AgrunetError
from agrunet.networks.masked_conv3d import Unit3d, Up3d, _as_volume, _date_by_date, halved, pool
from agrunet.networks.packed_dates import Dates
from agrunet.networks.unet3d import UNet3D, UNet3DConfig


def test_the_parameter_count_is_the_published_one() -> None:
    with torch.device("meta"):
        network = UNet3D(UNet3DConfig(bands=10, classes=19))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_553_363


def _norm(block: Unit3d | Up3d, volume: Tensor) -> Tensor:
    norm = block.norm
    return functional.leaky_relu(
        functional.batch_norm(
            volume, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, norm.training
        ),
        0.01,
    )


def _units(units: nn.ModuleList, volume: Tensor) -> Tensor:
    for unit in units:
        volume = _norm(unit, functional.conv3d(volume, unit.convolution.weight, unit.convolution.bias, padding=1))
    return volume


def _up(block: Up3d, volume: Tensor, dates: int) -> Tensor:
    layer = block.convolution
    return functional.conv_transpose3d(volume, layer.weight, layer.bias, 2, 1, 1)[:, :, :dates]


def _plain(network: UNet3D, values: Tensor) -> Tensor:
    """The whole network in 3-D operations on (B, C, T, H, W)."""
    full = _units(network.encoder_full.units, values.transpose(1, 2))
    half = _units(network.encoder_half.units, functional.max_pool3d(full, 2, ceil_mode=True))
    quarter = _units(network.bottom, functional.max_pool3d(half, 2, ceil_mode=True))
    joined = torch.cat((_up(network.up_half, quarter, half.shape[2]), half), dim=1)
    half = _units(network.decoder_half.units, joined)
    up = _norm(network.up_full, _up(network.up_full, half, full.shape[2]))
    volume = _units(network.decoder_full.units, torch.cat((up, full), dim=1))
    return functional.conv3d(volume, network.head.weight, network.head.bias, padding=1).mean(2)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dates", [1, 4, 6, 7])
def test_without_padding_it_is_the_plain_3d_network(dates: int, training: bool) -> None:
    torch.manual_seed(1)
    network = UNet3D(UNet3DConfig(bands=3, classes=4, width=4)).train(training)
    values = torch.randn(2, dates, 3, 8, 12)
    torch.testing.assert_close(network(values), _plain(network, values), rtol=1e-5, atol=1e-6)


def test_batch_statistics_come_from_valid_dates_only() -> None:
    network = UNet3D(UNet3DConfig(bands=1, classes=2, width=2)).train()
    values = torch.randn(2, 3, 1, 4, 4)
    valid = torch.tensor([[True, True, True], [True, False, False]])
    network(values, valid)
    unit = network.encoder_full.units[0]
    layer = unit.convolution
    blank = torch.where(valid[:, :, None, None, None], values, 0.0)
    found = functional.conv3d(blank.transpose(1, 2), layer.weight, layer.bias, padding=1).transpose(1, 2)[valid]
    torch.testing.assert_close(unit.norm.running_mean, 0.1 * found.mean((0, 2, 3)))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dates", [1, 2, 5])
def test_three_2d_convolutions_are_one_3d_convolution(dates: int, stride: int) -> None:
    layer = nn.Conv3d(3, 4, 3, stride=(1, stride, stride), padding=1)
    memory = torch.randn(2, dates, 6, 8, 3)
    wanted = layer(memory.permute(0, 4, 1, 2, 3)).transpose(1, 2).flatten(0, 1)
    for form in (_as_volume, _date_by_date):
        torch.testing.assert_close(form(layer, memory), wanted, rtol=1e-5, atol=1e-6)


def test_a_date_without_a_pair_is_pooled_alone() -> None:
    dates = Dates(torch.tensor([[True, True, True], [True, False, False]]))
    coarse = halved(dates)
    assert coarse.valid.tolist() == [[True, True], [True, False]]
    # One pixel after pooling: -3, -1, -2 in the first series, -5 in the second; zeros of padding would win.
    packed = torch.tensor([-3.0, -1.0, -2.0, -5.0]).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    assert pool(packed, dates, coarse).flatten().tolist() == [-1.0, -2.0, -5.0]


def test_sizes_that_do_not_halve_twice_are_refused() -> None:
    with pytest.raises(AgrunetError, match="multiples of 4"):
        UNet3D(UNet3DConfig(bands=3, classes=4, width=4))(torch.zeros(1, 2, 3, 10, 8))
