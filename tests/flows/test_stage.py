"""What a stage is given, and when it is tried again: by the settings of its run, in a process with a Prefect of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from flows.stage import batched

SCRIPT = """
import json, pathlib, types
from datetime import UTC, datetime
from prefect import flow
from prefect.runtime import task_run
from prefect.testing.utilities import prefect_test_harness
from catalog.errors import AccessError, SourceError, StoreUnreachableError
from catalog.products import Order
from catalog.storage.store import open_store
from flows.reporting.progress import Several
from flows.request import MapRequest
from flows.run import Run
from flows.run_folder import RunFolder
from flows.settings import Settings
from flows.stage import batch_task, in_batches, stage

calls, same, names, denied, away, busy = [], [], [], [], [], []

class Walked:
    # Prefect looks into arguments for futures; a dictionary that counts its visits shows whether it does.
    visits = 0

class Counting(dict):
    def items(self):
        Walked.visits += 1
        return super().items()
    keys = values = __iter__ = items

@stage("look", waits_for="something", reads_source=True)
def look(run, thing):
    calls.append(task_run.run_count)
    same.append(thing is given)
    if len(calls) < 3:
        raise SourceError("busy")
    return len(thing)

@stage("refused", waits_for="something", reads_source=True)
def refused(run):
    denied.append(1)
    raise AccessError("no")

@stage("blend", waits_for="something")
def blend(run):
    away.append(1)
    if len(away) < 3:
        raise StoreUnreachableError("the bucket is away")

@stage("choose", waits_for="something")
def choose(run):
    busy.append(1)
    raise SourceError("busy")

@batch_task("read")
def read(run, order, thing, batch):
    same.append(thing is given and order is ordered)
    names.append(task_run.name)
    return list(batch.ids)

given = Counting(a=1)
time = datetime(2019, 1, 1, tzinfo=UTC)
ordered = Order(source="stac:x", source_id="x", level="L2A", start=time, end=time, synthetic=True, acquisitions=())
ids = [f"date-{number}" for number in range(5)]
ordered = ordered.model_copy(update={"acquisitions": tuple(types.SimpleNamespace(id=name) for name in ids)})
settings = Settings(store="store", ingest_retries=2, retry_delay=0, workers=2)
store = open_store(settings.store)
run = Run(MapRequest(area=[4, 50, 4.1, 50.1], year=2019), settings, store, RunFolder.of(store, "x"), None, Several())

@flow(persist_result=False)
def whole():
    count = look(run, given)
    try:
        refused(run)
    except AccessError:
        pass
    blend(run)
    try:
        choose(run)
    except SourceError:
        pass
    return count, in_batches(run, read, ordered, given, waits_for="something")

with prefect_test_harness(server_startup_timeout=120):
    count, results = whole()
print(json.dumps({
    "calls": calls, "same": same, "count": count, "visits": Walked.visits, "results": results, "names": sorted(names),
    "denied": len(denied), "away": len(away), "busy": len(busy), "seconds": sorted(run.seconds),
}))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, environment_of: Callable[..., dict[str, str]]) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("stages")
    env = environment_of(folder / "elsewhere", CROPLINE_INGEST_RETRIES="0", PREFECT_LOGGING_LEVEL="CRITICAL")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_attempts_are_those_of_the_run_and_not_of_the_process(outcome: dict[str, Any]) -> None:
    assert outcome["calls"] == [1, 2, 3], "the environment says that nothing is tried again"
    assert outcome["denied"] == 1, "a refusal is not tried again"


def test_what_reads_no_source_is_tried_again_where_the_bucket_of_the_cubes_was_away(outcome: dict[str, Any]) -> None:
    assert outcome["away"] == 3
    assert outcome["busy"] == 1, "and where it wasn't, not"


def test_arguments_reach_a_stage_as_they_are(outcome: dict[str, Any]) -> None:
    assert outcome["same"] == [True] * 8
    assert outcome["count"] == 1
    assert outcome["visits"] == 0, "Prefect doesn't walk through them"


def test_batches_are_named_and_come_back_in_order(outcome: dict[str, Any]) -> None:
    ids = [f"date-{number}" for number in range(5)]
    assert outcome["results"] == ids
    assert outcome["names"] == [f"read {name}" for name in ids]


def test_what_each_stage_took_is_remembered(outcome: dict[str, Any]) -> None:
    assert outcome["seconds"] == ["blend", "look", "read"]


@pytest.mark.parametrize(("count", "most", "groups"), [(0, 4, 0), (3, 4, 3), (4, 4, 4), (5, 4, 3), (1000, 400, 334)])
def test_acquisitions_share_task_runs_beyond_the_limit(count: int, most: int, groups: int) -> None:
    ids = [str(number) for number in range(count)]
    made = batched(ids, most)
    assert len(made) == groups
    assert [name for batch in made for name in batch.ids] == ids


def test_a_batch_is_named_by_its_first_acquisition() -> None:
    single, three = batched(["a"])[0], batched(["a", "b", "c"], most=1)[0]
    assert (str(single), str(three)) == ("a", "a and 2 more")
