"""TSViT: its published shape, its mathematics, and that padding changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.errors import AgrunetError
from agrunet.networks import tsvit
from agrunet.networks.tsvit import TSViT, TSViTConfig


def make_tsvit(**changes: int) -> TSViT:
    torch.manual_seed(3)
    shape = {"grid": 4, "dim": 8, "temporal_depth": 2, "spatial_depth": 2, "heads": 2, "head_dim": 4, "mlp_ratio": 2}
    network = TSViT(TSViTConfig(bands=3, classes=5, **(shape | changes)))
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):  # norms that do something
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0.3, 0.3)
    return network


def test_the_published_network_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        network = TSViT(TSViTConfig(bands=10, classes=19))
    layer = (2 * 128) + (3 * 128 * 128) + (128 * 128 + 128) + (2 * 128) + (128 * 512 + 512) + (512 * 128 + 128)
    embedding, days, tokens, places = 10 * 4 * 128 + 128, 366 * 128 + 128, 19 * 128, 12 * 12 * 128
    norms, head = 2 * (2 * 128), (2 * 128) + (128 * 4 + 4)
    wanted = 8 * layer + embedding + days + tokens + places + norms + head
    assert sum(parameter.numel() for parameter in network.parameters()) == wanted == 1_657_476


def plain(transformer: tsvit.Transformer) -> nn.TransformerEncoder:
    """The same transformer as torch writes it, with the same weights."""
    layers = list(transformer.layers)
    size, hidden = layers[0].mix.out_features, layers[0].mlp[1].out_features
    layer = nn.TransformerEncoderLayer(size, layers[0].heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, len(layers), nn.LayerNorm(size), enable_nested_tensor=False)
    for ours, theirs in zip(layers, encoder.layers, strict=True):
        weights = {
            "self_attn.in_proj_weight": ours.query_key_value.weight,
            "self_attn.in_proj_bias": torch.zeros(3 * size),
        }
        modules = {
            "self_attn.out_proj": ours.mix,
            "linear1": ours.mlp[1],
            "linear2": ours.mlp[3],
            "norm1": ours.attention_norm,
            "norm2": ours.mlp[0],
        }
        for name, module in modules.items():
            weights |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
        theirs.load_state_dict(weights)
    encoder.norm.load_state_dict(transformer.norm.state_dict())
    return encoder


@torch.no_grad()
def test_the_transformer_is_torchs_own_with_masked_dates_and_for_the_first_tokens_only() -> None:
    transformer = make_tsvit().temporal
    tokens, seen = torch.randn(3, 6, 8), torch.ones(3, 6, dtype=torch.bool)
    seen[1, 4:] = False
    wanted = plain(transformer)(tokens, src_key_padding_mask=~seen)
    found = transformer(tokens, seen.view(3, 1, 1, 6))
    torch.testing.assert_close(found[seen], wanted[seen], rtol=1e-5, atol=1e-6)
    first = transformer(tokens, seen.view(3, 1, 1, 6), keep=2)
    torch.testing.assert_close(first, wanted[:, :2], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_network_is_the_papers_square_by_square() -> None:
    network = make_tsvit(grid=2)
    values, days = torch.randn(3, 3, 4, 4), [0, 40, 366 + 41]
    temporal, spatial = plain(network.temporal), plain(network.spatial)
    outputs = torch.zeros(2, 2, 5, 8)
    for row in range(2):
        for column in range(2):
            tokens = list(network.classes)
            for date, day in zip(values, days, strict=True):
                square = date[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                pixels = torch.cat([square[:, y, x] for y in range(2) for x in range(2)])
                one_hot = torch.zeros(366)
                one_hot[day % 366] = 1
                tokens.append(network.embed(pixels) + network.day(one_hot))
            outputs[row, column] = temporal(torch.stack(tokens).unsqueeze(0))[0, :5]
    logits = torch.zeros(5, 4, 4)
    for index in range(5):
        squares = (outputs[:, :, index] + network.place).view(1, 4, 8)
        for position, token in enumerate(spatial(squares)[0]):
            y, x = 2 * (position // 2), 2 * (position % 2)
            logits[index, y : y + 2, x : x + 2] = network.head(token).view(2, 2)
    found = network(values.unsqueeze(0), None, torch.tensor([days]))
    torch.testing.assert_close(found[0], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training: bool) -> None:
    values, days = torch.randn(2, 5, 3, 8, 8), torch.tensor([[0, 3, 30, 41, 90], [2, 9, 100, -1, 5000]])
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    values[1, 3:] = float("nan")  # what padding holds must not matter
    longer = torch.cat((values, torch.full((2, 4, 3, 8, 8), -1e3)), dim=1)
    one, other = make_tsvit().train(training), make_tsvit().train(training)
    found = one(longer, functional.pad(valid, (0, 4)), functional.pad(days, (0, 4), value=7))
    wanted = other(values, valid, days)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
    torch.testing.assert_close(found[1:], other(values[1:, :3], None, days[1:, :3]), rtol=0, atol=2e-6)
    found.square().mean().backward()
    wanted.square().mean().backward()
    for (name, ours), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_the_encoding_of_place_is_interpolated_to_the_image() -> None:
    network = make_tsvit(grid=2)
    learned = torch.tensor([[0.0, 4.0], [8.0, 12.0]])
    with torch.no_grad():
        network.place.copy_(learned.unsqueeze(-1).expand(2, 2, 8))
    assert network._place_code(2, 2)[:, 0].tolist() == [0, 4, 8, 12]
    # Bilinear, by centres: along a row of four, 0 0.25 0.75 1 of the way.
    assert network._place_code(1, 4)[:, 3].tolist() == [4, 5, 7, 8]
    assert network._place_code(4, 2)[:, 3].tolist() == [0, 4, 2, 6, 6, 10, 8, 12]


def test_a_year_later_is_the_same_time_of_year_and_days_are_equally_spaced_by_default() -> None:
    network = make_tsvit()
    values = torch.randn(1, 3, 3, 8, 8)

    def logits(*days: int) -> Tensor:
        return network(values, None, torch.tensor([days]))

    torch.testing.assert_close(logits(5, 20, 365), logits(5 + 366, 20, 365), rtol=0, atol=0)
    torch.testing.assert_close(logits(0, 1, 2), network(values), rtol=0, atol=0)
    assert not torch.allclose(logits(5, 20, 365), logits(6, 20, 365), atol=1e-4)


def test_gradients_reach_every_parameter() -> None:
    network = make_tsvit().train()
    network(torch.randn(2, 3, 3, 8, 8)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-6, name


def test_more_sequences_than_one_call_takes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_tsvit()
    values, valid = torch.randn(2, 3, 3, 8, 8), torch.tensor([[True] * 3, [True, True, False]])
    wanted = network(values, valid), network(values)
    monkeypatch.setattr(tsvit, "MOST_SEQUENCES", 5)  # of 32 over time and 10 over space
    for found, whole in zip((network(values, valid), network(values)), wanted, strict=True):
        torch.testing.assert_close(found, whole, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("dates", "height", "width"), [(1, 8, 8), (70, 2, 12)])
def test_any_number_of_dates_and_any_fitting_size(dates: int, height: int, width: int) -> None:
    assert make_tsvit()(torch.randn(1, dates, 3, height, width)).shape == (1, 5, height, width)


@torch.no_grad()
def test_half_precision_and_the_copy_for_inference_give_the_same_logits() -> None:
    network = make_tsvit().train()
    values = torch.randn(1, 3, 3, 8, 8)
    copied = network.for_inference()
    assert not copied.training
    assert network.training
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    torch.testing.assert_close(copied(values), network(values))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(values)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), network(values), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 2, 3, 9, 8), "multiples of 2"),
        ((1, 71, 3, 8, 8), "71 dates"),
        ((1, 2, 4, 8, 8), r"\(B, T, 3, H, W\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(AgrunetError, match=said):
        make_tsvit()(torch.zeros(shape))


def test_dates_of_another_shape_are_refused() -> None:
    values = torch.zeros(1, 2, 3, 8, 8)
    with pytest.raises(AgrunetError, match="don't fit"):
        make_tsvit()(values, torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(AgrunetError, match=r"days \(1, 3\) don't fit"):
        make_tsvit()(values, None, torch.zeros(1, 3))
