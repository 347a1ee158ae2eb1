"""Runner of a processor over all patches: in this process, in several of this machine, or on a scheduler's workers.

Patches go to workers in shards. A worker that dies is replaced and its shard taken over by another, which skips what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from agrunet.data.patches import PatchSource
from catalog.errors import WorkerError
from catalog.storage.store import CellPath, digest
from processors.engine.machine import gpus, share_of_cores
from processors.engine.opening import open_engine
from processors.engine.packing import Resolve
from processors.engine.protocol import DEATHS, Engine, TaskKilledError
from processors.patches.cube_patches import CubePatches, in_strips
from processors.thematic.protocol import Job
from processors.thematic.registry import make_processor
from processors.thematic.results import FIELDS, Results, open_results
from processors.thematic.sent_job import model_state, sent_job, share_model
from processors.thematic.shard import ShardWork, cut_shards, run_patches, run_shard

__all__ = ["FIELDS", "Progress", "Results", "run_processor"]

Progress = Callable[[int, int], None]
"""Callback that gets the number of patches done and of all: once at the start, then after each."""

_SHOWN = 8
"""Patches that an error names."""


def run_processor(
    name: str,
    job: Job,
    patches: PatchSource,
    results: CellPath,
    processes: int | None = 1,
    progress: Progress | None = None,
    devices: Sequence[str] = (),
    engine: Engine | None = None,
    resolve: Resolve | None = None,
) -> None:
    """Write the fields of every patch to ``results`` (see `Results`); what is there of the same run is not done again.

    ``processes``: None is one for each GPU of this machine, or one. ``devices``: worker i sees GPU ``devices[i % len(devices)]``
    alone (CUDA_VISIBLE_DEVICES); by default the machine's GPUs. ``engine``: where it is a scheduler, its workers do it all, and
    ``results`` must lie in a bucket where they share nothing else. ``resolve``: see `open_engine`. Results of another job, processor
    version, model, products, masks or windows are replaced, and those that are damaged.
    Raises what the processor raises, and `WorkerError` where a shard's workers die again and again: what was done stays done.
    """
    processor = make_processor(name, job)
    size = processor.grid.size
    run = [
        name,
        processor.version,
        job.model_dump(mode="json"),
        size,
        processor.fields,
        model_state(job),
        _origin(patches),
    ]
    stored = open_results(results, (len(patches), len(processor.fields), size, size), digest(run))
    todo = stored.todo()
    if isinstance(patches, CubePatches):
        todo = in_strips(patches.windows, todo)
    count = _Count(set(range(len(patches))) - set(todo), len(patches), progress or _ignore)
    if not todo:
        return
    elsewhere = engine is not None and engine.is_scheduler
    if processes != 1 and not elsewhere:
        devices = devices or gpus()
    processes = processes or max(1, len(devices))
    if processes == 1 and not elsewhere:
        for index in run_patches(processor, patches, todo, stored):
            count.add(index)
        return
    del processor  # its model is not needed here, only in the workers
    share_model(job, results)
    work = ShardWork(sent_job(name, job, results), patches, stored)
    with ExitStack() as stack:
        if engine is None or not engine.is_scheduler:
            processes = min(processes, len(todo))
            environments = [_environment(number, processes, devices) for number in range(processes)]
            engine = stack.enter_context(open_engine("local", environments=environments, resolve=resolve))
        _run_shards(work, cut_shards(todo, engine.workers), engine, count)
    if left := stored.todo():
        raise WorkerError(f"processor {name} gave no result for {len(left)} patches, first {left[0]}.")


def _run_shards(work: ShardWork, shards: Iterable[tuple[int, ...]], engine: Engine, count: _Count) -> None:
    try:
        for shard, _ in engine.as_completed(partial(run_shard, work), shards, count.add):
            for index in shard:  # those that were done before a worker died
                count.add(index)
    except TaskKilledError as error:
        # The first that isn't written is what was worked on, or just read ahead of it.
        left = work.results.todo(error.item)
        raise WorkerError(
            f"processor {work.job.processor}: {DEATHS} workers died, one after the other, at patches {_numbers(left)} (killed: out of "
            f"memory, or by hand). {count.of - len(work.results.todo())} of {count.of} patches are done and kept; run again to do the "
            "rest, with fewer processes if memory ran out."
        ) from None


def _numbers(patches: Sequence[int]) -> str:
    shown = ", ".join(str(index) for index in patches[:_SHOWN])
    return f"{shown} and {len(patches) - _SHOWN} more" if len(patches) > _SHOWN else shown


def _environment(number: int, processes: int, devices: Sequence[str]) -> dict[str, str]:
    """A worker's share of the cores, and its GPU where there are some."""
    values = share_of_cores(processes)
    return {**values, "CUDA_VISIBLE_DEVICES": devices[number % len(devices)]} if devices else values


def _origin(patches: PatchSource) -> list[Any]:
    """Description of what patches are made from, beyond what the job says."""
    if not isinstance(patches, CubePatches):
        return [len(patches)]
    windows = [(window.epsg, window.left, window.top, *window.shape) for window in patches.windows]
    products = [(acquisition.id, acquisition.products, acquisition.contents) for acquisition in patches.season.used]
    return [patches.source_id, patches.level, patches.bands, products, windows, patches.season.masks]


def _ignore(done: int, of: int) -> None:
    """Ignore progress."""


@dataclass(slots=True)
class _Count:
    done: set[int]
    of: int
    progress: Progress

    def __post_init__(self) -> None:
        self.progress(len(self.done), self.of)

    def add(self, index: int) -> None:
        """Count a patch once, however often it is reported."""
        if index not in self.done:
            self.done.add(index)
            self.progress(len(self.done), self.of)
