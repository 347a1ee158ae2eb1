"""Settings of trainings by the kind of the model: what they are by name, and read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from agrunet.data.inputs import CloudInput
from agrunet.errors import AgrunetError
from agrunet.json_text import read_model
from agrunet.settings import Frozen
from agrunet.training.forest import ForestSettings
from agrunet.training.learner import TrainingPrecision
from agrunet.training.starting import FineTuning


class TrainingConfig(Frozen):
    """Settings of a training on random crops.

    Steps grow with the data: a square of a few fields takes `steps`, a region so many that each training pixel is seen `passes` times.
    """

    kind: Annotated[Literal["agrunet", "pixel", "fine-tuned"], Field(description="of the network")] = "agrunet"
    start_from: Annotated[
        Path | None,
        Field(description="folder of the checkpoint that a fine-tuned one goes on from", exclude=True),
    ] = None
    fine_tuning: Annotated[
        FineTuning,
        Field(description="of a fine-tuned one", exclude_if=lambda fine_tuning: fine_tuning == FineTuning()),
    ] = FineTuning()
    filters: Annotated[
        tuple[int, ...], Field(min_length=1, description="channels per level of AgrUNet; the pixel network has its own")
    ] = (64, 128)
    hidden: Annotated[int, Field(ge=1, description="channels of AgrUNet's recurrent state")] = 64
    members: Annotated[
        int, Field(ge=1, le=20, description="networks whose probabilities the pixel network averages")
    ] = 1
    cloud_input: CloudInput = "interpolate"
    steps: Annotated[int, Field(ge=1, description="optimiser steps at least")] = 200
    passes: Annotated[
        float, Field(ge=0, description="how often each training pixel is seen at least; 0 leaves it at `steps`")
    ] = 4.0
    max_steps: Annotated[int, Field(ge=1, description="optimiser steps at most")] = 4000
    fold_part: Annotated[
        float, Field(gt=0, le=1, description="steps of each network of an estimate by folds, as a part of the model's")
    ] = 1 / 3
    batch: Annotated[int, Field(ge=1, description="crops per step and process")] = 4
    crop: Annotated[
        int,
        Field(
            ge=2,
            description="edge of a crop, pixels; cut to the patch and to what the network takes; pixels alone are 1",
        ),
    ] = 32
    rate: Annotated[float, Field(gt=0, description="highest learning rate of the cycle")] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    clip: Annotated[float, Field(gt=0, description="largest norm of the gradient")] = 1.0
    supervision: Annotated[
        float, Field(gt=0, le=1, description="weight of a level's loss, relative to the next finer one")
    ] = 0.5
    date_dropout: Annotated[
        float,
        Field(ge=0, le=0.5, description="part of the dates left out of a crop, on average; up to twice that in a step"),
    ] = 0.1
    truncation: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="part of the crops whose season ends early, at a random day from the third month's first on: for maps of "
            "seasons that aren't over; a pixel network has no crops",
        ),
    ] = 0.25
    composites: Annotated[
        float,
        Field(ge=0, le=1, description="part of the steps whose dates are joined to composites of ten or thirty days"),
    ] = 0.0
    noise: Annotated[float, Field(ge=0, description="standard deviation added to the inputs, in those of the band")] = (
        0.02
    )
    shift: Annotated[
        float,
        Field(
            ge=0,
            description="standard deviation of what is added to a whole crop, band by band, in those of the band: for models that "
            "are to serve where light, soils and correction differ",
        ),
    ] = 0.0
    day_shift: Annotated[
        float, Field(ge=0, description="standard deviation of the days by which a pixel network's series are moved")
    ] = 0.0
    pixels: Annotated[int, Field(ge=1, description="pixels that a pixel network learns from, at most")] = 100_000
    precision: Annotated[TrainingPrecision, Field(description="arithmetic of the training steps")] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0


Settings = TrainingConfig | ForestSettings
"""Settings of a model of any kind."""

PRESETS: dict[str, TrainingConfig] = {
    "quick": TrainingConfig(filters=(16, 32), hidden=32, steps=150, fold_part=1 / 5),
    "standard": TrainingConfig(),
}
"""Settings of AgrUNet by name: `standard` for maps; `quick` for a demonstration: about a minute on two cores."""

_PIXEL = TrainingConfig(
    kind="pixel",
    steps=1000,
    passes=30,
    fold_part=1,
    batch=64,
    supervision=1,
    date_dropout=0.2,
    truncation=0,  # only crops are cut short
    noise=0,
    day_shift=5,
)

_TUNED = TrainingConfig(
    kind="fine-tuned",
    steps=150,
    passes=1,
    fold_part=1,
    rate=1e-3,
    weight_decay=0,
    date_dropout=0.2,
    noise=0.05,
    shift=0.15,
)

_REPLAY = ForestSettings(
    kind="forest-replay", trees=400, least_leaf=10, differences="half", thresholds="random"
)  # simulated land differs from the real one most in its brightness

KINDS: dict[str, Mapping[str, Settings]] = {
    "agrunet": PRESETS,
    "pixel": {"quick": _PIXEL.model_copy(update={"steps": 300, "passes": 5}), "standard": _PIXEL},
    "fine-tuned": {
        "quick": _TUNED,
        "standard": _TUNED,
        "whole": _TUNED.model_copy(update={"fine_tuning": FineTuning(part="all")}),
    },
    "forest": {"quick": ForestSettings(trees=50), "standard": ForestSettings()},
    "forest-replay": {"quick": _REPLAY.model_copy(update={"trees": 50}), "standard": _REPLAY},
}
"""Settings by the kind of the model, and by name."""


def preset_settings(kind: str, preset: str) -> Settings:
    """Settings by their names. Raises `AgrunetError` naming the kinds or presets where there is none of that name."""
    if kind not in KINDS:
        raise AgrunetError(f"no kind {kind!r}. Choose from {', '.join(KINDS)}.")
    if preset not in KINDS[kind]:
        raise AgrunetError(f"no preset {preset!r}. Choose from {', '.join(sorted(KINDS[kind]))}.")
    return KINDS[kind][preset]


def read_training_config(
    path: Path | None,
    preset: str,
    kind: str = "agrunet",
    start_from: Path | None = None,
    replay: Path | None = None,
) -> Settings:
    """Read the settings in a JSON file (none: ``path`` is None), laid over a preset of a kind of models.

    ``start_from``: checkpoint to go on from, which makes AgrUNet a fine-tuned one; ``replay``: simulated series to learn from as well.
    Raises `AgrunetError` naming the field that is wrong, or the kinds or presets where there is none of that name.
    """
    if start_from is not None and kind == "agrunet":
        kind = "fine-tuned"
    if start_from is not None and kind != "fine-tuned":
        raise AgrunetError(f"kind {kind} doesn't start from a checkpoint. Give --kind fine-tuned, or no --start-from.")
    if replay is not None and kind != "forest-replay":
        raise AgrunetError(f"kind {kind} learns from no simulated series. Give --kind forest-replay, or no --replay.")
    settings = preset_settings(kind, preset)
    changes: dict[str, Any] = {}
    if path is not None:
        given = read_model(path, type(settings), lambda why: AgrunetError(f"settings {path}{why}. Correct it."))
        changes = {name: getattr(given, name) for name in given.model_fields_set}
        if changes.get("kind", kind) != kind:
            raise AgrunetError(
                f"settings {path} are those of kind {given.kind}, asked is {kind}. Give --kind {given.kind}."
            )
    if start_from is not None:
        changes["start_from"] = start_from
    if replay is not None:
        changes["replay"] = replay
    return settings.model_copy(update=changes)
