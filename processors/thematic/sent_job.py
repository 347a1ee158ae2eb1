"""A processor's job as it travels to workers, with its model where they can reach it."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.scratch import scratch_folder
from catalog.storage.store import CellPath, digest
from processors.engine.scratch import worker_folder
from processors.thematic.protocol import Job, Processor
from processors.thematic.registry import make_processor

_MAKING = Lock()


@dataclass(frozen=True, slots=True)
class SentJob:
    """Job from which a worker makes a processor; small."""

    processor: str
    job: str
    """The `Job` as JSON."""
    model: BucketPath | None = None
    """Folder of the checkpoint's files for workers that don't see this machine's; None where they do, or there is no checkpoint."""

    def make(self) -> Processor:
        """Make the processor, once per process, so that its network is loaded once. Raises as `make_processor` does."""
        with _MAKING:
            return _made(self)


def sent_job(processor: str, job: Job, results: CellPath) -> SentJob:
    """Make the job of a run whose results lie at a path: in a bucket, its model lies beside them (see `share_model`)."""
    return SentJob(processor, job.model_dump_json(), _shared_model(job, results))


def share_model(job: Job, results: CellPath) -> None:
    """Put the job's model beside results in a bucket, where it isn't yet. Raises `StoreError`."""
    shared = _shared_model(job, results)
    if job.model is None or shared is None:
        return
    there = shared.sizes()
    for file in sorted(job.model.iterdir()):
        if file.is_file() and there.get(file.name) != file.stat().st_size:
            (shared / file.name).put(file.read_bytes())


def model_state(job: Job) -> list[Any]:
    """State of the checkpoint's files, enough to see that another checkpoint has replaced it."""
    if job.model is None or not job.model.is_dir():
        return []
    files = [(path.name, path.stat()) for path in sorted(job.model.iterdir())]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in files]


def _shared_model(job: Job, results: CellPath) -> BucketPath | None:
    # Another model is another address: a worker that lives on would take the one it has loaded for it.
    if job.model is None or not isinstance(results, BucketPath):
        return None
    return results / f"model-{digest(model_state(job))}"


@lru_cache(maxsize=2)
def _made(sent: SentJob) -> Processor:
    job = Job.model_validate_json(sent.job)
    if sent.model is not None and job.model is not None:
        job = job.model_copy(update={"model": _fetched(sent.model, job.model.name)})
    return make_processor(sent.processor, job)


def _fetched(model: BucketPath, name: str) -> Path:
    """Fetch a model's files into a folder of its name that is gone with this process. Raises `StoreError`."""
    until_the_end = ExitStack()
    atexit.register(until_the_end.close)
    around = until_the_end.enter_context(scratch_folder("model", worker_folder()))
    folder = around / name
    folder.mkdir()
    files = model.sizes()
    if not files:
        raise StoreError(f"{model}: no model is there. Run again from the machine that has it.")
    for file in files:
        content = (model / file).read()
        if content is not None:
            (folder / file).write_bytes(content[0])
    return folder
