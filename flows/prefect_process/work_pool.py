"""The work pools: what a run may say about how it is started, which is nothing, how many run at once, and which come first.

Requests of people are in one queue, scheduled work in another: it waits for theirs, and never takes the last place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from flows.own_server import OWN_PLACE
from flows.prefect_process.api import Api, ServiceError
from processors.engine.machine import cores

POOL = OWN_PLACE

INTERACTIVE, SCHEDULED = "interactive", "scheduled"
"""Queues of the pool, the first one first; each deployment in prefect.yaml names its own."""

TEMPLATE: dict[str, Any] = {
    "job_configuration": {"stream_output": True},  # Prefect wants something in it; this is its own default
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}
"""The pool's base job template: no command, folder, name or environment comes from a deployment or a run.

The server refuses what isn't among the properties; what it doesn't check, as in a run without a deployment, goes nowhere, since the
configuration has no place for it. Prefect would merge a run's ``env`` into one of the configuration, so there is no such key. The
settings of a run are the worker's environment.
"""

_RUNS = "cropline_runs"
"""The server's variable that says how many runs each worker of the own pool has at once; those of others have the pool's name behind it."""

_ABSENT = timedelta(days=1)
"""Time after which a worker that nobody hears of is not counted on any more."""

MEMORY_OF_A_RUN = 4_000_000_000
"""Bytes that a run should find: training and inference take most."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files in which the system tells a container how much it may take."""


def usual_runs() -> int:
    """Runs that this machine has at once: one per core, and no more than find their memory; at least one."""
    return max(1, min(cores(), memory() // MEMORY_OF_A_RUN))


def memory() -> int:
    """Bytes of memory that this process and its children may use."""
    limits = [int(psutil.virtual_memory().total)]
    for file in _LIMITS:
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(limits)


def put_right(api: Api, worker: str, runs: int) -> None:
    """Make the pool as it should be, whatever it was before, for a worker that has so many runs at once.

    Raises `ServiceError` where the server refuses.
    """
    runs = _runs_of_all(api, worker, runs)
    wanted: dict[str, Any] = {"base_job_template": TEMPLATE, "concurrency_limit": runs}
    pool = api.ask(f"work_pools/{POOL}")
    if pool is None:
        api.ask("work_pools/", {"name": POOL, "type": "process", **wanted})
    elif any(pool.get(name) != value for name, value in wanted.items()):
        api.ask(f"work_pools/{POOL}", wanted, method="PATCH")
    _put_queues_right(api, runs)


def put_place_right(api: Api, pool: str) -> None:
    """Make the pool of another place as it should be; how many runs it has at once is its workers' business. Raises `ServiceError`."""
    there = api.ask(f"work_pools/{pool}")
    if there is None:
        api.ask("work_pools/", {"name": pool, "type": "process", "base_job_template": TEMPLATE})
    elif there.get("base_job_template") != TEMPLATE:
        api.ask(f"work_pools/{pool}", {"base_job_template": TEMPLATE}, method="PATCH")
    _put_queue_right(api, pool, INTERACTIVE, {"priority": 1, "concurrency_limit": None, "is_paused": False})


def put_runs_right(api: Api, worker: str, runs: int, pool: str = POOL) -> None:
    """Let a pool have as many runs at once as all its workers do, this one among them. Raises `ServiceError`."""
    runs = _runs_of_all(api, worker, runs, pool)
    api.ask(f"work_pools/{pool}", {"concurrency_limit": runs}, method="PATCH")
    if pool == POOL:
        _put_queues_right(api, runs)


def _runs_of_all(api: Api, worker: str, runs: int, pool: str = POOL) -> int:
    """Runs that all workers have at once together: those of before that were heard of within a day, and this one.

    Who carries how much stands in a variable of the server's; what is no number there is not counted.
    """
    variable = _RUNS if pool == POOL else f"{_RUNS}_{pool}".replace("-", "_")
    known = api.ask(f"variables/name/{variable}")
    before = (known or {}).get("value")
    heard = {
        str(other["name"])
        for other in api.ask(f"work_pools/{pool}/workers/filter", {}) or []
        if datetime.fromisoformat(other["last_heartbeat_time"]) > datetime.now(UTC) - _ABSENT
    }
    carried = {
        name: count
        for name, count in (before.items() if isinstance(before, dict) else ())
        if name in heard and isinstance(count, int)
    }
    carried[worker] = runs
    if known is None:
        api.ask("variables/", {"name": variable, "value": carried})
    elif before != carried:
        api.ask(f"variables/name/{variable}", {"value": carried}, method="PATCH")
    return sum(carried.values())


def _put_queues_right(api: Api, runs: int) -> None:
    # Where one run is all that the machine carries, there is no place to keep free: people wait for the end of what was scheduled.
    limits = {INTERACTIVE: None, SCHEDULED: max(1, runs - 1)}
    for priority, (queue, limit) in enumerate(limits.items(), start=1):
        _put_queue_right(api, POOL, queue, {"priority": priority, "concurrency_limit": limit, "is_paused": False})


@contextmanager
def paused(api: Api) -> Iterator[None]:
    """A block in which no run is started: requests wait in the queues. What goes on goes on. Raises `ServiceError`."""
    try:
        for queue in (INTERACTIVE, SCHEDULED):
            _put_queue_right(api, POOL, queue, {"is_paused": True})
        yield
    finally:
        try:
            _free(api)
        except ServiceError:  # once more: no run would ever be started again
            _free(api)
        except BaseException:  # an interrupt
            _free(api)
            raise


def _free(api: Api) -> None:
    try:
        for queue in (INTERACTIVE, SCHEDULED):
            _put_queue_right(api, POOL, queue, {"is_paused": False})
    except ServiceError as error:
        raise ServiceError(
            f"the queues are still paused, and no run is started: {error}. `cropline up` frees them."
        ) from error


def paused_queues(api: Api) -> list[str]:
    """Names of the pool's queues of which no run is started. Raises `ServiceError`."""
    found = {name: api.ask(f"work_pools/{POOL}/queues/{name}") for name in (INTERACTIVE, SCHEDULED)}
    return [name for name, queue in found.items() if queue is not None and queue.get("is_paused")]


def under_way(api: Api) -> list[str]:
    """Names of the pool's runs that have begun, or are being started, on any machine. Raises `ServiceError`."""
    begun = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}
    wanted = {"flow_runs": {"state": begun}, "work_pools": {"name": {"any_": [POOL]}}}
    return [str(run["name"]) for run in api.ask("flow_runs/filter", wanted) or []]


def workers_online(api: Api, since: datetime | None = None, pool: str = POOL) -> set[str]:
    """Names of the workers of a pool that the server heard of lately, or ``since`` a time. Raises `ServiceError` without an answer."""
    return {
        str(worker["name"])
        for worker in api.ask(f"work_pools/{pool}/workers/filter", {}) or []
        if worker["status"] == "ONLINE"
        and (since is None or datetime.fromisoformat(worker["last_heartbeat_time"]) >= since)
    }


def _put_queue_right(api: Api, pool: str, name: str, wanted: dict[str, Any]) -> None:
    queue = api.ask(f"work_pools/{pool}/queues/{name}")
    if queue is None:
        api.ask(f"work_pools/{pool}/queues", {"name": name, **wanted})
    elif any(queue.get(key) != value for key, value in wanted.items()):
        api.ask(f"work_pools/{pool}/queues/{name}", wanted, method="PATCH")
