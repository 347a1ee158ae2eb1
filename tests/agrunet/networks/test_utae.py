"""U-TAE and its temporal attention: their published shape, and that padding changes nothing."""

from __future__ import annotations

import math
from typing import TypeVar

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from agrunet.errors import AgrunetError
from agrunet.networks.ltae import LTAE, attended, day_angles
from agrunet.networks.packed_dates import Dates
from agrunet.networks.utae import UTAE, UTAEConfig

HEADS = 2

M = TypeVar("M", bound=nn.Module)


def make_utae(encoder: tuple[int, ...] = (4, 8), dropout: float = 0.0) -> UTAE:
    torch.manual_seed(3)
    config = UTAEConfig(
        bands=3,
        classes=5,
        encoder=encoder,
        decoder=(6, *encoder[1:]),
        head=7,
        groups=2,
        heads=HEADS,
        d_model=12,
        d_k=3,
        dropout=dropout,
        attention_dropout=dropout,
    )
    return stirred(UTAE(config))


def make_ltae() -> LTAE:
    torch.manual_seed(4)
    return stirred(LTAE(6, heads=HEADS, d_model=8, d_k=3, out=4, dropout=0, attention_dropout=0))


def stirred(network: M) -> M:
    # Norms that do something: fresh ones are nearly the identity.
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0.3, 0.3)
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


def a_padded_batch() -> tuple[Tensor, Tensor, Tensor]:
    """Two series, of five and three dates; what padding holds must not matter."""
    torch.manual_seed(5)
    values, days = torch.randn(2, 5, 3, 8, 8), torch.tensor([[0, 3, 30, 41, 90], [2, 9, 100, -1, 5000]])
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    values[1, 3:] = math.nan
    return values, valid, days


def test_the_published_network_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        network = UTAE(UTAEConfig(bands=10, classes=19))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_086_969


def test_the_encoding_of_days_by_hand() -> None:
    # sin and cos of 10, and of 10 / 1000^(2/4) = 0.3162278
    wanted = torch.tensor([[[0.0, 1.0, 0.0, 1.0], [-0.5440211, -0.8390715, 0.3109836, 0.9504153]]])
    torch.testing.assert_close(day_angles(torch.tensor([[0, 10]]), 4), wanted, rtol=0, atol=1e-6)


def plain_ltae(ltae: LTAE, series: list[list[float]], days: list[int]) -> tuple[Tensor, Tensor]:
    """One pixel: ``series`` [date][channel]. Its features (out,) and attention (heads, T), from the paper's formulas."""
    share = ltae.channels // ltae.heads
    x = torch.zeros(len(days), ltae.channels)
    for channel in range(ltae.channels):
        group = channel // share
        members = [date[c] for date in series for c in range(group * share, (group + 1) * share)]
        mean = sum(members) / len(members)
        deviation = math.sqrt(sum((m - mean) ** 2 for m in members) / len(members) + 1e-5)
        for t, date in enumerate(series):
            x[t, channel] = (date[channel] - mean) / deviation * ltae.norm.weight[channel] + ltae.norm.bias[channel]
    x = x @ ltae.raise_channels.weight.T + ltae.raise_channels.bias
    size = ltae.d_model // ltae.heads
    for t, day in enumerate(days):
        for channel in range(ltae.d_model):
            within = channel % size
            angle = day / 1000 ** (2 * (within // 2) / size)
            x[t, channel] += math.cos(angle) if within % 2 else math.sin(angle)
    summed, attention = [], []
    for head in range(ltae.heads):
        rows = slice(head * ltae.d_k, (head + 1) * ltae.d_k)
        keys = x @ ltae.key.weight[rows].T + ltae.key.bias[rows]
        weights = torch.softmax(torch.stack([ltae.query[head] @ key for key in keys]) / math.sqrt(ltae.d_k), 0)
        summed.append(sum(w * x[t, head * size : (head + 1) * size] for t, w in enumerate(weights)))
        attention.append(weights)
    mixed, norm = torch.cat(summed) @ ltae.mix.weight.T + ltae.mix.bias, ltae.mix_norm
    mixed = (mixed - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias
    groups = mixed.relu().view(ltae.heads, -1)
    groups = (groups - groups.mean(1, keepdim=True)) / torch.sqrt(groups.var(1, correction=0, keepdim=True) + 1e-5)
    return groups.flatten() * ltae.out_norm.weight + ltae.out_norm.bias, torch.stack(attention)


@torch.no_grad()
def test_the_temporal_attention_is_the_papers_pixel_by_pixel() -> None:
    ltae = make_ltae().eval()
    images = torch.randn(2, 4, 6, 2, 3) * 2 + 1
    valid, days = torch.tensor([[True] * 4, [True] * 2 + [False] * 2]), torch.tensor([[0, 5, 17, 200], [3, 90, 0, 0]])
    features, attention = ltae(images, valid, days)
    assert features.shape == (2, 4, 2, 3)
    assert attention.shape == (HEADS, 2, 4, 2, 3)
    for b, dates in ((0, 4), (1, 2)):
        for row in range(2):
            for column in range(3):
                series = images[b, :dates, :, row, column].tolist()
                wanted, weights = plain_ltae(ltae, series, days[b, :dates].tolist())
                torch.testing.assert_close(features[b, :, row, column], wanted, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(attention[:, b, :dates, row, column], weights, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_attention_sums_to_one_over_the_valid_dates_and_is_zero_on_padded_ones() -> None:
    valid = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    features, attention = make_ltae()(torch.randn(3, 3, 6, 2, 2), valid, torch.arange(3).expand(3, 3))
    wanted = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(HEADS, 3, 2, 2)
    torch.testing.assert_close(attention.sum(2), wanted)
    assert (attention[:, ~valid] == 0).all()
    assert (attention[:, valid] > 0).all()
    assert features.isfinite().all()  # of a series without any valid date too


def test_the_temporal_attention_is_the_same_padded_and_alone() -> None:
    ltae = make_ltae().eval()
    images, days = torch.randn(1, 3, 6, 2, 2), torch.tensor([[4, 9, 50]])
    valid = torch.ones(1, 3, dtype=torch.bool)
    padded = torch.cat((images, torch.full((1, 2, 6, 2, 2), math.nan)), 1)
    alone, weights = ltae(images, valid, days)
    found, masked = ltae(padded, functional.pad(valid, (0, 2)), functional.pad(days, (0, 2)))
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(masked[:, :, :3], weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training: bool) -> None:
    values, valid, days = a_padded_batch()
    longer = torch.cat((values, torch.full((2, 4, 3, 8, 8), -1e3)), dim=1)
    one, other = make_utae().train(training), make_utae().train(training)
    found = one(longer, functional.pad(valid, (0, 4)), functional.pad(days, (0, 4), value=7))
    wanted = other(values, valid, days)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
    found.square().mean().backward()
    wanted.square().mean().backward()
    for (name, ours), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)
    for (name, ours), theirs in zip(one.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_padded_series_gives_what_it_gives_alone() -> None:
    network = make_utae().eval()
    values, valid, days = a_padded_batch()
    alone = network(values[1:, :3], None, days[1:, :3])
    torch.testing.assert_close(network(values, valid, days)[1:], alone, rtol=0, atol=2e-6)


def block(images: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
    """Reflected convolution, norm, ReLU, with other means than the network's."""
    convolution, norm = layer.convolution, layer.norm
    images = functional.pad(images.contiguous(), (1, 1, 1, 1), mode="reflect")
    images = functional.conv2d(images, convolution.weight, convolution.bias, stride=stride)
    if isinstance(norm, nn.GroupNorm):
        shares = images.contiguous().view(len(images), norm.num_groups, -1)
        shares = (shares - shares.mean(2, keepdim=True)) / (shares.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
        return (shares.view(images.shape) * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)).relu()
    return norm(images).relu()


@torch.no_grad()
def test_the_network_is_the_papers_date_by_date() -> None:
    network = make_utae((4, 6, 8)).eval()
    values, days = torch.randn(1, 3, 3, 8, 8), torch.tensor([[1, 20, 95]])
    levels: list[list[Tensor]] = [[], [], []]
    for date in values[0]:
        image = date.unsqueeze(0)
        for layer in network.first:
            image = block(image, layer)
        levels[0].append(image)
        for level, down in zip(levels[1:], network.down, strict=True):
            image = block(block(image, down.halve, stride=2), down.widen)
            image = image + block(image, down.refine)
            level.append(image)
    valid = torch.ones(1, 3, dtype=torch.bool)
    features, attention = network.temporal(torch.stack(levels[2], dim=1), valid, days)
    for up, level in zip(reversed(network.up), reversed(levels[:2]), strict=True):
        side, share = level[0].shape[-1], level[0].shape[1] // HEADS
        skip = torch.zeros_like(level[0])
        for head in range(HEADS):
            channels = slice(head * share, (head + 1) * share)
            for t, image in enumerate(level):
                mask = nn.Upsample(size=side, mode="bilinear", align_corners=False)(attention[head, :, t].unsqueeze(1))
                skip[:, channels] += mask * image[:, channels]
        enlarged = up.enlarge.norm(up.enlarge.convolution(features)).relu()
        skip = up.skip.norm(up.skip.convolution(skip)).relu()
        features = block(torch.cat((enlarged, skip), 1), up.narrow)
        features = features + block(features, up.refine)
    for layer in network.head:
        features = block(features, layer)
    torch.testing.assert_close(network(values, None, days), features, rtol=1e-4, atol=1e-5)


def test_each_head_collapses_its_share_of_the_channels_over_the_valid_dates() -> None:
    dates = Dates(torch.tensor([[True, True, False]]))
    packed = (
        torch.arange(8.0).view(2, 4, 1, 1).expand(2, 4, 2, 2)
    )  # channels 0 1 2 3 on the first date, 4 5 6 7 on the second
    attention = torch.tensor([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]).view(2, 1, 3, 1, 1)
    found = attended(packed, dates, attention)
    assert found[0, :, 1, 1].tolist() == [3.0, 4.0, 2.0, 3.0]


def test_days_matter_and_are_equally_spaced_by_default() -> None:
    network = make_utae().eval()
    values = torch.randn(1, 3, 3, 8, 8)
    torch.testing.assert_close(network(values), network(values, None, torch.tensor([[0, 1, 2]])), rtol=0, atol=0)
    assert not torch.allclose(network(values), network(values, None, torch.tensor([[0, 40, 90]])), atol=1e-4)


def test_gradients_reach_every_parameter() -> None:
    network = make_utae((4, 6, 8)).eval()  # in training a batch norm takes away the bias before it
    network(torch.randn(2, 3, 3, 8, 8)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # The bias of the keys adds the same to the scores of all dates: the softmax doesn't see it.
        assert (parameter.grad.abs().max() > 1e-5) == (name != "temporal.key.bias"), name


def test_training_on_a_padded_batch_lowers_the_loss() -> None:
    network = make_utae(dropout=0.1).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    values, valid, days = a_padded_batch()
    label = torch.randint(5, (2, 8, 8))
    losses = []
    for _ in range(8):
        loss = functional.cross_entropy(network(values, valid, days), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.parametrize(("dates", "height", "width"), [(1, 8, 8), (70, 4, 12)])
def test_any_number_of_dates_and_any_fitting_size(dates: int, height: int, width: int) -> None:
    network = make_utae().eval()
    assert network(torch.randn(1, dates, 3, height, width)).shape == (1, 5, height, width)


@torch.no_grad()
def test_folding_the_norms_changes_nothing_but_rounding() -> None:
    network = make_utae().eval()
    values, valid, days = a_padded_batch()
    folded = network.for_inference()
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    torch.testing.assert_close(folded(values, valid, days), network(values, valid, days), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(folded.for_inference()(values, valid, days), folded(values, valid, days))


@torch.no_grad()
def test_half_precision_stays_half_and_memory_stays_channels_last_through_the_encoder() -> None:
    network = make_utae().eval()
    values = torch.randn(1, 2, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = network.down[0](network.first(values[0].contiguous(memory_format=torch.channels_last)))
        logits = network(values)
    assert images.dtype == torch.bfloat16
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(logits.float(), network(values), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 2, 3, 9, 8), "multiples of 2"),
        ((1, 2, 3, 2, 8), "needs 4 a side"),
        ((1, 71, 3, 8, 8), "71 dates"),
        ((1, 2, 4, 8, 8), r"\(B, T, 3, H, W\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(AgrunetError, match=said):
        make_utae()(torch.zeros(shape))


def test_dates_of_another_shape_are_refused() -> None:
    values, good = torch.zeros(1, 2, 3, 8, 8), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(AgrunetError, match="don't fit"):
        make_utae()(values, torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(AgrunetError, match=r"days \(1, 3\) don't fit"):
        make_utae()(values, good, torch.zeros(1, 3))
    with pytest.raises(AgrunetError, match=r"takes \(B, T, 6, H, W\)"):
        make_ltae()(values, good, torch.zeros(1, 2))


def test_widths_that_heads_or_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(ValidationError, match="encoder width of 24"):
        UTAEConfig(bands=3, classes=2, encoder=(24, 64), decoder=(32, 64))
    with pytest.raises(ValidationError, match="same last width"):
        UTAEConfig(bands=3, classes=2, encoder=(32, 64), decoder=(32, 32))
    with pytest.raises(ValidationError, match="d_model of 100"):
        UTAEConfig(bands=3, classes=2, d_model=100)
    with pytest.raises(AgrunetError, match="channels of 30"):
        LTAE(30)
    with pytest.raises(AgrunetError, match="out of 16 leaves each of 16 heads one channel"):
        LTAE(16)
