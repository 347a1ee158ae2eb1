"""Metrics of an installation, read when they are asked for: from its server, its store and this machine.

The server knows the runs, the store what runs did (`flows.totals`): neither is counted a second time here. Labels are queues, states,
stages, kinds of sources, processors and GPUs, all of which are few; no label names a request or a run.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from catalog.storage.store import Store
from flows.checks import nearest_there
from flows.prefect_process.api import Api
from flows.prefect_process.work_pool import POOL, workers_online
from flows.totals import Counted, read_totals
from processors.engine.gpu_load import gpu_loads

STATES = (
    "scheduled", "pending", "running", "completed", "failed", "crashed", "cancelled", "cancelling", "paused",
)  # fmt: skip
"""Prefect's types of states. Scheduled runs are those that are due: what waits for its time isn't there yet."""

_BEFORE_ALL = datetime(2015, 1, 1, tzinfo=UTC)

_COUNTERS: dict[Counted, str] = {
    "acquisitions_read": "Acquisitions whose pixels were read into the cube.",
    "acquisitions_unread": "Attempts at acquisitions of which nothing could be read.",
    "cells_written": "Dates of cells that were written.",
    "cells_masked": "Dates of cells whose clouds were masked.",
    "read_bytes": "Bytes of pixels decoded from products; what travelled over a network is packed, and less.",
    "stored_bytes": "Bytes written into cells, packed.",
}
"""What is counted by kind of source."""


class Metrics(Collector):
    """The metrics of a server, a store and this machine."""

    def __init__(self, store: Store, api: Api | None) -> None:
        """``api``: of the server; None leaves its runs out."""
        self._store, self._api = store, api

    def collect(self) -> Iterator[Metric]:
        """Ask and read everything. Raises `CroplineError` where the server or the store can't be read."""
        versions = {"version": version("cropline"), "prefect": version("prefect")}
        yield InfoMetricFamily("cropline", "What is installed.", versions)
        if self._api is not None:
            yield from _of_server(self._api)
        yield from _of_store(self._store)
        yield from _of_disks(self._store)
        yield from _of_gpus()


def exposition(store: Store, api: Api | None) -> bytes:
    """The metrics in Prometheus' text format. Raises as `Metrics.collect` does."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics(store, api))
    return generate_latest(registry)


def _of_server(api: Api) -> Iterator[Metric]:
    now = datetime.now(UTC)
    runs = GaugeMetricFamily("cropline_runs", "Runs that the server knows.", labels=("queue", "state"))
    age = GaugeMetricFamily(
        "cropline_queue_age_seconds",
        "Time that the oldest run has been waiting; 0 where none waits.",
        labels=("queue",),
    )
    longest = GaugeMetricFamily(
        "cropline_longest_run_seconds",
        "Time that the oldest run has been running; 0 where none runs.",
        labels=("queue",),
    )
    for queue in sorted(str(known["name"]) for known in api.ask(f"work_pools/{POOL}/queues/filter", {}) or []):
        counts = _counts(api, queue, now)
        for state in STATES:
            runs.add_metric((queue, state), counts[state])
        waits = counts["scheduled"] + counts["pending"] > 0
        due = {"expected_start_time": {"before_": now.isoformat()}}
        age.add_metric(
            (queue,), _age(api, queue, ("SCHEDULED", "PENDING"), "expected_start_time", due, now) if waits else 0
        )
        longest.add_metric((queue,), _age(api, queue, ("RUNNING",), "start_time", {}, now) if counts["running"] else 0)
    yield from (runs, age, longest)
    online = len(workers_online(api))
    yield GaugeMetricFamily("cropline_workers_online", "Workers that the server heard of lately.", online)


def _counts(api: Api, queue: str, now: datetime) -> Counter[str]:
    """Runs of a queue that are due by now, by state."""
    asked = {
        "history_start": _BEFORE_ALL.isoformat(),
        "history_end": now.isoformat(),
        "history_interval_seconds": (now - _BEFORE_ALL).total_seconds(),  # one interval: all of it
        **_queue(queue, called="work_queues"),
    }
    counts: Counter[str] = Counter()
    for interval in api.ask("flow_runs/history", asked) or []:
        for state in interval["states"]:
            counts[str(state["state_type"]).lower()] += int(state["count_runs"])
    return counts


def _age(api: Api, queue: str, states: tuple[str, ...], since: str, which: dict[str, Any], now: datetime) -> float:
    """Seconds since a time of the run of which it is longest ago; 0 where it ended meanwhile."""
    asked = {
        "flow_runs": {"state": {"type": {"any_": states}}, **which},
        "sort": f"{since.upper()}_ASC",
        "limit": 1,
        **_queue(queue),
    }
    first = next(iter(api.ask("flow_runs/filter", asked) or []), None)
    if first is None or first[since] is None:
        return 0.0
    return max(timedelta(0), now - datetime.fromisoformat(first[since])).total_seconds()


def _queue(name: str, called: str = "work_pool_queues") -> dict[str, Any]:
    """Filters for the runs of one queue of the pool, as most of the API calls them."""
    return {"work_pools": {"name": {"any_": [POOL]}}, called: {"name": {"any_": [name]}}}


def _of_store(store: Store) -> Iterator[Metric]:
    counts = read_totals(store).counts
    for counted, text in _COUNTERS.items():
        counter = CounterMetricFamily(f"cropline_{counted}", text, labels=("source",))
        for kind, amount in sorted(counts.get(counted, {}).items()):
            counter.add_metric((kind,), amount)
        yield counter
    stages = SummaryMetricFamily("cropline_stage_seconds", "Stages that ended well, and their time.", labels=("stage",))
    for stage, number in sorted(counts.get("stages", {}).items()):
        stages.add_metric((stage,), int(number), counts["stage_seconds"][stage])
    yield stages
    deliveries = CounterMetricFamily("cropline_deliveries", "Maps that were delivered.", labels=("processor",))
    for processor, number in sorted(counts.get("deliveries", {}).items()):
        deliveries.add_metric((processor,), number)
    yield deliveries


def _of_disks(store: Store) -> Iterator[Metric]:
    free = GaugeMetricFamily("cropline_disk_free_bytes", "Bytes that are free.", labels=("place",))
    size = GaugeMetricFamily("cropline_disk_size_bytes", "Bytes that the disk holds.", labels=("place",))
    places = {"store": store.root}
    if isinstance(store.cubes, Path):  # a bucket has no end
        places["cubes"] = store.cubes
    for place, path in places.items():
        usage = shutil.disk_usage(nearest_there(path))
        free.add_metric((place,), usage.free)
        size.add_metric((place,), usage.total)
    yield from (free, size)


def _of_gpus() -> Iterator[Metric]:
    """Nothing where there is no GPU: none isn't one that is idle."""
    loads = gpu_loads()
    if not loads:
        return
    busy = GaugeMetricFamily("cropline_gpu_busy_ratio", "Share of its time that a GPU worked, 0 to 1.", labels=("gpu",))
    used = GaugeMetricFamily("cropline_gpu_memory_used_bytes", "Memory of a GPU that is taken.", labels=("gpu",))
    memory = GaugeMetricFamily("cropline_gpu_memory_bytes", "Memory of a GPU.", labels=("gpu",))
    for load in loads:
        if load.busy is not None:
            busy.add_metric((load.name,), load.busy)
        used.add_metric((load.name,), load.memory_used)
        memory.add_metric((load.name,), load.memory)
    yield from (busy, used, memory)
