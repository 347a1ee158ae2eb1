"""Steps of one training on shards of a batch: run by `torchrun` with several processes, and by the test in one."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agrunet.data.inputs import Batch, Normalisation
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.registry import Network, fresh_network
from agrunet.training.distributed import Ranks, ranks
from agrunet.training.learner import Learner

STEPS = 3
NORMALISATION = Normalisation(mean=(1000.0, 2000.0), std=(300.0, 500.0))


def samples() -> tuple[Batch, Tensor]:
    """Three series of unequal length; the second has unknown pixels, the third is of one class."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randint(1, 4000, (3, 4, 2, 8, 8), generator=generator).to(torch.int32)
    valid = torch.tensor([[True] * 4, [True] * 3 + [False], [True] * 2 + [False] * 2])
    label = torch.randint(0, 3, (3, 8, 8), generator=generator)
    label[1, :4] = -1
    label[2] = 1
    days = torch.arange(4).expand(3, 4) * 10
    return Batch(values, valid[:, :, None, None].expand(3, 4, 8, 8).clone(), days.to(torch.int32), valid), label


def shard(batch: Batch, label: Tensor, rank: int, world: int) -> tuple[Batch, Tensor]:
    """Every ``world``-th sample from ``rank`` on."""
    part = slice(rank, None, world)
    return Batch(batch.values[part], batch.clear[part], batch.days[part], batch.valid[part]), label[part]


def network_for(frozen: bool) -> Network:
    """A small AgrUNet, always the same; with ``frozen`` its batch norms use fixed statistics."""
    network = fresh_network(AgrUNetConfig(bands=2, classes=3, filters=(4, 6), hidden=3), seed=4).train()
    if frozen:
        freeze(network)
    return network


def freeze(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def learner_for(network: Network, group: Ranks, frozen: bool) -> Learner:
    learner = Learner(
        network,
        torch.optim.SGD(network.parameters(), lr=0.05),
        group,
        normalisation=NORMALISATION,
        cloud_input="raw",
        clip=None,
    )
    if frozen:
        freeze(network)
    return learner


def main(frozen: bool, output: Path) -> None:
    torch.set_num_threads(1)
    batch, label = samples()
    with ranks("cpu") as group:
        learner = learner_for(network_for(frozen), group, frozen)
        for _ in range(STEPS):
            learner.step(*shard(batch, label, group.rank, group.world))
        if group.first:
            save_file({name: value.contiguous() for name, value in learner.network.state_dict().items()}, output)
        del learner


if __name__ == "__main__":
    main(sys.argv[1] == "frozen", Path(sys.argv[2]))
