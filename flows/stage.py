"""Decorators that make a function a stage: a Prefect task, timed and reported, tried again where it reads a source.

No result is cached by Prefect: each stage looks at its own outputs in the store and skips what is there. Arguments are quoted,
so that Prefect hands them over as they are and doesn't walk through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task
from prefect.utilities.annotations import quote
from prefect.utilities.callables import get_call_parameters

from catalog.errors import AccessError, CroplineError, NoProductError, SourceError, StoreUnreachableError
from catalog.products import Order
from flows.reporting.progress import counted
from flows.run import Run
from flows.settings import Settings
from processors.engine.apart import stop_reading

Given = ParamSpec("Given")
Made = TypeVar("Made")

MOST_TASKS = 400
"""Task runs of one stage at most; more acquisitions share task runs. Prefect's SQLite loses events beyond a few thousand."""


def stage(
    name: str,
    *,
    waits_for: str,
    outcome: Callable[[Any], str] = lambda _: "done",
    reads_source: bool = False,
    task_name: str | None = None,
) -> Callable[[Callable[Concatenate[Run, Given], Made]], Callable[Concatenate[Run, Given], Made]]:
    """Make a function of a run a stage, one task run in the flow's own thread.

    ``waits_for`` and ``outcome`` are shown while it runs and when it ends. It is tried again, as the settings say, where the cubes' bucket
    can't be reached, and with ``reads_source`` where the source can't.
    """

    def decorate(function: Callable[Concatenate[Run, Given], Made]) -> Callable[Concatenate[Run, Given], Made]:
        work: Any = task(name=task_name or name, cache_policy=NO_CACHE, persist_result=False)(function)

        @wraps(function)
        def run_stage(run: Run, /, *args: Given.args, **kwargs: Given.kwargs) -> Made:
            with run.step(name, waits_for.format(squares=run.squares)) as step:
                called: Any = tried_again(work, run.settings, reads_source=reads_source)
                named = {key: quote(value) for key, value in kwargs.items()}
                made: Made = called(quote(run), *map(quote, args), **named)
                step.outcome = outcome(made)
            return made

        return run_stage

    return decorate


@dataclass(frozen=True)
class Batch:
    """Acquisitions that share a task run; its text names that run."""

    ids: tuple[str, ...]

    def __str__(self) -> str:
        return self.ids[0] if len(self.ids) == 1 else f"{self.ids[0]} and {len(self.ids) - 1} more"


def batch_task(name: str) -> Callable[[Callable[Given, Made]], Task[Given, Made]]:
    """Make a function with a parameter ``batch`` a task whose runs `in_batches` submits."""
    return task(name=name, task_run_name=f"{name} {{batch}}", cache_policy=NO_CACHE, persist_result=False)


def in_batches(
    run: Run,
    work: Task[Any, list[Made]],
    order: Order,
    *given: Any,
    waits_for: str,
    outcome: Callable[[list[Made]], str] = lambda results: counted(len(results), "acquisition"),
    reads_source: bool = False,
) -> list[Made]:
    """Call ``work(run, order, *given, batch)`` for all acquisitions, several task runs at once.

    Returns what the calls return, in the order of the acquisitions. Raises what the first that fails raises.
    """
    batches = batched([acquisition.id for acquisition in order.acquisitions])
    called = tried_again(work, run.settings, reads_source=reads_source)
    runner: Any = ThreadPoolTaskRunner(max_workers=run.settings.workers)  # Prefect's own types don't fit each other
    with run.step(work.name, waits_for, sum(len(batch.ids) for batch in batches)) as step, runner:
        arguments = [quote(value) for value in (run, order, *given)]
        submitted: dict[PrefectFuture[list[Made]], Batch] = {
            runner.submit(called, get_call_parameters(called.fn, (*arguments, batch), {})): batch for batch in batches
        }
        done = 0
        with _stopped_where_cancelled():
            for future in as_completed([*submitted]):
                future.result()  # raises here, so that a failure shows while the others still run
                done += len(submitted[future].ids)
                step.advance(done)
        results = [result for future in submitted for result in future.result()]
        step.outcome = outcome(results)
    return results


@contextmanager
def _stopped_where_cancelled() -> Iterator[None]:
    """End what other threads wait for where this one is interrupted or told to end: they are waited for."""
    try:
        yield
    except Exception:
        raise  # the others go on: what they finish is kept
    except BaseException:
        stop_reading()
        raise


def tried_again(work: Task[Any, Made], settings: Settings, *, reads_source: bool) -> Task[Any, Made]:
    """Give the task the attempts that an installation is set to, for sources and stores that may come back."""
    delays = [settings.retry_delay * 4**attempt for attempt in range(settings.ingest_retries)]
    return work.with_options(
        retries=settings.ingest_retries,
        retry_delay_seconds=delays or 0,
        retry_condition_fn=worth_retrying if reads_source else store_was_away,
    )


def store_was_away(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect passes all three
    """Return whether to try again what reads no source: the bucket of the cubes may come back, and what is done is skipped."""
    try:
        state.result()
    except StoreUnreachableError:
        return True
    except Exception:  # noqa: BLE001 - whatever else it is, it stays what it is
        return False
    return False


def worth_retrying(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Return whether to try again: an archive, a store or a network out of reach may come back; other errors stay what they are."""
    try:
        state.result()
    except (AccessError, NoProductError):  # it answers: asking again changes nothing
        return False
    except (SourceError, StoreUnreachableError, ConnectionError, TimeoutError):
        return True
    except CroplineError:
        return False
    except OSError:
        return True
    return False


def batched(ids: Sequence[str], most: int = MOST_TASKS) -> list[Batch]:
    """Divide into at most ``most`` groups of nearly equal size, in order; one item a group where there are few."""
    size = max(1, -(-len(ids) // most))
    return [Batch(tuple(ids[start : start + size])) for start in range(0, len(ids), size)]
