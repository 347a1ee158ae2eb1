"""Processes are told apart by how they were started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import victims
from victims import Kind, Victims, kind_of

from catalog.storage.store import Store


class _Process:
    def __init__(self, words: str, environment: dict[str, str]) -> None:
        self._words, self._environment = words.split(), environment

    def cmdline(self) -> list[str]:
        return self._words

    def environ(self) -> dict[str, str]:
        return self._environment


@pytest.mark.parametrize(
    ("words", "environment", "kind"),
    [
        ("python -m flows.prefect_process.server server start --port 1", {}, Kind.SERVER),
        ("python -m flows.prefect_process.worker worker start --pool cropline", {}, Kind.WORKER),
        ("python -m prefect.engine", {"PREFECT__FLOW_RUN_ID": "1"}, Kind.FLOW),
        ("python -B -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)", {}, Kind.DASK_WORKER),
        ("python -B -c from multiprocessing.resource_tracker import main;main(4)", {}, None),
        ("python -u -m agrunet train --data patches", {"RANK": "1"}, Kind.TORCHRUN_RANK),
        ("python -m agrunet train --data patches", {}, None),
        ("python -m torch.distributed.run --standalone -m agrunet train", {}, None),
        ("python -P -m processors.engine.reading_process 1 2", {}, Kind.READER),
        ("python -m pytest", {}, None),
    ],
)
def test_each_process_is_known(words: str, environment: dict[str, str], kind: Kind | None) -> None:
    process: Any = _Process(words, environment)
    assert kind_of(process) is kind


class _Listed(_Process):
    killed = False

    def kill(self) -> None:
        self.killed = True


def test_a_worker_takes_its_flows_along_and_is_spared_for_those_hit_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker: Any = _Listed("python -m flows.prefect_process.worker worker start", {})
    flow: Any = _Listed("python -m prefect.engine", {"PREFECT__FLOW_RUN_ID": "1"})
    monkeypatch.setattr(victims.processes, "started_for", lambda _: [worker, flow])
    chosen = Victims(Store(tmp_path))
    for kind in (Kind.WORKER, Kind.FLOW):
        (process,) = chosen.of(kind)
        chosen.kill(process, kind)
    assert worker.killed
    assert flow.killed
    assert chosen.of(Kind.WORKER) == chosen.of(Kind.FLOW) == []
