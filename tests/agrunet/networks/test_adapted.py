"""An adapted network begins as its start, limited to the classes that are asked for, and keeps what it is told of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from agrunet.networks.adapted import Adapted, AdaptedConfig, AdaptedRow
from agrunet.networks.agrunet import AgrUNet
from agrunet.networks.registry import NetworkConfig, title_of

ROWS = ((0, 1), (0, 3), (1, 0), (2, -1))
"""Class 0 is the start's 1 and 3, class 1 its 0, class 2 is new to it."""


def adapted(start: AgrUNet, rows: tuple[tuple[int, int], ...] = ROWS, keep: float = 0.0) -> Adapted:
    listed = tuple(AdaptedRow(of=of, source=source) for of, source in rows)
    classes = len({of for of, _ in rows})
    shape = AdaptedConfig(start=start.config, bands=start.config.bands, classes=classes, rows=listed, keep=keep)
    network = Adapted(shape)
    network.network.load_state_dict(start.state_dict())
    return network.eval()


@pytest.fixture
def series() -> Tensor:
    return torch.randn((2, 4, 3, 8, 8), generator=torch.Generator().manual_seed(1))


def test_untrained_it_is_the_start_limited_to_its_classes(make_network: Callable[..., AgrUNet], series: Tensor) -> None:
    start = make_network().eval()
    network = adapted(start, ROWS[:3])
    with torch.no_grad():
        known, limited = start(series).softmax(1), network(series).softmax(1)
    together = torch.stack([known[:, 1] + known[:, 3], known[:, 0]], dim=1)
    torch.testing.assert_close(limited, together / together.sum(1, keepdim=True))


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_known_classes_share_what_they_have_as_the_start_says(
    make_network: Callable[..., AgrUNet], series: Tensor, keep: float
) -> None:
    start = make_network().eval()
    network = adapted(start, keep=keep)
    alone, begun = adapted(start), adapted(start, ROWS[:3])
    for changed in (network, alone):
        torch.nn.init.normal_(changed.weight, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        own, limited, mixed = (part(series).softmax(1) for part in (alone, begun, network))
    torch.testing.assert_close(mixed[:, 2], own[:, 2])
    shared = own[:, :2].sum(1, keepdim=True) * limited
    torch.testing.assert_close(mixed[:, :2], (1 - keep) * own[:, :2] + keep * shared)


def test_training_gives_all_levels_and_inference_the_same_logits(
    make_network: Callable[..., AgrUNet], series: Tensor
) -> None:
    network = adapted(make_network(), keep=0.5)
    with torch.no_grad():
        torch.testing.assert_close(network.for_inference()(series), network(series), atol=1e-4, rtol=1e-4)
    network.train()
    assert [tuple(level.shape) for level in network(series)] == [(2, 3, 8, 8), (2, 3, 4, 4)]


def test_a_start_may_be_adapted_itself(make_network: Callable[..., AgrUNet], series: Tensor) -> None:
    inner = adapted(make_network())
    rows = (AdaptedRow(of=0, source=2), AdaptedRow(of=1, source=0))
    shape = AdaptedConfig(start=inner.config, bands=3, classes=2, rows=rows)
    assert TypeAdapter(NetworkConfig).validate_json(shape.model_dump_json()) == shape
    assert title_of(shape) == "AgrUNet, fine-tuned, fine-tuned"
    assert Adapted(shape).eval()(series).shape == (2, 2, 8, 8)


@pytest.mark.parametrize(
    ("rows", "message"), [([(0, 1)], "rows of"), ([(0, 1), (1, 9)], "class 9 of 5"), ([(0, 1), (2, 2)], "rows of")]
)
def test_rows_that_don_t_fit_are_refused(
    make_network: Callable[..., AgrUNet], rows: list[tuple[int, int]], message: str
) -> None:
    listed = tuple(AdaptedRow(of=of, source=source) for of, source in rows)
    with pytest.raises(ValidationError, match=message):
        AdaptedConfig(start=make_network().config, bands=3, classes=2, rows=listed)
