"""Several processes that train one network: started by `torchrun`, or just this one."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from agrunet.errors import AgrunetError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among the others, and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """True in the only process that writes."""
        return self.rank == 0

    def add(self, flat: Tensor) -> Tensor:
        """Sum over all processes; the gradient flows through this process's part only."""
        if self.world == 1:
            return flat
        total = flat.detach().clone()
        distributed.all_reduce(total)
        return flat + (total - flat.detach())

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the first one's buffers: batch norms on CPUs keep running statistics of their own."""
        if self.world > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def gather(self, item: Item) -> list[Item]:
        """Gather every process's item, by rank, in every process."""
        if self.world == 1:
            return [item]
        items: list[Any] = [None] * self.world
        distributed.all_gather_object(items, item)
        return cast("list[Item]", items)


@contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, if it did, and leave them at the end.

    ``device``: "cpu", "cuda", or "auto" (CUDA where there is one). Raises `AgrunetError` where it can't be had.
    """
    chosen = _device(device)
    if distributed.is_initialized():  # by the caller, who also ends it
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), chosen)
        return
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), chosen)
        distributed.barrier()
    finally:
        # With gloo, a DDP model that outlives the group aborts the process at exit.
        gc.collect()
        distributed.destroy_process_group()


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise AgrunetError("device cuda: no CUDA device is visible here. Set device to cpu or auto.")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)
