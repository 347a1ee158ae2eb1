"""The saved state of a training, from which it goes on after it was cut off: tensors as safetensors, the rest as JSON, written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agrunet.errors import AgrunetError
from agrunet.files import folder_written_whole
from agrunet.json_text import read_object
from agrunet.settings import Frozen

_TENSORS, _BEST, _FACTS = "tensors.safetensors", "best.safetensors", "state.json"


class Epoch(Frozen):
    """An epoch in a training's history."""

    epoch: Annotated[int, Field(ge=1)]
    loss: Annotated[float, Field(description="mean over the steps")]
    dice: Annotated[float, Field(description="macro Dice of the stopping fold")]
    oa: Annotated[float, Field(description="overall accuracy of the stopping fold")]
    seconds: Annotated[float, Field(description="of training and validation")]


class History(Frozen):
    """The epochs so far. The best epoch is the first of the highest Dice."""

    epochs: tuple[Epoch, ...] = ()

    @property
    def best(self) -> Epoch:
        return max(self.epochs, key=lambda entry: entry.dice)

    def ended(self, patience: int, epochs: int) -> bool:
        """Tell whether all epochs are done, or the last ``patience`` of them brought nothing better."""
        done = len(self.epochs)
        return done >= epochs or (done > 0 and done - self.best.epoch >= patience)


def save_state(
    folder: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    history: History,
    best: dict[str, Tensor],
) -> None:
    """Write the state after an epoch, in place of the one before. Raises `AgrunetError` where the disk is full."""
    known = optimiser.state_dict()
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for number, entries in known["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in entries.items()}
    facts = {"history": history.model_dump(mode="json"), "groups": known["param_groups"], "scaler": scaler.state_dict()}
    with folder_written_whole(folder) as aside:
        save_file(_plain(tensors), aside / _TENSORS)
        save_file(_plain(best), aside / _BEST)
        (aside / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def load_state(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> tuple[History, dict[str, Tensor]]:
    """Bring network, optimiser and scaler back to where they were; gives the history and the best weights.

    Without a state nothing changes and both are empty. Raises `AgrunetError` where it is damaged or of another network.
    """
    if not (folder / _FACTS).is_file():
        return History(), {}
    try:
        facts = read_object(folder / _FACTS, lambda why: AgrunetError(f"{_FACTS}{why}"))
        tensors, best = load_file(folder / _TENSORS), load_file(folder / _BEST)
        history = History.model_validate(facts["history"])
        network.load_state_dict(_below("network.", tensors))
        optimiser.load_state_dict({"state": _optimiser_state(tensors), "param_groups": facts["groups"]})
        if facts["scaler"]:
            scaler.load_state_dict(facts["scaler"])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, AgrunetError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AgrunetError(
            f"the training can't go on from {folder}: {reason}. Remove that folder to begin again."
        ) from error
    return history, best


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Copy all weights and buffers to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimiser_state(tensors: dict[str, Tensor]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for name, value in _below("optimiser.", tensors).items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    return state
