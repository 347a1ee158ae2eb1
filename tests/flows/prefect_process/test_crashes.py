"""What became of services that crash: runs go on without their server, and `up` and `down` put everything right."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from installation_kit import Installation, wait_until

from catalog.storage.store import Store
from flows.prefect_process import processes
from flows.prefect_process.server_file import Services

pytestmark = pytest.mark.server


def _store(installation: Installation) -> Store:
    return Store((installation.folder / "store").resolve())


def _crash(installation: Installation, *names: processes.Service) -> None:
    for name in names:
        for process in processes.services_of(_store(installation), name):
            process.kill()
            psutil.wait_procs([process])


def _counts(installation: Installation) -> tuple[int, int]:
    store = _store(installation)
    return len(processes.services_of(store, "server")), len(processes.services_of(store, "worker"))


def _run(installation: Installation) -> Any:
    """The run that was sent last."""
    asked = {"deployments": {"name": {"any_": ["request"]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    return installation.ask("flow_runs/filter", asked)[0]


def _messages(installation: Installation) -> list[str]:
    """What it logged."""
    asked = {"logs": {"flow_run_id": {"any_": [_run(installation)["id"]]}}}
    return [entry["message"] for entry in installation.ask("logs/filter", asked)]


def _up(installation: Installation) -> Services:
    done = installation.run("cropline", "up")
    assert done.returncode == 0, done.stderr
    assert _counts(installation) == (1, 1)
    return installation.services


def test_a_run_outlives_its_server_and_tells_it_later(installation: Installation) -> None:
    server, output = installation.services, installation.folder / "away"
    request = {**json.loads((installation.folder / "aoi.json").read_text()), "output": str(output)}
    (installation.folder / "away.json").write_text(json.dumps(request))
    sent = installation.run("prefect", "deployment", "run", "crop-map/request", "--params", "away.json")
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: any("order: " in message for message in _messages(installation)), 90, "the run begins")
    _crash(installation, "server")
    assert not output.exists(), "in the middle of the work"
    wait_until(lambda: (output / "item.json").is_file(), 120, "the delivery, without a server")
    time.sleep(3)
    assert _counts(installation) == (0, 1)
    again = _up(installation)
    assert (again.api, again.worker) == (server.api, server.worker), (
        "where the run looks for it; and its worker lives on"
    )
    final = ("COMPLETED", "FAILED", "CRASHED")
    wait_until(lambda: _run(installation)["state_type"] in final, 180, "the server hears of the run's end")
    assert _run(installation)["state_type"] == "COMPLETED"
    mine = {"flow_runs": {"id": {"any_": [_run(installation)["id"]]}}}
    artifacts = {item["key"]: item for item in installation.ask("artifacts/filter", mine) if item["key"]}
    assert {"progress", "acquisitions", "map", "delivery"} <= set(artifacts)
    assert artifacts["progress"]["data"] == 100
    wait_until(lambda: any("answers again" in message for message in _messages(installation)), 30, "its logs")
    assert any("The run goes on; it is told later." in message for message in _messages(installation))
    assert any("deliver: " in message for message in _messages(installation)), "what was logged while nobody listened"


@pytest.mark.parametrize("dead", [("server",), ("worker",), ("server", "worker"), ()], ids="-".join)
def test_up_puts_right_what_crashed(dead: tuple[processes.Service, ...], installation: Installation) -> None:
    before = _up(installation) if _counts(installation) != (1, 1) else installation.services
    _crash(installation, *dead)
    after = _up(installation)
    assert after.api == before.api
    assert (after.server == before.server) == ("server" not in dead)
    assert (after.worker == before.worker) == ("worker" not in dead)


def test_up_finds_what_its_note_does_not_know(installation: Installation) -> None:
    before = installation.services
    (installation.folder / "store" / "prefect" / "server.json").unlink()
    assert _up(installation) == before


@pytest.mark.parametrize("dead", [("server",), ("worker",)], ids="-".join)
def test_down_leaves_nothing_whatever_crashed(
    dead: tuple[processes.Service, ...],
    installation: Installation,
    processes_of: Callable[[Path], list[list[str]]],
) -> None:
    if _counts(installation) != (1, 1):
        _up(installation)
    _crash(installation, *dead)
    assert installation.run("cropline", "down").stdout == "Stopped.\n"
    assert processes_of(installation.folder / "store") == []
    assert installation.run("cropline", "down").stdout == "Nothing was running.\n"


def test_logs_of_crashed_services_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for start in range(8):
        processes.rotate(log)
        log.write_text(f"start {start}")
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert kept == {"server.log": "start 7"} | {f"server.{number}.log": f"start {7 - number}" for number in range(1, 6)}
