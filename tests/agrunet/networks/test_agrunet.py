"""The network's shape in every configuration, and that padding, bands, checkpointing and compiling change nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from agrunet.errors import AgrunetError
from agrunet.networks import agrunet_layers
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig
from agrunet.networks.packed_dates import Dates, columns

LTAE = {"temporal": "ltae", "heads": 4, "d_model": 8, "d_k": 2}

CONFIGURATIONS = [
    pytest.param({}, id="as published"),
    pytest.param({"block": "time_space", "temporal": "conv_lstm", "collapse": "max"}, id="time first, ConvLSTM, max"),
    pytest.param({"block": "conv3d", "temporal": "conv_gru"}, id="Conv3d, ConvGRU"),
    pytest.param({"temporal": "bi_conv_gru", "collapse": "max"}, id="both ways ConvGRU, max"),
    pytest.param(LTAE, id="L-TAE"),
    pytest.param(LTAE | {"block": "conv3d", "collapse": "attention"}, id="L-TAE's attention, Conv3d"),
]

every_configuration = pytest.mark.parametrize("settings", CONFIGURATIONS)

MakeNetwork = Callable[..., AgrUNet]
Settings = dict[str, Any]


@pytest.mark.parametrize(
    ("bands", "classes", "filters", "parameters"),
    [(10, 19, (64, 128), 2_016_742), (7, 18, (64, 128, 256), 6_284_406)],
)
def test_the_parameter_counts_are_those_of_the_talk(
    bands: int, classes: int, filters: tuple[int, ...], parameters: int
) -> None:
    with torch.device("meta"):
        network = AgrUNet(AgrUNetConfig(bands=bands, classes=classes, filters=filters))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_configuration_written_before_the_others_were_there_reads_as_published() -> None:
    written = '{"bands": 10, "classes": 19, "filters": [64, 128], "hidden": 64, "temporal": "bi_conv_lstm"}'
    config = AgrUNetConfig.model_validate_json(written)
    assert (config.block, config.collapse) == ("space_time", "mean")
    with torch.device("meta"):
        names = set(AgrUNet(config).state_dict())
    assert {
        "encoder.1.units.0.space.weight",
        "encoder.0.units.1.time_norm.running_var",
        "temporal.inputs.bias",
        "temporal.states.weight",
        "temporal.mix.weight",
        "decoder.0.up.weight",
        "heads.1.bias",
    } <= names


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"collapse": "attention"}, "needs the masks of temporal 'ltae', and temporal is 'bi_conv_lstm'"),
        (LTAE | {"d_model": 10}, "d_model is 10, which 4 heads can't share"),
        (LTAE | {"filters": (8, 10)}, "the last of filters is 10"),
        (LTAE | {"filters": (8, 4)}, "each gets one channel only"),
        (LTAE | {"filters": (6, 8), "collapse": "attention"}, "level 0 of filters is 6"),
        ({"temporal": "transformer"}, "Input should be"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: Settings, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AgrUNetConfig.model_validate({"bands": 3, "classes": 2, "filters": (8, 12)} | settings)


@every_configuration
def test_folding_the_norms_changes_nothing_but_rounding(make_network: MakeNetwork, settings: Settings) -> None:
    network = make_network(**settings).eval()
    values = torch.randn(1, 6, 3, 16, 16)
    folded = network.for_inference()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    torch.testing.assert_close(folded(values), network(values), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(folded.for_inference()(values), folded(values))


@every_configuration
@pytest.mark.parametrize("training", [False, True])
def test_padding_a_batch_changes_nothing(make_network: MakeNetwork, training: bool, settings: Settings) -> None:
    values = torch.randn(2, 7, 3, 8, 8)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[1, 4:] = False
    values[1, 4:] = 1e3  # what padding holds must not matter
    longer = torch.cat((values, torch.full((2, 5, 3, 8, 8), -1e3)), dim=1)
    longer_valid = torch.cat((valid, torch.zeros(2, 5, dtype=torch.bool)), dim=1)
    one, other = make_network(**settings).train(training), make_network(**settings).train(training)
    found, wanted = one(longer, longer_valid), other(values, valid)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
    for (name, ours), theirs in zip(one.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


@every_configuration
@pytest.mark.parametrize("grad", [False, True])
def test_a_padded_series_gives_what_it_gives_alone(make_network: MakeNetwork, grad: bool, settings: Settings) -> None:
    network = make_network(**settings).eval()
    values = torch.randn(2, 6, 3, 8, 8)
    valid = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    days = torch.tensor([[3, 9, 11, 30, 31, 60], [5, 40, 0, 0, 0, 0]])
    with torch.set_grad_enabled(grad):
        found, alone = network(values, valid, days)[1:], network(values[1:, :2], None, days[1:, :2])
    torch.testing.assert_close(found, alone, rtol=0, atol=2e-6)


def test_batch_statistics_come_from_valid_dates_only() -> None:
    network = AgrUNet(AgrUNetConfig(bands=1, classes=2, filters=(4,), hidden=2)).train()
    values = torch.randn(2, 3, 1, 8, 8)
    values[1, 1:] = 50.0
    valid = torch.tensor([[True, True, True], [True, False, False]])
    network(values, valid)
    unit = network.encoder[0].units[0]
    kept = unit.space(values[valid])
    torch.testing.assert_close(unit.space_norm.running_mean, 0.1 * kept.mean((0, 2, 3)))


@every_configuration
def test_padded_dates_give_no_gradient(make_network: MakeNetwork, settings: Settings) -> None:
    network = make_network(**settings).train()
    values = torch.randn(2, 4, 3, 8, 8, requires_grad=True)
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    sum((level**2).sum() for level in network(values, valid)).backward()
    assert values.grad is not None
    assert values.grad[1, 2:].abs().max() == 0
    assert values.grad[0].abs().amax((1, 2, 3)).min() > 0
    unmoved = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert not unmoved


def test_the_days_matter_where_the_temporal_encoder_takes_them(make_network: MakeNetwork) -> None:
    values, days = torch.randn(1, 4, 3, 8, 8), torch.tensor([[0, 10, 50, 90]])
    network = make_network(**LTAE).eval()
    assert (network(values, None, days) - network(values)).abs().max() > 1e-4
    torch.testing.assert_close(network(values, None, torch.arange(4)[None]), network(values))
    network = make_network().eval()
    torch.testing.assert_close(network(values, None, days), network(values))


@pytest.mark.parametrize("dates", [1, 70])
def test_any_number_of_dates_from_1_to_70(make_network: MakeNetwork, dates: int) -> None:
    assert make_network()(torch.randn(1, dates, 3, 4, 8))[0].shape == (1, 5, 4, 8)


@every_configuration
def test_coarse_heads_speak_in_training_only(make_network: MakeNetwork, settings: Settings) -> None:
    network = make_network((8, 8, 8), **settings)
    values = torch.randn(1, 2, 3, 16, 16)
    assert [tuple(level.shape[-2:]) for level in network(values)] == [(16, 16), (8, 8), (4, 4)]
    assert network.eval()(values).shape == (1, 5, 16, 16)


@every_configuration
def test_bands_of_rows_give_what_the_whole_gives(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    network = make_network(**settings).for_inference()
    values = torch.randn(2, 4, 3, 20, 12)
    valid = torch.tensor([[True] * 4, [True, True, True, False]])
    wanted = network(values, valid)  # with gradients enabled: no bands
    monkeypatch.setattr(agrunet_layers, "_BAND_BYTES", 0)
    monkeypatch.setattr(agrunet_layers, "_BAND_ROWS", 4)
    heights = []
    network.encoder[0].units[1].register_forward_hook(lambda _, __, images: heights.append(images.shape[2]))
    with torch.inference_mode():
        found = network(values, valid)
    assert heights == [4] * 5 * 2  # five bands of each series
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)


@every_configuration
def test_checkpointing_changes_neither_gradients_nor_statistics(make_network: MakeNetwork, settings: Settings) -> None:
    values = torch.randn(2, 4, 3, 8, 8, dtype=torch.float64)
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    plain = make_network(**settings).double().train()
    saving = copy.deepcopy(plain)
    saving.checkpointing = True
    passes = []
    saving.encoder[1].units[0].register_forward_hook(lambda *_: passes.append(1))
    for network in (plain, saving):
        loss = sum((level**2).mean() for level in network(values, valid))
        loss.backward(retain_graph=True)
        loss.backward()
    assert len(passes) == 3  # forward, and once more for each backward
    for (name, ours), theirs in zip(saving.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-14, msg=name)
    for (name, ours), theirs in zip(saving.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs), name
    assert {int(count) for name, count in saving.named_buffers() if name.endswith("num_batches_tracked")} == {1}


def test_checkpointing_leaves_evaluation_as_it_is(make_network: MakeNetwork) -> None:
    network = make_network().eval()
    values = torch.randn(1, 3, 3, 8, 8)
    wanted = network(values)
    network.checkpointing = True
    assert torch.equal(network(values), wanted)


@pytest.mark.parametrize("settings", [CONFIGURATIONS[0], CONFIGURATIONS[-1]])
def test_a_compiled_network_stops_once_where_dates_may_be_padded(make_network: MakeNetwork, settings: Settings) -> None:
    graphs: list[int] = []

    def traced(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    torch.compiler.reset()
    network = make_network((8,), **settings)
    compiled = torch.compile(network, backend=traced)
    values, valid = torch.randn(2, 3, 3, 4, 4), torch.tensor([[True] * 3, [True, True, False]])
    with torch.no_grad():
        for given in ((values,), (values, valid)):
            wanted = copy.deepcopy(network)(*given)
            for ours, theirs in zip(compiled(*given), wanted, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
    # One graph without a mask; with one, what leads to the look at the mask makes none, so again one.
    assert len(graphs) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_the_compiler_gives_the_same_logits_and_gradients(make_network: MakeNetwork) -> None:
    if not _has_compiler():
        pytest.skip("torch.compile on a CPU needs a C++ compiler, and there is none")
    torch.compiler.reset()
    network = make_network((4,))
    network.checkpointing = True
    twin = copy.deepcopy(network)
    values = torch.randn(1, 2, 3, 4, 4)
    found, wanted = torch.compile(network)(values), twin(values)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    found[0].square().mean().backward()
    wanted[0].square().mean().backward()
    for (name, ours), theirs in zip(network.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)
    for (name, ours), theirs in zip(network.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def _has_compiler() -> bool:
    from torch._inductor import exc
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        return False
    return True


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 2, 3, 10, 8), "multiples of 4"),
        ((1, 71, 3, 8, 8), "71 dates"),
        ((1, 0, 3, 8, 8), "takes"),
        ((1, 2, 4, 8, 8), r"\(B, T, 3, H, W\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make_network: MakeNetwork, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(AgrunetError, match=said):
        make_network()(torch.zeros(shape))


def test_valid_dates_of_another_shape_are_refused(make_network: MakeNetwork) -> None:
    with pytest.raises(AgrunetError, match="don't fit"):
        make_network()(torch.zeros(1, 2, 3, 8, 8), torch.ones(1, 3, dtype=torch.bool))


def test_the_view_over_time_shares_memory() -> None:
    images = torch.randn(6, 5, 4, 4).contiguous(memory_format=torch.channels_last)
    memory = Dates(torch.ones(2, 3, dtype=torch.bool)).unpack(images)
    view = columns(memory)
    assert view.shape == (2, 5, 3, 16)
    assert view.data_ptr() == images.data_ptr()
    assert view.is_contiguous(memory_format=torch.channels_last)
