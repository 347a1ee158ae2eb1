"""One model of one kind, made of the pixels that a data set gives to learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.data.header import FolderHeader
from agrunet.data.inputs import Batch, Normalisation, channels
from agrunet.data.patches import LabelledSource
from agrunet.data.pixel_series import PixelBatches, gather_pixels
from agrunet.data.prefetch import prefetched
from agrunet.data.random_crops import RandomCrops
from agrunet.data.training_pixels import training_normalisation, training_pixels
from agrunet.errors import AgrunetError
from agrunet.networks.adapted import AdaptedConfig
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.pixel import PixelConfig
from agrunet.networks.registry import TAKES, Network, fresh_network, taken_by
from agrunet.training.distributed import Ranks
from agrunet.training.forest import ForestSettings, fit_forest
from agrunet.training.learner import Learner
from agrunet.training.saved_state import weights_of
from agrunet.training.settings import KINDS, Settings, TrainingConfig
from agrunet.training.starting import adapted_config, averaged, described, fit_started, freeze_norms, started

Progress = Callable[[int, int, float], None]
"""Function that is called after each step with its number (from 1), how many there are, and the loss."""

_AHEAD = 2
"""Batches of crops made ahead."""


def fit(
    source: LabelledSource, settings: Settings, steps: int, group: Ranks, count: StepCount
) -> tuple[Network, CheckpointConfig]:
    """Make a model of the pixels to learn from, in so many ``steps``; they are told to ``count``.

    Raises `AgrunetError` where these pixels can't be learnt from.
    """
    if isinstance(settings, TrainingConfig) and settings.kind == "fine-tuned":
        return _fit_started(source, settings, steps, group, count)
    counts = training_pixels(source)
    normalisation = training_normalisation(source, np.flatnonzero(counts).tolist())
    if isinstance(settings, ForestSettings):
        return fit_forest(source, normalisation, settings)
    shape = _shape(source.header, settings)
    made: Iterator[tuple[Batch, Tensor]]
    if settings.kind == "pixel":
        series = gather_pixels(source, settings.pixels, settings.seed)
        made = PixelBatches(series, settings.date_dropout, settings.day_shift, _seed(settings, group)).batches(
            steps, settings.batch
        )
    else:
        made = _crops(source, counts, settings, group).batches(steps, settings.batch)
    network = fresh_network(shape, settings.seed)
    _learn(network, prefetched(made, _AHEAD), steps, normalisation, settings, group, count)
    facts = settings.model_dump(mode="json", exclude={"device"}) | {"steps": steps}
    return network, describe(source.header, shape, normalisation, settings.cloud_input, facts)


def _fit_started(
    source: LabelledSource, config: TrainingConfig, steps: int, group: Ranks, count: StepCount
) -> tuple[Network, CheckpointConfig]:
    """Make a model of the pixels to learn from that goes on from a checkpoint."""
    counts, fine_tuning = training_pixels(source), config.fine_tuning
    begun = started(_checkpoint(config), fine_tuning, source.header)
    network = begun.network
    if fine_tuning.part == "head":
        network = fit_started(source, np.flatnonzero(counts).tolist(), begun, fine_tuning, group)
    else:
        before, fed = weights_of(network), config.model_copy(update={"cloud_input": begun.start.cloud_input})
        made = prefetched(_crops(source, counts, config, group).batches(steps, config.batch), _AHEAD)
        _learn(network, made, steps, begun.start.normalisation, fed, group, count)
        averaged(network, before, fine_tuning.keep or 0.0)
    settings = config.model_dump(mode="json", exclude={"device"}) | {"steps": steps}
    return network, described(begun, network, source.header, settings)


def _crops(source: LabelledSource, counts: npt.NDArray[np.int64], config: TrainingConfig, group: Ranks) -> RandomCrops:
    return RandomCrops(
        source,
        counts,
        _crop_size(source, config),
        config.date_dropout,
        _seed(config, group),
        config.truncation,
        config.composites,
    )


def _seed(config: TrainingConfig, group: Ranks) -> tuple[int, int]:
    """What fixes the draws of this process."""
    return config.seed, group.rank


def _checkpoint(config: TrainingConfig) -> Path:
    if config.start_from is None:
        raise AgrunetError("a fine-tuned model goes on from a checkpoint, and none is given. Give --start-from.")
    return config.start_from


def _shape(header: FolderHeader, config: TrainingConfig) -> AgrUNetConfig | PixelConfig | AdaptedConfig:
    if config.kind == "fine-tuned":
        return adapted_config(_checkpoint(config), config.fine_tuning, header)
    bands, classes = channels(len(header.bands), config.cloud_input), len(header.classes)
    if config.kind == "pixel":
        return PixelConfig(bands=bands, classes=classes, members=config.members)
    return AgrUNetConfig(bands=bands, classes=classes, filters=config.filters, hidden=config.hidden)


def steps_of(source: LabelledSource, config: Settings, group: Ranks) -> int:
    """Optimiser steps of a model of these patches; 0 of one that takes none. Raises `AgrunetError` where its kind doesn't take them."""
    takes = "series" if isinstance(config, ForestSettings) else taken_by(_shape(source.header, config))
    if source.header.mosaic and takes != "series":
        alone = ", ".join(kind for kind in KINDS if TAKES.get(kind) == "series")
        raise AgrunetError(
            f"kind {config.kind} looks at windows, and the data set holds the series of single pixels. Give --kind: one of {alone}."
        )
    pixels = int(training_pixels(source).sum())
    if isinstance(config, ForestSettings) or (config.kind == "fine-tuned" and config.fine_tuning.part == "head"):
        return 0
    return step_count(config, pixels, _crop_size(source, config), group.world)


def fold_steps(config: Settings, steps: int) -> int:
    return math.ceil(steps * config.fold_part) if isinstance(config, TrainingConfig) else 0


def step_count(config: TrainingConfig, pixels: int, crop: int, world: int) -> int:
    """Number of optimiser steps for so many training pixels: `passes` over them, at least `steps`, at most `max_steps`."""
    seen = config.batch * crop * crop * world
    return min(max(config.steps, math.ceil(config.passes * pixels / seen)), max(config.max_steps, config.steps))


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
    network: Network,
    batches: Iterator[tuple[Batch, Tensor]],
    steps: int,
    normalisation: Normalisation,
    config: TrainingConfig,
    group: Ranks,
    count: StepCount,
) -> None:
    network.to(group.device)
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
    if config.kind == "fine-tuned":
        freeze_norms(network)
    generator = torch.Generator(group.device).manual_seed(config.seed * 1000 + group.rank)
    noisy = partial(
        _noisy, bands=len(normalisation.mean), deviation=config.noise, shift=config.shift, generator=generator
    )
    with _drawn_by(config.seed * 1000 + group.rank, group.device):  # dropout
        for step, (batch, label) in enumerate(batches, start=1):
            loss = learner.step(batch, label, noisy)
            schedule.step()
            count.step(step, steps, loss.item(), config)
    group.share_buffers(network)


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


class StepCount:
    """The steps of all trainings that make one model, counted as one."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._steps, self._done = progress, 0, 0

    def expect(self, steps: int) -> None:
        """Expect so many steps from here on."""
        self._steps = self._done + steps

    def step(self, step: int, steps: int, loss: float, config: TrainingConfig) -> None:
        """Count a step. Raises `AgrunetError` where the loss isn't finite."""
        if not math.isfinite(loss):
            raise AgrunetError(f"the loss became {loss} at step {step} of {steps}. Lower the rate (now {config.rate}).")
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(self._steps, self._done), loss)
