"""Recovery that needs nobody, with a real server and worker: what is killed is taken up again, what is cancelled leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from installation_kit import Installation, wait_until

from catalog.storage.scratch import PREFIX
from catalog.storage.store import Store
from flows.leftovers import leftovers
from flows.prefect_process import processes
from flows.prefect_process.automations import SILENT
from flows.prefect_process.crashed_runs import AGAIN, MOST
from flows.prefect_process.work_pool import POOL

pytestmark = [pytest.mark.server, pytest.mark.slow]

ENDED = ("COMPLETED", "FAILED", "CANCELLED")


def _store(installation: Installation) -> Store:
    return Store((installation.folder / "store").resolve())


class _Run:
    """A run that was sent, and what its server knows of it."""

    def __init__(self, installation: Installation, deployment: str, parameters: dict[str, Any]) -> None:
        self._ask, self.parameters = installation.ask, parameters
        name = {"deployments": {"name": {"any_": [deployment]}}}
        found = installation.ask("deployments/filter", name)[0]["id"]
        sent = installation.ask(f"deployments/{found}/create_flow_run", {"parameters": parameters})
        self.id, self._which = str(sent["id"]), {"flow_runs": {"id": {"any_": [sent["id"]]}}}

    @property
    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("flow_runs/filter", self._which)[0]
        return found

    @property
    def state(self) -> str:
        return str(self.now["state_type"])

    def cancel(self) -> None:
        self._ask(f"flow_runs/{self.id}/set_state", {"state": {"type": "CANCELLING"}})

    def says(self, *words: str) -> bool:
        """True where one of these was logged; all that the server gives of the newest lines."""
        asked = {"logs": {"flow_run_id": {"any_": [self.id]}}, "sort": "TIMESTAMP_DESC"}
        return any(word in line["message"] for line in self._ask("logs/filter", asked) for word in words)

    def processes(self) -> list[psutil.Process]:
        """Processes that belong to it."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("PREFECT__FLOW_RUN_ID") == self.id and processes.running(process):
                    mine.append(process)
            except psutil.Error:
                continue
        return mine

    def kill(self) -> None:
        """Kill its flow, and nothing that the flow started."""
        flow = min(self.processes(), key=psutil.Process.create_time)
        flow.kill()
        wait_until(lambda: not self.processes(), 30, "what it started ends with it")


def _kill(*killed: psutil.Process) -> None:
    for process in killed:
        process.kill()
    psutil.wait_procs(killed)


@pytest.fixture
def send(installation: Installation) -> Callable[..., _Run]:
    """Sends the quick request into a folder of its own."""
    request = json.loads((installation.folder / "aoi.json").read_text())

    def post(output: str, deployment: str = "request", **more: Any) -> _Run:
        parameters = {**request, "output": str(installation.folder / output), **more}
        if deployment == "ddp":
            parameters = {name: value for name, value in parameters.items() if name not in ("output", "processor")}
        if deployment == "seasonal":
            parameters = {}
        return _Run(installation, deployment, parameters)

    return post


def _up(installation: Installation) -> None:
    done = installation.run("cropline", "up")
    assert done.returncode == 0, done.stderr


def _delivered(installation: Installation, run: _Run) -> None:
    wait_until(lambda: run.state in ENDED, 240, "it ends")
    assert run.state == "COMPLETED", run.now["state"]
    assert (Path(run.parameters["output"]) / "item.json").is_file()


def test_people_come_before_scheduled_work(installation: Installation, send: Callable[..., _Run]) -> None:
    """Whatever was sent first, while there is one place."""
    _kill(*processes.services_of(_store(installation), "worker"))
    scheduled, request = send("x", "seasonal"), send("first")
    for run in (scheduled, request):
        wait_until(lambda run=run: run.state == "SCHEDULED", 30, "it waits")
    time.sleep(1)
    due = {"scheduled_before": "2100-01-01T00:00:00Z"}
    waiting = installation.ask(f"work_pools/{POOL}/get_scheduled_flow_runs", due)
    names = [item["flow_run"]["id"] for item in waiting if item["flow_run"]["id"] in (scheduled.id, request.id)]
    assert names == [request.id, scheduled.id]
    _up(installation)
    wait_until(lambda: request.state in ENDED and scheduled.state in ENDED, 240, "both end")


@pytest.mark.parametrize("silent", [False, True], ids=["the worker comes back", "nobody is there for minutes"])
def test_a_run_goes_on_after_its_worker_and_its_flow_were_killed(
    silent: bool, installation: Installation, send: Callable[..., _Run]
) -> None:
    run = send(f"worker-{silent}")
    wait_until(lambda: run.says("order: "), 120, "it begins")
    _kill(*processes.services_of(_store(installation), "worker"), *run.processes())
    assert run.state == "RUNNING", "nobody is there to tell"
    if silent:
        wait_until(lambda: run.state == "CRASHED", 240, "the automation notices")
        assert run.now["state_name"] == SILENT
    assert "worker   not running" in installation.run("cropline", "status").stdout
    _up(installation)
    _delivered(installation, run)


def test_a_run_goes_on_after_the_machine_went_down(installation: Installation, send: Callable[..., _Run]) -> None:
    run = send("machine")
    wait_until(lambda: run.says("order: "), 120, "it begins")
    store = _store(installation)
    _kill(*processes.started_for(store))
    old = time.time() - 120
    for path in [*store.root.rglob("*"), *Path(tempfile.gettempdir()).glob(f"{PREFIX}worker-*")]:
        os.utime(path, (old, old))
    _up(installation)
    assert leftovers(store) == []
    _delivered(installation, run)


def test_a_request_that_always_crashes_fails_and_says_why(
    installation: Installation, send: Callable[..., _Run]
) -> None:
    run = send("never")
    for _ in range(MOST):
        wait_until(lambda: run.state == "RUNNING" and run.processes(), 180, "it runs")
        run.kill()
        wait_until(lambda: run.state != "RUNNING", 60, "the worker notices")
    wait_until(lambda: run.state in ENDED, 60, "it is given up")
    assert run.state == "FAILED"
    message = run.now["state"]["message"]
    assert message.startswith(f"Its process ended {MOST} times before the run did")
    assert "-9" in message
    assert "send the request again" in message
    states = installation.ask(f"flow_run_states/?flow_run_id={run.id}", None)
    assert [state["name"] for state in states].count(AGAIN) == MOST - 1
    _delivered(installation, send("never"))


@pytest.mark.parametrize(
    ("at", "deployment", "more"),
    [
        ("order: ", "request", {}),
        ("ingest: ", "request", {}),
        ("patches: ", "request", {"processor": "crop-map"}),
        ("patches: ", "ddp", {"processes": 2}),
    ],
    ids=["reading", "masking", "training", "training under torchrun"],
)
def test_a_cancelled_run_leaves_nothing_behind(
    at: str,
    deployment: str,
    more: dict[str, Any],
    mission_archive: Any,
    installation: Installation,
    send: Callable[..., _Run],
) -> None:
    store = _store(installation)
    if at == "patches: ":
        labels = {"labels": str(mission_archive.labels), "legend": str(mission_archive.legend), "training": "quick"}
        more = {**more, **labels}
    more["min_clear"] = 0.5 + 1e-6 * (1 + len(at) + len(deployment))  # a request of its own
    run = send(f"cancelled-{len(more)}-{at[:4]}", deployment, **more)
    wait_until(lambda: run.says(at), 240, "it comes so far")
    if at == "patches: ":
        wait_until(lambda: any("agrunet" in process.cmdline() for process in run.processes()), 60, "it trains")
        time.sleep(5)
    run.cancel()
    wait_until(lambda: run.state in ENDED, 90, "it ends")
    assert run.state == "CANCELLED"
    wait_until(lambda: not run.processes(), 5, "no process is left")
    wait_until(lambda: len(processes.started_for(store)) == 2, 30, "but for server and worker")
    (worker,) = processes.services_of(store, "worker")
    (scratch,) = (path for path in _open_folders(worker) if path.name.startswith(f"{PREFIX}worker-"))
    # The worker has a folder of its own there.
    wait_until(lambda: [path.name for path in scratch.iterdir()] in ([], ["runner_storage"]), 30, "temporary files go")
    assert not [path for path in store.root.rglob(".*") if re.fullmatch(r"\..+-[0-9a-f]{8}(\.old)?", path.name)]
    for lock in store.runs.glob("*/.lock"):
        with FileLock(lock, timeout=0):
            pass
    assert not [path for path in store.root.glob("cubes/*/*/*.claims/*") if path.is_dir()], "no slab is half written"
    claims = [json.loads(path.read_text()) for path in store.root.glob("cubes/*/*/*.claims/[0-9]*.lock")]
    assert not [claim for claim in claims if claim["owner"]], "nor does anybody hold a date"
    if at != "patches: ":  # a training takes minutes
        _delivered(installation, send(f"cancelled-{len(more)}-{at[:4]}", deployment, **more))


def _open_folders(process: psutil.Process) -> list[Path]:
    """What a process has open, among it the folder of its temporary files."""
    return [handle.readlink() for handle in Path(f"/proc/{process.pid}/fd").iterdir()]
