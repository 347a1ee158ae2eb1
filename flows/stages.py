"""The stages as Prefect tasks: paths and JSON in, paths and JSON out, the work itself in `processors`.

No result is cached by Prefect: each stage looks at its own outputs in the store and skips what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import task_run
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from catalog.errors import (
    AccessError,
    CroplineError,
    NotEnoughAcquisitionsError,
    SourceError,
    StoreUnreachableError,
)
from catalog.grid import Cell
from catalog.order import make_order
from catalog.products import LeftOut, Order
from catalog.sources.registry import open_source
from catalog.storage.whole import write_json
from flows.credentials import load_credentials
from flows.request import MapRequest
from flows.run import ENGINE, Advance, Run, Zone
from flows.settings import load_settings, store_at
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition
from processors.mask.acquisition import MaskResult, mask_acquisition
from processors.mask.options import MaskOptions
from processors.season import Season, choose_season

MOST_TASKS = 400
"""Task runs of one stage at most; more acquisitions share task runs. Prefect's SQLite loses events beyond a few thousand."""

_SETTINGS = load_settings()

_RETRY_DELAYS = [_SETTINGS.retry_delay * 4**attempt for attempt in range(_SETTINGS.ingest_retries)] or 0
"""Pauses before the next attempts at what reads a source, s."""


def worth_retrying(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect passes all three
    """A source or an object store that can't be reached may come back, and so may a network; other errors stay what they are."""
    try:
        state.result()
    except AccessError:
        return False
    except (SourceError, StoreUnreachableError, ConnectionError, TimeoutError):
        return True
    except CroplineError:
        return False
    except OSError:
        return True
    return False


def several_threads() -> TaskRunner[PrefectFuture[Any]]:
    """Runs as many tasks at once as the settings say."""
    runner: Any = ThreadPoolTaskRunner(max_workers=_SETTINGS.workers)  # Prefect's own types don't fit each other
    return cast("TaskRunner[PrefectFuture[Any]]", runner)


def read_order(file: Path) -> Order:
    """The order that a run made."""
    return Order.model_validate_json(file.read_text(encoding="utf-8"))


def read_season(file: Path) -> Season:
    """The season that a run chose."""
    return Season.model_validate_json(file.read_text(encoding="utf-8"))


@task(
    name="order",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=_SETTINGS.ingest_retries,
    retry_delay_seconds=_RETRY_DELAYS,
    retry_condition_fn=worth_retrying,
)
def order(request_file: Path, order_file: Path) -> int:
    """Search the source and write down what is taken and why. Returns the number of acquisitions."""
    request = MapRequest.model_validate_json(request_file.read_text(encoding="utf-8"))
    source = open_source(str(request.source), load_credentials())
    made = make_order(source, request.polygon, request.year, request.season, request.level, request.max_cloud)
    write_json(order_file, made.model_dump(mode="json"))
    return len(made.acquisitions)


@task(name="extend", cache_policy=NO_CACHE, persist_result=False)
def extend(store: str, order_file: Path, cells: Sequence[str]) -> list[str]:
    """Extend the time axes of the cells. Returns those that have any date."""
    extended = ENGINE.get().run(extend_cells, store_at(store), read_order(order_file), _cells(cells))
    return [cell.name for cell in extended]


@task(
    name="ingest",
    task_run_name="ingest {label}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=_SETTINGS.ingest_retries,
    retry_delay_seconds=_RETRY_DELAYS,
    retry_condition_fn=worth_retrying,
)
def ingest(
    store: str,
    order_file: Path,
    acquisitions: Sequence[str],
    cells: Sequence[str],
    label: str,  # noqa: ARG001 - names the run
) -> list[dict[str, Any]]:
    """Read acquisitions into their cells. Returns what each wrote, skipped and dropped.

    While attempts are left, what is not reachable now is a failure: the next attempt reads what this one could not, and the last one
    goes on without.
    """
    made, engine = read_order(order_file), ENGINE.get()
    results: list[IngestResult] = [
        engine.run(
            ingest_acquisition, store_at(store), made, acquisition, _cells(cells), made.source, load_credentials()
        )
        for acquisition in acquisitions
    ]
    passing = [left for result in results for left in result.dropped if left.passing]
    if passing and 0 < task_run.run_count <= _SETTINGS.ingest_retries:
        raise SourceError(f"{_first(passing)} It is tried again.")
    return [result.model_dump(mode="json") for result in results]


@task(name="mask", task_run_name="mask {label}", cache_policy=NO_CACHE, persist_result=False)
def mask(
    store: str,
    order_file: Path,
    options: dict[str, Any],
    acquisitions: Sequence[str],
    cells: Sequence[str],
    label: str,  # noqa: ARG001 - names the run
) -> list[dict[str, Any]]:
    """Say where acquisitions are clear. Returns what became of each."""
    made, engine = read_order(order_file), ENGINE.get()
    told = MaskOptions.model_validate(options)
    results: list[MaskResult] = [
        engine.run(mask_acquisition, store_at(store), made, acquisition, _cells(cells), told)
        for acquisition in acquisitions
    ]
    return [result.model_dump(mode="json") for result in results]


@task(name="season", cache_policy=NO_CACHE, persist_result=False)
def season(request_file: Path, order_file: Path, season_file: Path, store: str) -> int:
    """Choose the acquisitions that are clear enough over the area. Returns how many."""
    request = MapRequest.model_validate_json(request_file.read_text(encoding="utf-8"))
    zone = Zone.of(request.polygon)
    chosen = ENGINE.get().run(
        choose_season,
        store_at(store),
        read_order(order_file),
        zone.area,
        zone.epsg,
        request.min_clear,
        request.min_acquisitions,
    )
    write_json(season_file, chosen.model_dump(mode="json"))
    return len(chosen.used)


def prepare(run: Run) -> tuple[Order, Season, list[LeftOut]]:
    """From the request to the season: what maps and training have in common.

    Returns the order, the season, and what turned out to be unusable.
    """
    with run.stage("order", "the source's catalogue") as stage:
        count = order(run.request_file, run.order_file)
        stage.outcome = f"{count} acquisitions"
    made = read_order(run.order_file)
    store, cells = str(run.store.root), [cell.name for cell in run.zone.cells]
    with run.stage("extend", "the cells' time axes") as stage:
        cells = extend(store, run.order_file, cells)
        stage.outcome = f"{len(cells)} cells"
    batches = batched([acquisition.id for acquisition in made.acquisitions])
    results = _each(run, "ingest", "pixels from the source", ingest, batches, (store, run.order_file), cells)
    ingested = [IngestResult.model_validate(result) for result in results]
    run.reached.update({result.acquisition: result.done for result in ingested})
    refuse_nothing(ingested, made.source)
    dropped = [left for result in ingested for left in result.dropped]
    options = run.settings.mask.model_dump(mode="json")
    results = _each(run, "mask", "cloud masks", mask, batches, (store, run.order_file, options), cells)
    dropped += [left for result in results for left in MaskResult.model_validate(result).dropped]
    with run.stage("season", "clear fractions over the area") as stage:
        try:
            used = season(run.request_file, run.order_file, run.season_file, store)
        except NotEnoughAcquisitionsError as error:
            raise with_reasons(error, dropped) from None
        stage.outcome = f"{used} of {len(made.acquisitions)} acquisitions are clear enough"
    return made, read_season(run.season_file), dropped


def refuse_nothing(results: Sequence[IngestResult], source: str) -> None:
    """Raises `AccessError` or `SourceError` where the network left nothing at all of a source."""
    if any(result.written or result.skipped for result in results):
        return
    dropped = [left for result in results for left in result.dropped]
    if dropped and all(left.denied for left in dropped):
        raise AccessError(f"source {source}: nothing of it may be read. {_first(dropped)}")
    if dropped and all(left.denied or left.passing for left in dropped):
        raise SourceError(f"source {source}: nothing of it can be reached. {_first(dropped)} Try again later.")


def with_reasons(error: NotEnoughAcquisitionsError, dropped: Sequence[LeftOut]) -> NotEnoughAcquisitionsError:
    """The error with what could not be read, which may be why too little is left."""
    return NotEnoughAcquisitionsError(f"{error}\nNot all could be read: {_first(dropped)}") if dropped else error


def _first(left: Sequence[LeftOut]) -> str:
    """What was left out, by its first example."""
    rest = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"{left[0].product}{rest}: {left[0].reason.rstrip('.')}."


def batched(ids: Sequence[str], most: int = MOST_TASKS) -> list[list[str]]:
    """At most ``most`` groups of nearly equal size, in order; one each where there are few."""
    size = max(1, -(-len(ids) // most))
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]


def _each(
    run: Run,
    name: str,
    waits_for: str,
    work: Task[Any, list[dict[str, Any]]],
    batches: Sequence[Sequence[str]],
    given: tuple[Any, ...],
    cells: list[str],
) -> list[dict[str, Any]]:
    """One task run per batch, several at once; what they return, in the order of the acquisitions."""
    with run.stage(name, waits_for, total=sum(len(batch) for batch in batches)) as stage:
        futures = [work.submit(*given, batch, cells, label=_label(batch)) for batch in batches]
        sizes = dict(zip(futures, (len(batch) for batch in batches), strict=True))
        _follow(futures, sizes, stage.advance)
        results = [result for future in futures for result in future.result()]
        stage.outcome = f"{len(results)} acquisitions"
    return results


def _follow(
    futures: list[PrefectFuture[Any]],
    sizes: dict[PrefectFuture[Any], int],
    advance: Advance,
) -> None:
    done = 0
    for future in as_completed(futures):
        future.result()  # raises here, so that a failure shows while the others still run
        done += sizes[future]
        advance(done, None)


def _label(batch: Sequence[str]) -> str:
    return batch[0] if len(batch) == 1 else f"{batch[0]} and {len(batch) - 1} more"


def _cells(names: Sequence[str]) -> list[Cell]:
    return [Cell.from_name(name) for name in names]
