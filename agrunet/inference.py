"""Class probabilities of patches, one after the other, while the next ones are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.data.inputs import Batch, pad_edges, prepare, stack
from agrunet.data.patches import Patch, PatchSource
from agrunet.data.prefetch import prefetched
from agrunet.errors import AgrunetError
from agrunet.memory import keep_freed_memory
from agrunet.networks.registry import Network

Probabilities = npt.NDArray[np.float32]
"""Probabilities (K, H, W), summing to 1 over K; NaN in all K where a pixel has too few clear dates."""

Precision = Literal["fp32", "bf16"]
"""Arithmetic of a prediction; bf16 is faster and nearly the same, as softmax and the recurrent cell stay in fp32."""

_AHEAD = 2
"""Batches read ahead."""


def predict(
    network: Network,
    config: CheckpointConfig,
    source: PatchSource,
    indices: Iterable[int],
    device: str | torch.device = "cpu",
    batch: int = 1,
    precision: Precision = "fp32",
) -> Iterator[tuple[int, Probabilities]]:
    """Yield (patch index, probabilities (K, H, W)) in the order of ``indices``.

    ``indices`` are taken by a thread that reads ahead, at most 4 x ``batch`` patches beyond what was yielded, so memory is
    bounded whatever their number. ``network`` is copied and left as it is; ``precision`` is its arithmetic. A pixel with fewer
    clear dates than ``config.min_acquisitions`` is NaN. Raises `AgrunetError` where patches don't fit the checkpoint, and what
    ``source`` raises.
    """
    if batch < 1:
        raise AgrunetError(f"batch of {batch} patches; give at least 1.")
    keep_freed_memory()
    device = torch.device(device)
    network = network.for_inference().to(device)
    for numbers, stacked in prefetched(_batches(source, indices, config, batch), _AHEAD):
        # Not around the yield: the mode would leak into the caller.
        with torch.inference_mode():
            probabilities = _probabilities(network, config, stacked.to(device), precision).cpu().numpy()
        yield from zip(numbers, probabilities, strict=True)


def map_classes(probabilities: Probabilities) -> npt.NDArray[np.int16]:
    """Map probabilities to the most probable class (H, W), -1 where the probabilities are NaN."""
    mapped: npt.NDArray[np.int16] = np.argmax(probabilities, axis=0).astype(np.int16)
    mapped[np.isnan(probabilities[0])] = -1
    return mapped


def _batches(
    source: PatchSource, indices: Iterable[int], config: CheckpointConfig, size: int
) -> Iterator[tuple[list[int], Batch]]:
    numbers: list[int] = []
    patches: list[Patch] = []
    for index in indices:
        patch = source.read(index)
        _check(patch, index, config)
        numbers.append(index)
        patches.append(patch)
        if len(numbers) == size:
            yield numbers, stack(patches)
            numbers, patches = [], []
    if numbers:
        yield numbers, stack(patches)


def _check(patch: Patch, index: int, config: CheckpointConfig) -> None:
    T, C = patch.values.shape[:2]
    if len(config.bands) != C:
        raise AgrunetError(
            f"patch {index} holds {C} bands, the checkpoint wants {len(config.bands)}: {', '.join(config.bands)}. "
            "Read those, or choose another model."
        )
    if config.max_dates < T:
        raise AgrunetError(
            f"patch {index} holds {T} dates, the checkpoint takes at most {config.max_dates}. "
            "Raise min_clear so that fewer acquisitions are used, or shorten the months."
        )
    if not T:
        raise AgrunetError(f"patch {index} holds no date. Lower min_clear so that acquisitions are used.")


def _probabilities(network: Network, config: CheckpointConfig, batch: Batch, precision: Precision) -> Tensor:
    H, W = batch.values.shape[-2:]
    padded = pad_edges(batch, config.network.divisor)
    values = prepare(padded, config.normalisation, config.cloud_input)
    with torch.autocast(values.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        logits = network(values, padded.valid, padded.days)
    probabilities = torch.softmax(logits[..., :H, :W].float() / config.temperature, dim=1)
    enough = batch.clear.sum(1) >= config.min_acquisitions
    return torch.where(enough.unsqueeze(1), probabilities, torch.nan)
