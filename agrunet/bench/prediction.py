"""Prediction over a patch source, end to end, beside the bare network in the same process; and its memory as the area grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from agrunet.bench.isolation import isolated, peak_memory
from agrunet.bench.machine import device_name
from agrunet.bench.problems import PROBLEMS, Device
from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.folder import load_checkpoint, read_config
from agrunet.data.inputs import Normalisation, prepare, stack
from agrunet.data.patches import PatchSource
from agrunet.inference import Precision, predict
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.registry import Network, fresh_network
from agrunet.settings import Frozen

_BARE = 3
"""Images that the bare network is timed on before and after, each."""


class PredictionRow(Frozen):
    """Speed and memory of a prediction over a number of patches."""

    patches: int
    images_per_second: Annotated[float, Field(description="from stored blocks to probabilities")]
    network_images_per_second: Annotated[float, Field(description="of the bare network, just before and after")]
    share: Annotated[float, Field(description="of the bare network's speed that is left end to end")]
    peak_bytes: Annotated[int, Field(description="most memory of the process, the network and its inputs included")]
    dates: int
    size: Annotated[int, Field(description="edge of a patch, pixels")]
    device: str
    precision: Precision
    threads: int
    torch: str


def measure_prediction(
    source: PatchSource,
    counts: Sequence[int],
    bands: Sequence[str],
    device: Device = "cpu",
    precision: Precision = "fp32",
    watch: Callable[[str], None] | None = None,
) -> list[PredictionRow]:
    """Measure a row per number of patches in ``counts``, each in a process of its own; ``source`` travels there and holds as many.

    The network is AgrUNet as for OrthoPASTIS with fresh weights: its speed doesn't depend on them.
    """
    rows = []
    for count in counts:
        if watch is not None:
            watch(f"{count} patches, end to end and by the bare network")
        rows.append(isolated(_measured, source, count, tuple(bands), device, precision))
    return rows


def network_seconds(folder: Path, dates: int, device: Device = "cpu", precision: Precision = "fp32") -> float:
    """Seconds that the network of a checkpoint takes for one of its patches of so many dates, alone in a process of its own.

    Raises `AgrunetError` where the checkpoint can't be read, `MeasureError` where the measurement fails.
    """
    read_config(folder)
    return isolated(_network_seconds, folder, dates, device, precision)


def _network_seconds(folder: Path, dates: int, device: Device, precision: Precision) -> float:
    network, config = load_checkpoint(folder, device)
    size = config.patch_size
    values = torch.rand(1, dates, len(config.bands), size, size, device=device)
    valid = torch.ones(1, dates, dtype=torch.bool, device=device)
    days = torch.linspace(0, 200, dates, device=device).round().to(torch.int32).unsqueeze(0)
    timed = _timer(network, values, valid, days, device, precision)
    timed()
    return min(timed(), timed())


def _timer(
    network: Network, values: Tensor, valid: Tensor, days: Tensor, device: Device, precision: Precision
) -> Callable[[], float]:
    """A function that gives the seconds of one image by the bare network."""
    bare = network.for_inference()

    def timed() -> float:
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            for _ in range(_BARE):
                bare(values, valid, days)
            _wait(device)
        return (time.perf_counter() - start) / _BARE

    return timed


def _measured(
    source: PatchSource, count: int, bands: tuple[str, ...], device: Device, precision: Precision
) -> PredictionRow:
    problem = PROBLEMS["orthopastis"]
    config = AgrUNetConfig(bands=len(bands), classes=problem.classes, filters=problem.filters)
    network = fresh_network(config, seed=0).to(device)
    checkpoint = CheckpointConfig(
        network=config,
        bands=bands,
        normalisation=Normalisation(mean=(2000.0,) * len(bands), std=(1000.0,) * len(bands)),
        months=(1, 7),
        min_clear=0.5,
        min_acquisitions=1,
        level="L2A",
        classes=tuple(f"class {number}" for number in range(problem.classes)),
        patch_size=problem.size,
        years=(2019,),
        synthetic=True,
    )
    batch = stack([source.read(0)]).to(torch.device(device))
    values = prepare(batch, checkpoint.normalisation, checkpoint.cloud_input)
    timed = _timer(network, values, batch.valid, batch.days, device, precision)
    timed()  # the first steps choose their kernels
    before = timed()
    start = time.perf_counter()
    for _ in predict(network, checkpoint, source, range(count), device, precision=precision):
        pass
    seconds = (time.perf_counter() - start) / count
    alone = (before + timed()) / 2
    return PredictionRow(
        patches=count,
        images_per_second=1 / seconds,
        network_images_per_second=1 / alone,
        share=alone / seconds,
        peak_bytes=peak_memory() if device == "cpu" else torch.cuda.max_memory_allocated(),
        dates=values.shape[1],
        size=values.shape[-1],
        device=device_name(device),
        precision=precision,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )


def _wait(device: Device) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
