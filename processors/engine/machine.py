"""Cores and GPUs that this machine has for work. Torch isn't asked: importing it takes seconds, and it would hold the GPUs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import psutil

_DEVICES = Path("/dev")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_memory() -> int:
    """Bytes that a process may have where nobody says otherwise: half of this machine's."""
    return psutil.virtual_memory().total // 2  # type: ignore[no-any-return]


def share_of_cores(workers: int) -> dict[str, str]:
    """The environment of one of so many workers: threads for an equal share of the cores."""
    threads = str(max(1, cores() // workers))
    return {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}


def gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, each as CUDA_VISIBLE_DEVICES names it; parts of one (MIG) where it is parted."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA itself stops at the first that makes no sense
        bad = next((number for number, name in enumerate(names) if not name or name.startswith("-")), len(names))
        return tuple(names[:bad])
    listed = _listed()
    if listed is not None:
        return listed
    return tuple(str(number) for number in range(sum(1 for _ in _DEVICES.glob("nvidia[0-9]*"))))


def _listed() -> tuple[str, ...] | None:
    """Names that the driver's own command lists; None where there is none, or it doesn't answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the driver's command, no words of anybody
            [command, "-L"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_listing(answer)


def parse_listing(text: str) -> tuple[str, ...]:
    """Names in what ``nvidia-smi -L`` prints: a line per GPU, below it one per part of it."""
    names: list[list[str]] = []
    for line in text.splitlines():
        match = re.search(r"\(UUID: ([\w-]+)\)", line)
        if match is None:
            continue
        if line.startswith("GPU"):
            names.append([match[1]])
        elif names:
            names[-1].append(match[1])
    return tuple(name for gpu in names for name in (gpu[1:] or gpu))
