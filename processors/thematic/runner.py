"""Runs a processor over all patches, in this process or in several; each result is written once, by one process.

Several processes share one list of patches: whoever is free is handed the next. The parent keeps the list and hands it out
over one pipe per worker: a queue shared by all would stay locked for good when a worker is killed while it reads it.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from agrunet.data.patches import PatchSource
from catalog import errors
from catalog.errors import CroplineError, WorkerError
from catalog.storage.store import digest
from processors.engine import cores, inherited
from processors.patches.cube_patches import CubePatches
from processors.thematic.protocol import Job
from processors.thematic.registry import make_processor
from processors.thematic.results import FIELDS, Results, open_results
from processors.thematic.worker import DoneMessage, ErrorMessage, WantMessage, run_patches, work

__all__ = ["FIELDS", "Progress", "Results", "run_processor"]

Progress = Callable[[int, int], None]
"""Called with the number of patches done and of all: once at the start, then after each."""


def run_processor(
    name: str,
    job: Job,
    patches: PatchSource,
    results: Path,
    processes: int = 1,
    progress: Progress | None = None,
    devices: Sequence[str] = (),
) -> None:
    """Write the fields of every patch to ``results`` (see `Results`); what is there of the same run is not done again.

    ``patches`` and the job travel to other processes (pickled). ``devices``: worker i sees GPU ``devices[i % len(devices)]``
    alone (CUDA_VISIBLE_DEVICES). Results of another job, processor version, model, products, masks or windows are
    replaced.
    Raises what the processor raises, and `WorkerError` where a worker process dies: what was done stays done.
    """
    processor = make_processor(name, job)
    size = processor.grid.size
    run = [name, processor.version, job.model_dump(mode="json"), size, processor.fields, _model(job), _origin(patches)]
    stored = open_results(results, (len(patches), len(processor.fields), size, size), digest(run))
    todo = stored.todo()
    count = _Count(len(patches) - len(todo), len(patches), progress or _ignore)
    if not todo:
        return
    if processes <= 1:
        for _ in run_patches(processor, patches, todo, stored):
            count.add()
        return
    del processor  # its model is not needed here, only in the workers
    _Pool(name, job, patches, stored, todo, count).run(min(processes, len(todo)), devices)


def _origin(patches: PatchSource) -> list[Any]:
    """What patches are made from, beyond what the job says."""
    if not isinstance(patches, CubePatches):
        return [len(patches)]
    windows = [(window.epsg, window.left, window.top, *window.shape) for window in patches.windows]
    products = [(acquisition.id, acquisition.products) for acquisition in patches.season.used]
    return [patches.source_id, patches.level, patches.bands, products, windows, patches.season.masks]


def _model(job: Job) -> list[Any]:
    """Enough of the checkpoint's files to see that another one lies in its place."""
    if job.model is None or not job.model.is_dir():
        return []
    files = [(path.name, path.stat()) for path in sorted(job.model.iterdir())]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in files]


def _ignore(done: int, of: int) -> None:
    """Progress that nobody wants."""


@dataclass(slots=True)
class _Count:
    done: int
    of: int
    progress: Progress

    def __post_init__(self) -> None:
        self.progress(self.done, self.of)

    def add(self) -> None:
        self.done += 1
        self.progress(self.done, self.of)


@dataclass(slots=True)
class _Pool:
    """The parent's side: the list of patches, and the workers that are handed them."""

    name: str
    job: Job
    patches: PatchSource
    results: Results
    todo: list[int]
    count: _Count
    workers: dict[Connection, SpawnProcess] = field(default_factory=dict)
    failure: CroplineError | None = None
    exit_code: int = 0

    def run(self, processes: int, devices: Sequence[str]) -> None:
        waiting = deque(self.todo)
        try:
            for number in range(processes):
                device = devices[number % len(devices)] if devices else None
                self._start(_worker_environment(number, processes, device))
            while self.workers:
                for connection in wait(list(self.workers)):
                    self._serve(connection, waiting)  # type: ignore[arg-type]
        finally:
            for process in self.workers.values():  # only where this process was interrupted
                process.kill()
                process.join()
        if self.failure is not None:
            raise self.failure
        if self.exit_code != 0:
            killed = " (killed: out of memory, or by hand)" if self.exit_code == -9 else ""
            raise WorkerError(
                f"a worker of processor {self.name} died with exit code {self.exit_code}{killed}. {self.count.done} of "
                f"{self.count.of} patches are done and kept; run again to do the rest, with fewer processes if memory ran out."
            )
        left = self.results.todo()
        if left:
            raise WorkerError(f"processor {self.name} gave no result for {len(left)} patches, first {left[0]}.")

    def _start(self, environment: dict[str, str]) -> None:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=work,
            args=(theirs, self.name, self.job.model_dump_json(), self.patches, self.results),
            name=f"cropline-{self.name}",
            daemon=True,
        )
        with inherited(environment):
            process.start()
        theirs.close()  # so that its death closes the pipe
        self.workers[ours] = process

    def _serve(self, connection: Connection, waiting: deque[int]) -> None:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            self._ended(connection)
            return
        match message:
            case WantMessage():
                # After a failure nothing more is handed out: the others finish what they have.
                going_on = self.failure is None and self.exit_code == 0
                more = waiting.popleft() if waiting and going_on else None
                try:
                    connection.send(more)
                except OSError:
                    self._ended(connection)
            case DoneMessage():
                self.count.add()
            case ErrorMessage(kind=None, text=text):
                self.failure = self.failure or WorkerError(f"processor {self.name} failed in a worker process:\n{text}")
            case ErrorMessage(kind=str() as kind, text=text):
                error: CroplineError = getattr(errors, kind)(text)
                self.failure = self.failure or error

    def _ended(self, connection: Connection) -> None:
        process = self.workers.pop(connection)
        connection.close()
        process.join()
        self.exit_code = self.exit_code or process.exitcode or 0


def _worker_environment(number: int, processes: int, device: str | None) -> dict[str, str]:
    """A worker's share of the cores, its number as torchrun calls it (GPUs are chosen by it), and its GPU where one is named."""
    threads = str(max(1, cores() // processes))
    values = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "LOCAL_RANK": str(number)}
    return values if device is None else {**values, "CUDA_VISIBLE_DEVICES": device}
