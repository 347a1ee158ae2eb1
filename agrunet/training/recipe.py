"""Recipes of trainings by epochs, as configuration: the network, the optimiser, and when it stops; the talk's among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from agrunet.data.inputs import CloudInput
from agrunet.errors import AgrunetError
from agrunet.json_text import parse_json, read_object
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.registry import NetworkConfig
from agrunet.settings import Frozen, first_problem
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
        if self.network.kind == "forest":
            raise ValueError("a forest isn't trained by epochs; `python -m agrunet train --kind forest` grows one")
        return self


RECIPES: dict[str, Recipe] = {
    "orthopastis": Recipe(network=AgrUNetConfig(bands=10, classes=19, filters=(64, 128)), rate=9e-4, batch=4),
    "munich": Recipe(network=AgrUNetConfig(bands=7, classes=18, filters=(64, 128, 256)), rate=1.1e-3, batch=32),
}
"""Learning rate, batch, filters, epochs and patience as the talk has them (A. Miola, 2025). It names neither the optimiser's weight
decay nor the weights of the levels; those are ours."""


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a named recipe, or a JSON file's, with changes such as ``rate=1e-3`` or ``network.kind=utae``.

    Raises `AgrunetError` naming what is wrong.
    """
    if name in RECIPES:
        settings: dict[str, Any] = RECIPES[name].model_dump(mode="json")
    else:
        known = ", ".join(sorted(RECIPES))
        settings = read_object(
            Path(name), lambda why: AgrunetError(f"recipe {name}{why}. Give one of {known}, or a JSON file.")
        )
    for change in changes:
        _change(settings, change)
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise AgrunetError(f"recipe {name}: {first_problem(error)}. Correct it.") from error


def _change(settings: dict[str, Any], change: str) -> None:
    path, sign, text = change.partition("=")
    if not sign:
        raise AgrunetError(f"--set {change}: give NAME=VALUE, such as rate=1e-3.")
    *outer, last = path.split(".")
    for name in outer:
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            raise AgrunetError(f"--set {change}: {name} holds no settings of its own.")
    try:
        value = parse_json(text, AgrunetError)
    except AgrunetError:
        value = text
    if path == "network.kind" and settings.get("kind") != value:
        # Another network keeps what it is fed and what it tells apart; its shape is its own.
        kept: dict[str, Any] = {name: settings[name] for name in ("bands", "classes") if name in settings}
        settings.clear()
        settings.update(kept)
    settings[last] = value
