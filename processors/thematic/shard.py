"""Work of a shard, run by a worker: a processor over some of a run's patches, each result written once."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agrunet.data.patches import PatchSource
from catalog import errors
from catalog.errors import CroplineError, WorkerError
from processors.engine.messages import is_wanted, report
from processors.thematic.protocol import Processor
from processors.thematic.results import Results
from processors.thematic.sent_job import SentJob


@dataclass(frozen=True, slots=True, eq=False)
class ShardWork:
    """Work that all shards of a run have in common; travels with each."""

    job: SentJob
    patches: PatchSource
    results: Results


def cut_shards(patches: Sequence[int], workers: int) -> Iterator[tuple[int, ...]]:
    """Cut patches into shards for so many workers: large ones first, since neighbours share what they read; the last ones of a single
    patch, so that no worker waits long for another at the end (guided self-scheduling: Polychronopoulos and Kuck, 1987)."""
    start = 0
    while start < len(patches):
        size = -(-(len(patches) - start) // (2 * workers))
        yield tuple(patches[start : start + size])
        start += size


def run_shard(work: ShardWork, indices: tuple[int, ...]) -> tuple[int, ...]:
    """Run the processor on those of the patches that have no result yet, and `report` each that is written; returns all.

    Raises errors of `catalog.errors` only: those of other packages may be unknown where they are read.
    """
    try:
        processor = work.job.make()
        wanted = (index for index in work.results.todo(indices) if is_wanted())
        for index in run_patches(processor, work.patches, wanted, work.results):
            report(index)
    except CroplineError as error:
        raise _known(error)(str(error)) from None
    except Exception as error:
        text = traceback.format_exc()
        raise WorkerError(f"processor {work.job.processor} failed in a worker process:\n{text}") from error
    return indices


def run_patches(processor: Processor, patches: PatchSource, indices: Iterable[int], results: Results) -> Iterator[int]:
    """Run a processor and write what it yields; yields the number of each patch that is written.

    Raises `CroplineError` where the processor breaks its promise: other patches than asked for, or other shapes.
    """
    asked: deque[int] = deque()

    def remembered() -> Iterator[int]:
        for index in indices:
            asked.append(index)
            yield index

    write = results.writer()
    shape = (len(processor.fields), processor.grid.size, processor.grid.size)
    for index, fields in processor.run(patches, remembered()):
        expected = asked.popleft() if asked else None
        if index != expected or fields.shape != shape:
            raise CroplineError(
                f"processor {processor.name} {processor.version} gave patch {index} with shape {fields.shape}; asked for was "
                f"patch {expected} with {shape}. Its `run` must yield the patches in the order asked, (K, size, size)."
            )
        write(index, fields)
        yield index
    if asked:
        raise CroplineError(
            f"processor {processor.name} {processor.version} gave no result for patch {asked[0]} and {len(asked) - 1} more."
        )


def _known(error: CroplineError) -> type[CroplineError]:
    # A plug-in may raise a class of its own, which the caller need not know: its nearest ancestor here will do.
    name = next(base.__name__ for base in type(error).__mro__ if base.__module__ == CroplineError.__module__)
    known: type[CroplineError] = getattr(errors, name)
    return known
