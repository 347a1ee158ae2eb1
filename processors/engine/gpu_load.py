"""How busy this machine's NVIDIA GPUs are, as their driver says; no process is started on them, and torch isn't asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pynvml


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One GPU, whoever uses it."""

    name: str
    """Its number on this machine."""
    busy: float | None
    """Share of the last second, or part of it, in which it worked, 0 to 1; None where the driver can't tell, as of one in parts (MIG)."""
    memory: int
    """Bytes."""
    memory_used: int
    """Bytes."""


def gpu_loads() -> list[GpuLoad]:
    """All GPUs of the machine; none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return list(_loads())
    finally:
        pynvml.nvmlShutdown()


def _loads() -> Iterator[GpuLoad]:
    for number in range(pynvml.nvmlDeviceGetCount()):
        with suppress(pynvml.NVMLError):  # one that fell off the bus: the others are told of
            gpu = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
            yield GpuLoad(str(number), _busy(gpu), int(memory.total), int(memory.used))


def _busy(gpu: object) -> float | None:
    try:
        return float(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu) / 100
    except pynvml.NVMLError:
        return None
