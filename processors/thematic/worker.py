"""What runs in a worker process: it asks for patches, runs the processor on them and writes their results."""

from __future__ import annotations

import signal
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Lock

from agrunet.data.patches import PatchSource
from catalog.errors import CroplineError
from processors.thematic.protocol import Job, Processor
from processors.thematic.registry import make_processor
from processors.thematic.results import Results


@dataclass(frozen=True, slots=True)
class WantMessage:
    """The worker is free; it is answered with a patch's number, or None when there is no more."""


@dataclass(frozen=True, slots=True)
class DoneMessage:
    """A result is written."""

    index: int


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """The worker ends. ``kind``: the class in `catalog.errors`, or None with the traceback of an error that is none of these."""

    kind: str | None
    text: str


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


def work(connection: Connection, name: str, job: str, patches: PatchSource, results: Results) -> None:
    """Run a processor on the patches that the parent hands out, until there are none left.

    ``job``: a `Job` as JSON. Errors are sent to the parent, which raises them.
    """
    # An interrupt reaches the whole group of a terminal; the parent ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = _Parent(connection)
    try:
        try:
            processor = make_processor(name, Job.model_validate_json(job))
            for index in run_patches(processor, patches, parent.handed_out(), results):
                parent.send(DoneMessage(index))
        except _ParentGoneError:
            raise
        except CroplineError as error:
            parent.send(ErrorMessage(_kind(error), str(error)))
        except Exception:
            parent.send(ErrorMessage(None, traceback.format_exc()))
            raise
    except _ParentGoneError:
        return  # nobody left to work for; what was done stays done


def _kind(error: CroplineError) -> str:
    # A plug-in may raise a class of its own, which the parent need not know: its nearest ancestor here will do.
    return next(base.__name__ for base in type(error).__mro__ if base.__module__ == CroplineError.__module__)


class _ParentGoneError(Exception):
    """The pipe is closed at the other end."""


@dataclass(slots=True)
class _Parent:
    """The other end of the pipe. A processor may ask for patches in a thread that reads ahead, hence the lock."""

    connection: Connection
    lock: Lock = field(default_factory=Lock)

    def send(self, message: WantMessage | DoneMessage | ErrorMessage) -> None:
        try:
            with self.lock:
                self.connection.send(message)
        except OSError as error:
            raise _ParentGoneError from error

    def handed_out(self) -> Iterator[int]:
        while True:
            self.send(WantMessage())
            try:
                index = self.connection.recv()
            except (OSError, EOFError) as error:
                raise _ParentGoneError from error
            if index is None:
                return
            yield index
