"""Training: a folder of patches becomes a checkpoint, in one process or in those that `torchrun` started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from agrunet.assessment import assess
from agrunet.checkpoint import CheckpointConfig, code_version, save_checkpoint
from agrunet.crops import Crops, training_label, training_pixels
from agrunet.distributed import Ranks, ranks
from agrunet.errors import AgrunetError
from agrunet.folder import PatchFolder
from agrunet.inference import Precision
from agrunet.inputs import Batch, CloudInput, Normalisation, channels, measure_normalisation, prepare
from agrunet.losses import UNKNOWN, supervised_loss
from agrunet.network import AgrUNet, AgrUNetConfig
from agrunet.patches import Patch
from agrunet.prefetch import prefetched
from agrunet.settings import Frozen

Progress = Callable[[int, int, float], None]
"""Called after each step with its number (from 1), how many there are, and the loss."""

_AHEAD = 2
"""Batches of crops made ahead."""


class TrainingConfig(Frozen):
    """The recipe.

    Steps grow with the data: a square of a few fields takes `steps`, a region so many that each training pixel is seen `passes` times.
    """

    filters: Annotated[tuple[int, ...], Field(min_length=1, description="channels per level of the network")] = (
        64,
        128,
    )
    hidden: Annotated[int, Field(ge=1, description="channels of the recurrent state")] = 64
    cloud_input: CloudInput = "interpolate"
    steps: Annotated[int, Field(ge=1, description="optimiser steps at least")] = 200
    passes: Annotated[
        float, Field(ge=0, description="how often each training pixel is seen at least; 0 leaves it at `steps`")
    ] = 4.0
    max_steps: Annotated[int, Field(ge=1, description="optimiser steps at most")] = 4000
    batch: Annotated[int, Field(ge=1, description="crops per step and process")] = 4
    crop: Annotated[
        int, Field(ge=2, description="edge of a crop, pixels; cut to the patch and to what the network takes")
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
    precision: Annotated[Precision, Field(description="arithmetic of the training steps")] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0


PRESETS: dict[str, TrainingConfig] = {
    "quick": TrainingConfig(filters=(16, 32), hidden=32, steps=150),
    "standard": TrainingConfig(),
}
"""`standard` for maps; `quick` for a demonstration: about a minute on two cores."""


def train(
    folder: Path, output: Path, config: TrainingConfig = PRESETS["standard"], progress: Progress | None = None
) -> CheckpointConfig:
    """Learn from the training patches in ``folder`` and write the checkpoint ``output``; give its configuration back.

    Learns from pixels of the split "train" only, fits the temperature on "stop", scores "within-field" and "field-disjoint".
    Under `torchrun` every process draws its own crops and the first one writes. The same seed on the same number of threads and
    processes gives the same weights. Raises `AgrunetError` where the patches can't be learnt from.
    """
    source = PatchFolder(folder)
    counts = training_pixels(source)
    normalisation = measure_normalisation(_training_parts(source, counts))
    shape = AgrUNetConfig(
        bands=channels(len(source.header.bands), config.cloud_input),
        classes=len(source.header.classes),
        filters=config.filters,
        hidden=config.hidden,
    )
    crop = _crop_size(source, config.crop, shape.divisor)
    with ranks(config.device) as group:
        steps = step_count(config, int(counts.sum()), crop, group.world)
        crops = Crops(source, counts, crop, config.date_dropout, seed=(config.seed, group.rank))
        batches = prefetched(crops.batches(steps, config.batch), _AHEAD)
        network = _learn(shape, batches, steps, normalisation, config, group, progress)
        checkpoint = _describe(source, shape, normalisation, config, steps)
        found = assess(network, checkpoint, source, group)
        checkpoint = checkpoint.model_copy(update={"temperature": found.temperature, "scores": found.scores})
        if group.first:
            save_checkpoint(output, network, checkpoint)
    return checkpoint


def step_count(config: TrainingConfig, pixels: int, crop: int, world: int) -> int:
    """Optimiser steps for so many training pixels: `passes` over them, at least `steps`, at most `max_steps`."""
    seen = config.batch * crop * crop * world
    return min(max(config.steps, math.ceil(config.passes * pixels / seen)), max(config.max_steps, config.steps))


def _crop_size(source: PatchFolder, crop: int, divisor: int) -> int:
    edge: int = min(crop, *source.read(0).values.shape[-2:])
    if edge < divisor:
        raise AgrunetError(
            f"{source.folder}: crops of {edge} pixels, the network needs at least {divisor}. "
            "Write larger patches, or take fewer filters."
        )
    return edge // divisor * divisor


def _training_parts(
    source: PatchFolder, counts: npt.NDArray[np.int64]
) -> Iterator[tuple[Patch, npt.NDArray[np.bool_]]]:
    for index in np.flatnonzero(counts).tolist():
        yield source.read(index), training_label(source, index) != UNKNOWN


def _learn(
    shape: AgrUNetConfig,
    batches: Iterator[tuple[Batch, Tensor]],
    steps: int,
    normalisation: Normalisation,
    config: TrainingConfig,
    group: Ranks,
    progress: Progress | None,
) -> AgrUNet:
    device = group.device
    network = _fresh_network(shape, config.seed).to(device).train()
    model = _parallel(network, group)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=config.rate, total_steps=steps)
    noise = torch.Generator(device).manual_seed(config.seed * 1000 + group.rank)
    weights = [config.supervision**level for level in range(len(shape.filters))]
    for step, (batch, label) in enumerate(batches, start=1):
        moved = batch.to(device)
        values = prepare(moved, normalisation, config.cloud_input)
        values = _noisy(values, len(normalisation.mean), config.noise, noise)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
            logits = model(values, moved.valid, moved.days)
        loss = supervised_loss(logits, label.to(device), weights, group.add)
        optimiser.zero_grad(set_to_none=True)
        # The sums run over all processes; DDP averages the gradients, so the mean is made a sum again.
        (loss * group.world).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimiser.step()
        schedule.step()
        _report(step, steps, loss.item(), config, progress if group.first else None)
    return network


def _fresh_network(shape: AgrUNetConfig, seed: int) -> AgrUNet:
    # The caller's random state is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AgrUNet(shape)


def _parallel(network: AgrUNet, group: Ranks) -> nn.Module:
    if group.world == 1:
        return network
    if group.device.type == "cuda":
        shared = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(shared, device_ids=[group.device.index])
    return DistributedDataParallel(network)  # SyncBatchNorm refuses CPU tensors


def _noisy(values: Tensor, bands: int, deviation: float, generator: torch.Generator) -> Tensor:
    """Noise on the bands; a clear mask that follows them stays as it is."""
    if not deviation:
        return values
    noise = torch.randn(values.shape, generator=generator, device=values.device) * deviation
    noise[:, :, bands:] = 0
    return values + noise


def _report(step: int, steps: int, loss: float, config: TrainingConfig, progress: Progress | None) -> None:
    if not math.isfinite(loss):
        raise AgrunetError(f"the loss became {loss} at step {step} of {steps}. Lower the rate (now {config.rate}).")
    if progress is not None:
        progress(step, steps, loss)


def _describe(
    source: PatchFolder, shape: AgrUNetConfig, normalisation: Normalisation, config: TrainingConfig, steps: int
) -> CheckpointConfig:
    header = source.header
    return CheckpointConfig(
        network=shape,
        bands=header.bands,
        resampling=header.resampling,
        normalisation=normalisation,
        months=header.months,
        cloud_input=config.cloud_input,
        min_clear=header.min_clear,
        min_acquisitions=header.min_acquisitions,
        max_dates=header.max_dates,
        level=header.level,
        baselines=header.baselines,
        atmospheric_processor=header.atmospheric_processor,
        classes=header.classes,
        legend=header.legend,
        patch_size=header.patch_size,
        footprint=header.footprint,
        years=header.years,
        synthetic=header.synthetic,
        code_version=code_version(),
        hold_out=header.hold_out,
        training=config.model_dump(mode="json", exclude={"device"}) | {"steps": steps},
    )
