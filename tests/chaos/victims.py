"""Victims: the processes of an installation that chaos kills, by what they are."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import psutil

from catalog.storage.store import Store
from flows.prefect_process import processes

SPARED = 2
"""Times that one run may lose its flow (also with the worker that started it), a process of its training, or a Dask worker: with one more
it is rightly given up."""


class Kind(StrEnum):
    """Kind of a victim."""

    FLOW = "flow"
    WORKER = "worker"
    SERVER = "server"
    DASK_WORKER = "Dask worker"
    TORCHRUN_RANK = "torchrun rank"
    READER = "reading process"
    OBJECT_STORE = "object store"


_OF_A_RUN = (Kind.FLOW, Kind.DASK_WORKER, Kind.TORCHRUN_RANK)


class Victims:
    """The processes that may be killed now, and how often each run was hit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hit: Counter[tuple[str, Kind]] = Counter()

    def of(self, kind: Kind) -> list[psutil.Process]:
        """Those of a kind that are there and may be hit."""
        there = [process for process in processes.started_for(self._store) if kind_of(process) is kind]
        if kind is Kind.WORKER:
            flows = [process for process in processes.started_for(self._store) if kind_of(process) is Kind.FLOW]
            return there if all(self._may_be_hit(flow, Kind.FLOW) for flow in flows) else []
        return [process for process in there if self._may_be_hit(process, kind)]

    def kill(self, process: psutil.Process, kind: Kind) -> None:
        """Kill it, without a chance to say anything."""
        hit = [(process, kind)]
        if kind is Kind.WORKER:
            started = processes.started_for(self._store)
            hit += [(flow, Kind.FLOW) for flow in started if kind_of(flow) is Kind.FLOW]
        for one, of in hit:
            self._hit[_run_of(one), of] += 1
        process.kill()

    def _may_be_hit(self, process: psutil.Process, kind: Kind) -> bool:
        return kind not in _OF_A_RUN or self._hit[_run_of(process), kind] < SPARED


def kind_of(process: psutil.Process) -> Kind | None:
    """What a process of an installation is; None of those that aren't killed by themselves."""
    try:
        words, environment = process.cmdline(), process.environ()
    except psutil.Error:
        return None
    for service, kind in (("server", Kind.SERVER), ("worker", Kind.WORKER)):
        if f"flows.prefect_process.{service}" in words:
            return kind
    if "agrunet" in words:
        return Kind.TORCHRUN_RANK if "RANK" in environment else None
    if "processors.engine.reading_process" in words:
        return Kind.READER
    if "prefect.engine" in words:
        return Kind.FLOW
    if any("spawn_main" in word for word in words):
        return Kind.DASK_WORKER
    return None


def _run_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    except psutil.Error:
        return ""
