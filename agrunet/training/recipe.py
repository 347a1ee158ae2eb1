"""The talk's training recipe, as configuration: what is trained, how, and when it stops."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agrunet.data.inputs import CloudInput
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.registry import NetworkConfig
from agrunet.settings import Frozen
from agrunet.training.learner import TrainingPrecision


class Recipe(Frozen):
    """A training by epochs over whole patches: Dice + cross entropy, early stopping on the stopping fold's Dice, no augmentation."""

    network: NetworkConfig
    rate: Annotated[float, Field(gt=0, description="learning rate, held")]
    batch: Annotated[int, Field(ge=1, description="patches per step and process")]
    folds: Annotated[int, Field(ge=3, description="of the cross-validation; patches of others are left out")] = 5
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    epochs: Annotated[int, Field(ge=1, description="at most")] = 100
    patience: Annotated[int, Field(ge=1, description="epochs without a better Dice after which it stops")] = 20
    supervision: Annotated[
        float, Field(gt=0, le=1, description="weight of a level's loss, relative to the next finer one")
    ] = 0.5
    clip: Annotated[float | None, Field(gt=0, description="largest norm of the gradient; null for none")] = None
    months: Annotated[
        tuple[int, int] | None, Field(description="first and last month that are fed; null for all that the set holds")
    ] = None
    cloud_input: CloudInput = "raw"
    class_weights: Annotated[bool, Field(description="weight the cross entropy against rare classes")] = False
    precision: TrainingPrecision = "bf16"
    checkpointing: Annotated[bool, Field(description="recompute activations in the backward pass: less memory")] = False
    compiled: Annotated[bool, Field(description="through torch.compile")] = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    readers: Annotated[int, Field(ge=1, description="threads that read patches, in each process")] = 4
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.checkpointing and self.network.kind != "agrunet":
            raise ValueError(f"checkpointing is AgrUNet's; {self.network.kind} doesn't have it")
        return self


RECIPES: dict[str, Recipe] = {
    "orthopastis": Recipe(network=AgrUNetConfig(bands=10, classes=19, filters=(64, 128)), rate=9e-4, batch=4),
    "munich": Recipe(network=AgrUNetConfig(bands=7, classes=18, filters=(64, 128, 256)), rate=1.1e-3, batch=32),
}
"""Learning rate, batch, filters, epochs and patience as the talk has them (A. Miola, 2025). It names neither the optimiser's weight
decay nor the weights of the levels; those are ours."""
