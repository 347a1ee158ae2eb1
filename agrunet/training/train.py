"""Training on random crops: a folder of patches becomes a checkpoint, in one process or in those that `torchrun` started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.folder import PatchFolder
from agrunet.data.folds import FieldFold, FoldView, fold_roles
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.inputs import Batch, Normalisation, channels
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
from agrunet.memory import keep_freed_memory
from agrunet.networks.adapted import AdaptedConfig
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.pixel import PixelConfig
from agrunet.networks.registry import TAKES, Network, fresh_network, taken_by
from agrunet.training.distributed import Ranks, ranks
from agrunet.training.evaluation import Tally, calibrate_folds, evaluate, held_out_pixels
from agrunet.training.forest import ForestSettings, fit_forest
from agrunet.training.learner import Learner
from agrunet.training.saved_state import weights_of
from agrunet.training.settings import KINDS, PRESETS, Settings, TrainingConfig
from agrunet.training.starting import adapted_config, averaged, described, fit_started, freeze_norms, started

Progress = Callable[[int, int, float], None]
"""Function that is called after each step with its number (from 1), how many there are, and the loss."""

_AHEAD = 2
"""Batches of crops made ahead."""


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
    if config.kind == "fine-tuned":
        return _fit_started(source, config, steps, group, told)
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
    network = fresh_network(shape, config.seed)
    _learn(network, prefetched(made, _AHEAD), steps, normalisation, config, group, told)
    settings = config.model_dump(mode="json", exclude={"device"}) | {"steps": steps}
    return network, describe(source.header, shape, normalisation, config.cloud_input, settings)


def _fit_started(
    source: LabelledSource, config: TrainingConfig, steps: int, group: Ranks, told: _Told
) -> tuple[Network, CheckpointConfig]:
    """Make a model of the pixels to learn from that goes on from a checkpoint."""
    counts, fine_tuning = training_pixels(source), config.fine_tuning
    begun = started(_checkpoint(config), fine_tuning, source.header)
    network = begun.network
    if fine_tuning.part == "head":
        network = fit_started(source, np.flatnonzero(counts).tolist(), begun, fine_tuning, group)
    else:
        before, fed = weights_of(network), config.model_copy(update={"cloud_input": begun.start.cloud_input})
        crops = RandomCrops(source, counts, _crop_size(source, config), config.date_dropout, (config.seed, group.rank))
        made = prefetched(crops.batches(steps, config.batch), _AHEAD)
        _learn(network, made, steps, begun.start.normalisation, fed, group, told)
        averaged(network, before, fine_tuning.keep or 0.0)
    settings = config.model_dump(mode="json", exclude={"device"}) | {"steps": steps}
    return network, described(begun, network, source.header, settings)


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
    network: Network,
    batches: Iterator[tuple[Batch, Tensor]],
    steps: int,
    normalisation: Normalisation,
    config: TrainingConfig,
    group: Ranks,
    told: _Told,
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
            told.step(step, steps, loss.item(), config)
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
