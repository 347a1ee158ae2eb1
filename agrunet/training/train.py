"""Training on random crops: a folder of patches becomes a checkpoint, in one process or in those that `torchrun` started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.folder import PatchFolder
from agrunet.data.folds import FieldFold, FoldView, fold_roles
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.inputs import Batch, CloudInput, Normalisation, channels
from agrunet.data.patches import FieldSource, LabelledSource
from agrunet.data.pixel_series import PixelBatches, gather_pixels
from agrunet.data.prefetch import prefetched
from agrunet.data.public.datasets import open_dataset
from agrunet.data.public.pastis import Pastis
from agrunet.data.random_crops import RandomCrops
from agrunet.data.series_source import SeriesSource
from agrunet.data.training_pixels import training_normalisation, training_pixels
from agrunet.errors import AgrunetError
from agrunet.inference import predict
from agrunet.json_text import read_model
from agrunet.memory import keep_freed_memory
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.pixel import PixelConfig
from agrunet.networks.registry import TAKES, Network, NetworkConfig, fresh_network
from agrunet.settings import Frozen
from agrunet.training.distributed import Ranks, ranks
from agrunet.training.evaluation import Tally, calibrate_folds, evaluate, held_out_pixels
from agrunet.training.forest import ForestSettings, fit_forest
from agrunet.training.learner import Learner, TrainingPrecision

Progress = Callable[[int, int, float], None]
"""Function that is called after each step with its number (from 1), how many there are, and the loss."""

_AHEAD = 2
"""Batches of crops made ahead."""


class TrainingConfig(Frozen):
    """Settings of a training on random crops.

    Steps grow with the data: a square of a few fields takes `steps`, a region so many that each training pixel is seen `passes` times.
    """

    kind: Annotated[Literal["agrunet", "pixel"], Field(description="of the network")] = "agrunet"
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
    noise=0,
    day_shift=5,
)

KINDS: dict[str, Mapping[str, Settings]] = {
    "agrunet": PRESETS,
    "pixel": {"quick": _PIXEL.model_copy(update={"steps": 300, "passes": 5}), "standard": _PIXEL},
    "forest": {"quick": ForestSettings(trees=50), "standard": ForestSettings()},
}
"""Settings by the kind of the model, and by name."""


def read_training_config(path: Path | None, preset: str, kind: str = "agrunet") -> Settings:
    """Read the settings in a JSON file (none: ``path`` is None), laid over a preset of a kind of models.

    Raises `AgrunetError` naming the field that is wrong, or the kinds or presets where there is none of that name.
    """
    if kind not in KINDS:
        raise AgrunetError(f"no kind {kind!r}. Choose from {', '.join(KINDS)}.")
    if preset not in KINDS[kind]:
        raise AgrunetError(f"no preset {preset!r}. Choose from {', '.join(sorted(KINDS[kind]))}.")
    settings = KINDS[kind][preset]
    if path is None:
        return settings
    given = read_model(path, type(settings), lambda why: AgrunetError(f"settings {path}{why}. Correct it."))
    changes = {name: getattr(given, name) for name in given.model_fields_set}
    if changes.get("kind", kind) != kind:
        raise AgrunetError(
            f"settings {path} are those of kind {given.kind}, asked is {kind}. Give --kind {given.kind}."
        )
    return settings.model_copy(update=changes)


def train(
    data: str | Path,
    output: Path,
    config: Settings = PRESETS["standard"],
    progress: Progress | None = None,
    months: tuple[int, int] | None = None,
) -> CheckpointConfig:
    """Learn from a data set (`open_dataset`) and write the checkpoint ``output``; give its configuration back.

    Folders of training patches say of each pixel what it is for; of tables of series all that is labelled is learnt from, and scored by
    folds. Of a public data set the last fold is scored and the first one stops. ``months``: learn from those only, first and last.

    Learns from pixels of the split "train" only, fits the temperature on "stop", scores "hold-out". Where the patches' fields are dealt
    into folds, a model of the kind is made for each fold first, for fewer steps where the settings say so, and the model is scored by how
    these map their fields; the temperature is fitted on that. Under `torchrun` every process draws its own crops and the first one
    writes. The same seed on the same number of threads and processes gives the same weights. Raises `AgrunetError` where the patches
    can't be learnt from.
    """
    keep_freed_memory()
    source = _labelled(data, months)
    folds = field_folds(source)
    with ranks(config.device) as group:
        steps = _steps(source, config, group)
        short = _fold_steps(config, steps)
        told = _Told(progress if group.first else None, steps + short * len(folds))
        temperature = tally = None
        if folds:
            tally, temperature = estimate(folds, config, short, group, told)
        network, checkpoint = _fit(source, config, steps, group, told)
        checkpoint, scored = evaluate(network, checkpoint, source, group)
        if tally is not None and temperature is not None:
            scored = tally
            checkpoint = tally.scored(checkpoint, {"hold-out": "grouped k-fold"})
            length = f" These networks were trained for {short} steps each, the model for {steps}." if steps else ""
            checkpoint = checkpoint.model_copy(
                update={"hold_out": checkpoint.hold_out + length, "temperature": temperature}
            )
        if group.first:
            checkpoint = _with_digest(checkpoint, source)
            save_checkpoint(output, network, checkpoint, scored.evidence(source.header))
    return checkpoint


def field_folds(source: LabelledSource) -> list[FieldFold]:
    """The folds of an estimate; none where fields are held out, or there are too few."""
    if source.header.evidence != "grouped k-fold" or not isinstance(source, FieldSource):
        return []
    numbers = sorted({field.fold for field in source.header.fields if field.fold is not None})
    return [FieldFold(source, number) for number in numbers]


def estimate(
    folds: Sequence[FieldFold], config: Settings, steps: int, group: Ranks, told: _Told
) -> tuple[Tally, float]:
    """Map each fold of the fields by a network that learnt from the others; count how, and fit the temperature."""
    header = folds[0].header
    tally = Tally(len(header.classes), len(header.fields))
    pixels = []
    for fold in folds:
        network, checkpoint = _fit(fold, config, steps, group, told)
        held = [index for index in range(len(fold)) if (fold.split(index) == SPLITS["hold-out"]).any()]
        own = []
        for index, probabilities in predict(network, checkpoint, fold, held[group.rank :: group.world], group.device):
            tally.add(fold, index, probabilities)
            own.append(held_out_pixels(fold, index, probabilities))
        pixels.append([pair for part in group.gather(own) for pair in part])
    total = tally.gathered(group)
    return total, calibrate_folds(total, pixels)


def _fit(
    source: LabelledSource, config: Settings, steps: int, group: Ranks, told: _Told
) -> tuple[Network, CheckpointConfig]:
    """Make a model of the pixels to learn from."""
    counts = training_pixels(source)
    normalisation = training_normalisation(source, np.flatnonzero(counts).tolist())
    if isinstance(config, ForestSettings):
        return fit_forest(source, normalisation, config)
    shape, seed = _shape(source.header, config), (config.seed, group.rank)
    made: Iterator[tuple[Batch, Tensor]]
    if config.kind == "pixel":
        series = gather_pixels(source, config.pixels, config.seed)
        made = PixelBatches(series, config.date_dropout, config.day_shift, seed).batches(steps, config.batch)
    else:
        crop = _crop_size(source, config)
        made = RandomCrops(source, counts, crop, config.date_dropout, seed).batches(steps, config.batch)
    network = _learn(shape, prefetched(made, _AHEAD), steps, normalisation, config, group, told)
    settings = config.model_dump(mode="json", exclude={"device"}) | {"steps": steps}
    return network, describe(source.header, shape, normalisation, config.cloud_input, settings)


def _shape(header: FolderHeader, config: TrainingConfig) -> AgrUNetConfig | PixelConfig:
    bands, classes = channels(len(header.bands), config.cloud_input), len(header.classes)
    if config.kind == "pixel":
        return PixelConfig(bands=bands, classes=classes, members=config.members)
    return AgrUNetConfig(bands=bands, classes=classes, filters=config.filters, hidden=config.hidden)


def _with_digest(checkpoint: CheckpointConfig, source: LabelledSource) -> CheckpointConfig:
    """Add the digest of the patches, where they are a folder of this software, or of the table of series."""
    if isinstance(source, PatchFolder):
        digests = {"patches": source.digest()}
    elif isinstance(source, SeriesSource) and (digest := source.digest()) is not None:
        digests = {"series": digest}
    else:
        return checkpoint
    return checkpoint.model_copy(update={"training_data": {**checkpoint.training_data, **digests}})


def _steps(source: LabelledSource, config: Settings, group: Ranks) -> int:
    """Optimiser steps of a model of these patches; 0 of one that takes none. Raises `AgrunetError` where its kind doesn't take them."""
    if source.header.mosaic and TAKES[config.kind] != "series":
        alone = ", ".join(kind for kind in KINDS if TAKES[kind] == "series")
        raise AgrunetError(
            f"kind {config.kind} looks at windows, and the data set holds the series of single pixels. Give --kind: one of {alone}."
        )
    pixels = int(training_pixels(source).sum())
    if isinstance(config, ForestSettings):
        return 0
    return step_count(config, pixels, _crop_size(source, config), group.world)


def _fold_steps(config: Settings, steps: int) -> int:
    return math.ceil(steps * config.fold_part) if isinstance(config, TrainingConfig) else 0


def step_count(config: TrainingConfig, pixels: int, crop: int, world: int) -> int:
    """Number of optimiser steps for so many training pixels: `passes` over them, at least `steps`, at most `max_steps`."""
    seen = config.batch * crop * crop * world
    return min(max(config.steps, math.ceil(config.passes * pixels / seen)), max(config.max_steps, config.steps))


def _labelled(data: str | Path, months: tuple[int, int] | None) -> LabelledSource:
    source = open_dataset(data, months)
    if not isinstance(source, Pastis):
        return source
    last = max(source.header.folds or (1,))
    return FoldView(source, fold_roles(last, last))


def _crop_size(source: LabelledSource, config: TrainingConfig) -> int:
    if config.kind == "pixel":
        return 1
    edge: int = min(config.crop, *source.read(0).values.shape[-2:])
    divisor = _shape(source.header, config).divisor
    if edge < divisor:
        raise AgrunetError(
            f"crops of {edge} pixels, the network needs at least {divisor}. "
            "Write larger patches, or take fewer filters."
        )
    return edge // divisor * divisor


def _learn(
    shape: NetworkConfig,
    batches: Iterator[tuple[Batch, Tensor]],
    steps: int,
    normalisation: Normalisation,
    config: TrainingConfig,
    group: Ranks,
    told: _Told,
) -> Network:
    network = fresh_network(shape, config.seed).to(group.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=config.rate, total_steps=steps)
    learner = Learner(
        network,
        optimiser,
        group,
        normalisation=normalisation,
        cloud_input=config.cloud_input,
        precision=config.precision,
        supervision=config.supervision,
        clip=config.clip,
    )
    generator = torch.Generator(group.device).manual_seed(config.seed * 1000 + group.rank)
    noisy = partial(
        _noisy, bands=len(normalisation.mean), deviation=config.noise, shift=config.shift, generator=generator
    )
    with _drawn_by(config.seed * 1000 + group.rank, group.device):  # dropout
        for step, (batch, label) in enumerate(batches, start=1):
            loss = learner.step(batch, label, noisy)
            schedule.step()
            told.step(step, steps, loss.item(), config)
    group.share_buffers(network)
    return network


@contextmanager
def _drawn_by(seed: int, device: torch.device) -> Iterator[None]:
    """A random state of torch by ``seed``; the caller's is left as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _noisy(values: Tensor, bands: int, deviation: float, shift: float, generator: torch.Generator) -> Tensor:
    """Add noise to the bands (B, T, C, H, W), and one shift of each band of a crop; a clear mask that follows the bands stays as it is."""
    if not deviation and not shift:
        return values
    added = torch.randn(values.shape, generator=generator, device=values.device) * deviation
    if shift:
        B, _, C, _, _ = values.shape
        added += torch.randn((B, 1, C, 1, 1), generator=generator, device=values.device) * shift
    added[:, :, bands:] = 0
    return values + added


class _Told:
    """The steps of all trainings of one model, counted as one."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress, self._steps, self._done = progress, steps, 0

    def step(self, step: int, steps: int, loss: float, config: TrainingConfig) -> None:
        if not math.isfinite(loss):
            raise AgrunetError(f"the loss became {loss} at step {step} of {steps}. Lower the rate (now {config.rate}).")
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(self._steps, self._done), loss)
