"""The machine that a run was made on."""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from agrunet.bench.problems import Device

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Names that Linux gives to bf16 products on x86 (AVX-512, AMX) and on ARM."""


def device_name(device: Device) -> str:
    """Name the GPU, or the processor with its number of cores."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    return f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def usable_gpus() -> list[str]:
    """Names of the GPUs that torch can compute on; none without a driver, or with a build of torch for CPUs."""
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def has_bf16(device: Device) -> bool:
    """Tell whether the device multiplies bf16 itself; others emulate it, far more slowly than fp32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    words = set(_CPUINFO.read_text(encoding="utf-8").split()) if _CPUINFO.exists() else set()
    return bool(words & _BF16_FLAGS)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[int]:
    """Run torch on ``count`` threads (its own number where None), which are yielded; afterwards it is as it was."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def tidy(device: Device) -> None:
    """Free memory that nobody holds any more."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
