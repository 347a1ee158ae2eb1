"""A step does what training and inference do, and operations are counted as by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agrunet.bench import steps
from agrunet.bench.problems import NETWORKS, Case, Problem
from agrunet.bench.steps import make_step, measure_size, synthetic_batch


class _Spy(nn.Module):
    """Takes a network's place and remembers what it was fed."""

    def __init__(self, levels: int = 1) -> None:
        super().__init__()
        self.head = nn.Conv2d(2, 3, 1)
        self.levels = levels
        self.fed: list[tuple[Tensor, Tensor | None, Tensor]] = []
        self.seen: dict[str, bool | torch.dtype] = {}

    def forward(self, values: Tensor, valid: Tensor | None, days: Tensor) -> Tensor | list[Tensor]:
        self.fed.append((values, valid, days))
        fine = self.head(values.mean(1))
        self.seen = {
            "training": self.training,
            "inference_mode": torch.is_inference_mode_enabled(),
            "dtype": fine.dtype,
        }
        return [functional.avg_pool2d(fine, 2**level) for level in range(self.levels)] if self.levels > 1 else fine

    def for_inference(self) -> _Spy:
        return self.eval()


def _case(tiny: Problem, **fields: object) -> Case:
    return Case.model_validate(
        {"network": "agrunet", "problem": tiny, "season": "jan-jul", "purpose": "inference", **fields}
    )


def test_the_input_is_int16_and_normalised_in_the_step(tiny: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = _Spy()
    monkeypatch.setattr(steps, "fresh_network", lambda *_, **__: spy)
    case = _case(tiny, batch=2)
    stored = synthetic_batch(case, torch.device("cpu"))
    assert stored.values.dtype == torch.int16
    assert stored.values.shape == (2, 3, 2, 16, 16)
    make_step(case)()
    values, valid, days = spy.fed[0]
    torch.testing.assert_close(values, (stored.values.float() - 1500) / 1000)
    assert valid is None
    assert days.tolist() == [[0, 106, 211]] * 2
    assert spy.seen == {"training": False, "inference_mode": True, "dtype": torch.float32}


@pytest.mark.parametrize("levels", [1, 3])
def test_a_training_step_learns_from_every_level(levels: int, tiny: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = _Spy(levels)
    weights: list[list[float]] = []
    whole = steps.supervised_loss
    monkeypatch.setattr(steps, "fresh_network", lambda *_, **__: spy)
    monkeypatch.setattr(steps, "supervised_loss", lambda *words: (weights.append(list(words[2])), whole(*words))[1])
    before = spy.head.weight.detach().clone()
    make_step(_case(tiny, purpose="training"))()
    assert weights == [[0.5**level for level in range(levels)]]
    assert spy.seen["training"] is True
    assert not torch.equal(before, spy.head.weight)


def test_bf16_is_autocast(tiny: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = _Spy()
    monkeypatch.setattr(steps, "fresh_network", lambda *_, **__: spy)
    make_step(_case(tiny, precision="bf16"))()
    assert spy.seen["dtype"] == torch.bfloat16


def test_steps_leave_the_callers_random_state(tiny: Problem) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_step(_case(tiny, purpose="training"))()
    assert torch.equal(torch.rand(3), expected)


def test_operations_are_those_of_a_hand_count(tiny: Problem) -> None:
    """AgrUNet with one level of 4 channels and 64 of state: 3 dates of 16 x 16 pixels, two bands, three classes."""
    pixels, dates = 16 * 16, 3
    encoder = dates * pixels * 4 * (2 * 9 + 4 * 3 + 4 * 9 + 4 * 3)
    low = pixels // 4
    gates = dates * low * 8 * 64 * 4 * 9
    states = (dates - 1) * low * 2 * 4 * 64 * 64 * 9  # the first date has no state before it
    mix = low * 128 * 4
    decoder = low * 4 * 4 * 4 + pixels * 9 * (8 * 4 + 4 * 4)
    head = pixels * 4 * 3
    size = measure_size(_case(tiny, batch=5))
    assert size.flop == 2 * (encoder + gates + states + mix + decoder + head)
    assert size.parameters == sum(
        p.numel() for p in steps.fresh_network(_case(tiny).network_config(), seed=0).parameters()
    )


def test_attention_is_counted_on_a_cpu(tiny: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    class Attention(_Spy):
        def forward(self, values: Tensor, *_: Tensor | None) -> Tensor:
            tokens = values.mean(1).flatten(2).transpose(1, 2).unsqueeze(1)  # (B, 1, 256, 2)
            mask = torch.ones((1, 1, 256, 256), dtype=torch.bool)
            return functional.scaled_dot_product_attention(tokens, tokens, tokens, attn_mask=mask)

    monkeypatch.setattr(steps, "fresh_network", lambda *_, **__: Attention())
    assert measure_size(_case(tiny)).flop == 2 * 2 * 256 * 256 * 2


def test_the_hidden_fast_path_of_torchs_attention_is_counted(tiny: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    class Attention(_Spy):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(2, 1, batch_first=True)

        def forward(self, values: Tensor, *_: Tensor | None) -> Tensor:
            tokens = values.mean(1).flatten(2).transpose(1, 2)
            found: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return found

    monkeypatch.setattr(steps, "fresh_network", lambda *_, **__: Attention())
    projections = 256 * 2 * (3 * 2 + 2)
    assert measure_size(_case(tiny)).flop == 2 * (projections + 2 * 256 * 256 * 2)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_of_the_registry_runs_in_every_mode(network: str, tiny: Problem) -> None:
    for purpose in ("inference", "training"):
        make_step(_case(tiny, network=network, purpose=purpose, precision="bf16"))()
    assert measure_size(_case(tiny, network=network)).flop > 0
