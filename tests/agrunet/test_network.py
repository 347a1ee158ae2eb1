"""The network's shape, and that padding changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from agrunet.errors import AgrunetError
from agrunet.layers import Dates, columns
from agrunet.network import AgrUNet, AgrUNetConfig


@pytest.mark.parametrize(
    ("bands", "classes", "filters", "parameters"),
    [(10, 19, (64, 128), 2_016_742), (7, 18, (64, 128, 256), 6_284_406)],
)
def test_the_parameter_counts_are_those_of_the_talk(
    bands: int, classes: int, filters: tuple[int, ...], parameters: int
) -> None:
    network = AgrUNet(AgrUNetConfig(bands=bands, classes=classes, filters=filters))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_folding_the_norms_changes_nothing_but_rounding(make_network: Callable[..., AgrUNet]) -> None:
    network = make_network().eval()
    values = torch.randn(1, 6, 3, 16, 16)
    folded = network.for_inference()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(values), network(values), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(folded.for_inference()(values), folded(values))


@pytest.mark.parametrize("training", [False, True])
def test_padding_a_batch_changes_nothing(make_network: Callable[..., AgrUNet], training: bool) -> None:
    values = torch.randn(2, 7, 3, 8, 8)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[1, 4:] = False
    values[1, 4:] = 1e3  # what padding holds must not matter
    longer = torch.cat((values, torch.full((2, 5, 3, 8, 8), -1e3)), dim=1)
    longer_valid = torch.cat((valid, torch.zeros(2, 5, dtype=torch.bool)), dim=1)
    one, other = make_network().train(training), make_network().train(training)
    found, wanted = one(longer, longer_valid), other(values, valid)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    for (name, ours), theirs in zip(one.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_padded_series_gives_what_it_gives_alone(make_network: Callable[..., AgrUNet]) -> None:
    network = make_network().eval()
    values = torch.randn(2, 6, 3, 8, 8)
    valid = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    torch.testing.assert_close(network(values, valid)[1:], network(values[1:, :2]), rtol=0, atol=1e-6)


def test_batch_statistics_come_from_valid_dates_only() -> None:
    network = AgrUNet(AgrUNetConfig(bands=1, classes=2, filters=(4,), hidden=2)).train()
    values = torch.randn(2, 3, 1, 8, 8)
    values[1, 1:] = 50.0
    valid = torch.tensor([[True, True, True], [True, False, False]])
    network(values, valid)
    unit = network.encoder[0].units[0]
    kept = unit.space(values[valid])
    torch.testing.assert_close(unit.space_norm.running_mean, 0.1 * kept.mean((0, 2, 3)))


def test_padded_dates_give_no_gradient(make_network: Callable[..., AgrUNet]) -> None:
    network = make_network().train()
    values = torch.randn(1, 4, 3, 8, 8, requires_grad=True)
    valid = torch.tensor([[True, True, False, False]])
    sum(level.sum() for level in network(values, valid)).backward()
    assert values.grad is not None
    assert values.grad[:, 2:].abs().max() == 0


@pytest.mark.parametrize("dates", [1, 70])
def test_any_number_of_dates_from_1_to_70(make_network: Callable[..., AgrUNet], dates: int) -> None:
    assert make_network()(torch.randn(1, dates, 3, 4, 8))[0].shape == (1, 5, 4, 8)


def test_coarse_heads_speak_in_training_only(make_network: Callable[..., AgrUNet]) -> None:
    network = make_network((4, 4, 4))
    values = torch.randn(1, 2, 3, 16, 16)
    assert [tuple(level.shape[-2:]) for level in network(values)] == [(16, 16), (8, 8), (4, 4)]
    assert network.eval()(values).shape == (1, 5, 16, 16)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 2, 3, 10, 8), "multiples of 4"),
        ((1, 71, 3, 8, 8), "71 dates"),
        ((1, 0, 3, 8, 8), "takes"),
        ((1, 2, 4, 8, 8), r"\(B, T, 3, H, W\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    make_network: Callable[..., AgrUNet], shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(AgrunetError, match=said):
        make_network()(torch.zeros(shape))


def test_valid_dates_of_another_shape_are_refused(make_network: Callable[..., AgrUNet]) -> None:
    with pytest.raises(AgrunetError, match="don't fit"):
        make_network()(torch.zeros(1, 2, 3, 8, 8), torch.ones(1, 3, dtype=torch.bool))


def test_the_view_over_time_shares_memory() -> None:
    images = torch.randn(6, 5, 4, 4).contiguous(memory_format=torch.channels_last)
    memory = Dates(torch.ones(2, 3, dtype=torch.bool)).unpack(images)
    view = columns(memory)
    assert view.shape == (2, 5, 3, 16)
    assert view.data_ptr() == images.data_ptr()
    assert view.is_contiguous(memory_format=torch.channels_last)
