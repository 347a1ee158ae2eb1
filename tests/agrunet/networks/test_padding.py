"""What UNet-3D, 3D FPN, ConvRNN and the pixel network share: padding changes nothing, any number of dates, shapes that are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from agrunet.errors import AgrunetError
from agrunet.networks.conv_rnn import ConvRNN, ConvRNNConfig
from agrunet.networks.fpn3d import FPN3D, FPN3DConfig
from agrunet.networks.pixel import PixelConfig, PixelNetwork
from agrunet.networks.unet3d import UNet3D, UNet3DConfig

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet3d": lambda: UNet3D(UNet3DConfig(bands=3, classes=5, width=4)),
    "fpn3d": lambda: FPN3D(FPN3DConfig(bands=3, classes=5, widths=(4, 6, 6), pyramid=4)),
    "conv_lstm": lambda: ConvRNN(ConvRNNConfig(bands=3, classes=5, hidden=4)),
    "pixel": lambda: PixelNetwork(
        PixelConfig(bands=3, classes=5, widths=(8, 16), heads=4, d_model=16, head=8, dropout=0)
    ),
    "conv_gru": lambda: ConvRNN(ConvRNNConfig(bands=3, classes=5, cell="gru", hidden=4)),
}

pytestmark = pytest.mark.parametrize("kind", NETWORKS)


def make(kind: str) -> nn.Module:
    """A small network with random weights and norms that do something, always the same."""
    torch.manual_seed(3)
    network = NETWORKS[kind]()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("training", [False, True])
def test_padding_a_batch_changes_nothing(kind: str, training: bool) -> None:
    values = torch.randn(2, 5, 3, 8, 8)
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[1, 3:] = False
    values[1, 3:] = 1e3  # what padding holds must not matter
    longer = torch.cat((values, torch.full((2, 4, 3, 8, 8), -1e3)), dim=1)
    longer_valid = torch.cat((valid, torch.zeros(2, 4, dtype=torch.bool)), dim=1)
    one, other = make(kind).train(training), make(kind).train(training)
    torch.testing.assert_close(one(longer, longer_valid), other(values, valid), rtol=0, atol=1e-6)
    for (name, ours), theirs in zip(one.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_padded_series_gives_what_it_gives_alone(kind: str) -> None:
    network = make(kind).eval()
    values = torch.randn(2, 6, 3, 8, 8)
    for length in (1, 3, 4):
        valid = torch.tensor([[True] * 6, [True] * length + [False] * (6 - length)])
        torch.testing.assert_close(network(values, valid)[1:], network(values[1:, :length]), rtol=0, atol=1e-6)


def test_padding_that_is_not_a_number_reaches_neither_logits_nor_gradients(kind: str) -> None:
    network = make(kind).train()
    values = torch.randn(2, 4, 3, 8, 8)
    values[1, 2:] = torch.nan
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    logits = network(values, valid)
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_padded_dates_give_no_gradient(kind: str) -> None:
    values = torch.randn(1, 5, 3, 8, 8, requires_grad=True)
    valid = torch.tensor([[True, True, True, False, False]])
    make(kind).train()(values, valid).square().sum().backward()
    assert values.grad is not None
    assert values.grad[:, 3:].abs().max() == 0
    assert (values.grad[:, :3].abs().amax((0, 2, 3, 4)) > 0).all()


@pytest.mark.parametrize("dates", [1, 2, 3, 70])
def test_any_number_of_dates_from_1_to_70(kind: str, dates: int) -> None:
    network = make(kind).train()
    logits = network(torch.randn(1, dates, 3, 4, 8))
    assert logits.shape == (1, 5, 4, 8)
    assert logits.isfinite().all()


def test_every_date_counts(kind: str) -> None:
    network = make(kind).eval()
    values = torch.randn(1, 7, 3, 8, 8)
    logits = network(values)
    for date in range(7):
        other = values.clone()
        other[:, date] += 1
        assert not torch.allclose(network(other), logits, atol=1e-5), date


def test_the_gradient_reaches_every_parameter(kind: str) -> None:
    network = make(kind).eval()  # in training, a norm takes the bias before it away
    network(torch.randn(2, 5, 3, 8, 8)).square().sum().backward()
    silent = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().max() > 0]
    assert not silent


def test_the_form_for_inference_gives_the_same(kind: str) -> None:
    network = make(kind)
    values, valid = torch.randn(2, 5, 3, 8, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    before = network.eval()(values, valid)
    folded = network.train().for_inference()
    assert not folded.training
    assert network.training
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    torch.testing.assert_close(folded(values, valid), before, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(folded.for_inference()(values, valid), folded(values, valid))


def test_half_precision_stays_near_full(kind: str) -> None:
    network = make(kind).for_inference()
    values = torch.randn(1, 4, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(values)
    wanted = network(values)
    assert (found.float() - wanted).abs().max() < 0.03 * wanted.abs().max()


def test_without_padding_a_compiled_network_is_one_graph(kind: str) -> None:
    network = make(kind).for_inference()
    values = torch.randn(1, 3, 3, 8, 8)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(values), network(values))


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 71, 3, 8, 8), "71 dates"), ((1, 0, 3, 8, 8), "takes"), ((1, 2, 4, 8, 8), r"\(B, T, 3, H, W\)")],
)
def test_shapes_that_do_not_fit_are_refused(kind: str, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(AgrunetError, match=said):
        make(kind)(torch.zeros(shape))


def test_valid_dates_of_another_shape_are_refused(kind: str) -> None:
    with pytest.raises(AgrunetError, match="don't fit"):
        make(kind)(torch.zeros(1, 2, 3, 8, 8), torch.ones(1, 3, dtype=torch.bool))
