"""Several processes learn what one would, in every arithmetic; nothing unknown makes NaN."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from agrunet.data.inputs import prepare
from agrunet.training.distributed import Ranks
from agrunet.training.losses import supervised_loss

ALONE = Ranks(0, 1, torch.device("cpu"))
SHARDS = Path(__file__).with_name("shards.py")


@pytest.fixture(scope="module")
def shards() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shards", SHARDS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _two_processes(mode: str, output: Path) -> dict[str, Tensor]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SHARDS), mode]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(output)], capture_output=True, text=True, timeout=150, env=env, check=False)
    assert output.is_file(), done.stderr[-3000:]
    return load_file(output)


def test_two_processes_with_frozen_norms_learn_what_one_learns_from_the_whole_batch(
    shards: ModuleType, tmp_path: Path
) -> None:
    found = _two_processes("frozen", tmp_path / "weights.safetensors")
    learner = shards.learner_for(shards.network_for(True), ALONE, True)
    for _ in range(shards.STEPS):
        learner.step(*shards.samples())
    begun = shards.network_for(True).state_dict()
    for name, wanted in learner.network.state_dict().items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6, msg=name)
    assert max((found[name] - begun[name]).abs().max().item() for name in begun if "weight" in name) > 1e-3


def test_two_processes_learn_what_one_learns_from_the_same_shards_one_after_the_other(
    shards: ModuleType, tmp_path: Path
) -> None:
    """Each shard with its own batch statistics, the sums over both, and the first one's running statistics."""
    found = _two_processes("training", tmp_path / "weights.safetensors")
    network = shards.network_for(False)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    parts = [shards.shard(*shards.samples(), rank, 2) for rank in range(2)]
    for _ in range(shards.STEPS):
        before = {name: buffer.clone() for name, buffer in network.named_buffers()}
        sums: list[list[Tensor]] = []
        for part in parts:
            flats: list[Tensor] = []
            _loss(shards, network, part, lambda flat, flats=flats: flats.append(flat.detach()) or flat)
            sums.append(flats)
            _restore(network, before)
        optimiser.zero_grad()
        for number in (1, 0):  # the first shard last: its running statistics stay
            _restore(network, before)
            others = iter(sums[1 - number])
            _loss(shards, network, parts[number], lambda flat, others=others: flat + next(others)).backward()
        optimiser.step()
    for name, wanted in network.state_dict().items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6, msg=name)


def _loss(shards: ModuleType, network: torch.nn.Module, part: tuple, reduce: object) -> Tensor:
    batch, label = part
    logits = network(prepare(batch, shards.NORMALISATION, "raw"), batch.valid, batch.days)
    return supervised_loss(logits, label, [1.0, 0.5], reduce)


def _restore(network: torch.nn.Module, buffers: dict[str, Tensor]) -> None:
    for name, buffer in network.named_buffers():
        buffer.copy_(buffers[name])


def test_a_batch_without_any_label_moves_no_weight_and_makes_no_nan(shards: ModuleType) -> None:
    learner = shards.learner_for(shards.network_for(True), ALONE, True)
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    batch, label = shards.samples()
    assert learner.step(batch, torch.full_like(label, -1)).item() == 0
    for name, value in learner.network.named_parameters():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_nearly_the_same(shards: ModuleType, precision: str) -> None:
    losses = []
    for arithmetic in ("fp32", precision):
        network = shards.network_for(False)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
        learner = shards.Learner(
            network,
            optimiser,
            ALONE,
            normalisation=shards.NORMALISATION,
            cloud_input="raw",
            precision=arithmetic,
            clip=1.0,
        )
        losses.append([learner.step(*shards.samples()).item() for _ in range(12)])
        assert all(value.dtype == torch.float32 for value in network.parameters())
    assert losses[1][-1] < 0.9 * losses[1][0]
    assert losses[1] == pytest.approx(losses[0], rel=0.06)


def test_class_weights_count_by_hand() -> None:
    """Two pixels of class 0 and one of class 1 at even odds: ln 2 each, weighted 1 and 4; Dice is not weighted."""
    logits = torch.zeros(1, 2, 1, 3)
    label = torch.tensor([[[0, 0, 1]]])
    plain = supervised_loss([logits], label, [1.0])
    weighted = supervised_loss([logits], label, [1.0], class_weights=torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(weighted, plain)  # ln 2 whatever the weights
    logits[:, 1] = 1.0
    p = torch.tensor(1.0).sigmoid()
    entropy = (-2 * torch.log(1 - p) - 4 * torch.log(p)) / 6
    dice = 1 - (2 * 2 * (1 - p) / (3 * (1 - p) + 2) + 2 * p / (3 * p + 1)) / 2
    found = supervised_loss([logits], label, [1.0], class_weights=torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(found, entropy + dice)
