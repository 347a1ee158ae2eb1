"""The optimisation step that every training repeats, in one process or in several, in full or half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from agrunet.data.inputs import Batch, CloudInput, Normalisation, prepare
from agrunet.networks.registry import Network
from agrunet.training.distributed import Ranks
from agrunet.training.losses import supervised_loss

TrainingPrecision = Literal["fp32", "bf16", "fp16"]
"""Arithmetic of the network in training; weights, loss and recurrent cells stay in fp32. fp16 scales its loss."""

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Learner:
    """A network and its optimiser. Steps taken by all processes together are those of one process with all their samples."""

    def __init__(
        self,
        network: Network,
        optimiser: torch.optim.Optimizer,
        group: Ranks,
        *,
        normalisation: Normalisation,
        cloud_input: CloudInput,
        precision: TrainingPrecision = "fp32",
        supervision: float = 0.5,
        clip: float | None = None,
        class_weights: tuple[float, ...] | None = None,
        compiled: bool = False,
    ) -> None:
        """Take over ``network``.

        ``supervision``: weight of a level's loss, relative to the next finer one; ``clip``: largest norm of the gradient;
        ``class_weights``: of the cross entropy. ``network`` lies on the group's device and is trained in place.
        """
        self.network = network.train()
        self.optimiser = optimiser
        self.group = group
        self._normalisation = normalisation
        self._cloud_input = cloud_input
        self._half = _HALF.get(precision)
        self._supervision = supervision
        self._clip = clip
        device = group.device
        self._class_weights = None if class_weights is None else torch.tensor(class_weights, device=device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self._model = _parallel(network, group)
        if compiled:
            self._model.compile()

    def step(self, batch: Batch, label: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Learn from one batch and its labels (B, H, W), `UNKNOWN` ignored; gives the loss, a scalar on the device.

        ``change`` alters the normalised values (B, T, C, H, W) on their way in.
        """
        device = self.group.device
        moved = batch.to(device)
        values = prepare(moved, self._normalisation, self._cloud_input)
        values = values if change is None else change(values)
        with torch.autocast(device.type, dtype=self._half, enabled=self._half is not None):
            logits = self._model(values, moved.valid, moved.days)
        levels = logits if isinstance(logits, list) else [logits]
        weights = [self._supervision**level for level in range(len(levels))]
        loss = supervised_loss(levels, label.to(device), weights, self.group.add, self._class_weights)
        self.optimiser.zero_grad(set_to_none=True)
        # The sums run over all processes; DDP averages the gradients, so the mean is made a sum again.
        self.scaler.scale(loss * self.group.world).backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss.detach()


def _parallel(network: Network, group: Ranks) -> nn.Module:
    if group.world == 1:
        return network
    if group.device.type == "cuda":
        shared = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(shared, device_ids=[group.device.index])
    return DistributedDataParallel(network)  # SyncBatchNorm refuses CPU tensors
