"""Which runs are taken up again, how often, and which never; against a server that remembers what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.prefect_process.api import Api
from flows.prefect_process.automations import SILENT
from flows.prefect_process.crashed_runs import AGAIN, MOST, MOST_STARTS, CrashedRuns

_said: list[str] = []

HERE, ELSEWHERE = "here-1", "elsewhere-1"
"""Names of workers: the one that looks, and another one's."""


class _Server(Api):
    """The answers of a server that has one run."""

    def __init__(self, state: str, age: timedelta = timedelta(), **run: Any) -> None:
        super().__init__("http://nowhere/api", None)
        now = datetime.now(UTC)
        self.states: list[dict[str, Any]]
        self.run: dict[str, Any]
        self.online: set[str]
        object.__setattr__(self, "states", [{"type": "SCHEDULED", "name": "Scheduled"}])
        object.__setattr__(self, "online", {HERE})
        given = {
            "id": "the-run",
            "name": "a map",
            "deployment_id": "d",
            "expected_start_time": now.isoformat(),
            "labels": {"prefect.worker.name": HERE},
            **run,
        }
        object.__setattr__(self, "run", given)
        self.enter(state, now - age)

    def enter(self, state: str, time: datetime, name: str = "", message: str = "") -> None:
        """The run comes to a state."""
        self.states.append({"type": state, "name": name or state.capitalize(), "message": message})
        self.run.update(state_type=state, state_name=name or state.capitalize())
        self.run.update(state={"timestamp": time.isoformat(), "message": message})

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:  # noqa: ARG002
        if path == "flow_runs/filter":
            assert body is not None
            return [self.run] if self.run["state_type"] in body["flow_runs"]["state"]["type"]["any_"] else []
        if path.startswith("flow_run_states/"):
            return self.states
        if path == "work_pools/cropline/workers/filter":
            return [{"name": name, "status": "ONLINE"} for name in self.online]
        assert path == "flow_runs/the-run/set_state"
        assert body is not None
        assert body["force"] is False
        state = body["state"]
        self.enter(state["type"], datetime.now(UTC), state.get("name", ""), state.get("message", ""))
        return {"status": "ACCEPT"}


def _looked(server: _Server, times: int = 1) -> CrashedRuns:
    runs = CrashedRuns(server, HERE, _said.append)
    for _ in range(times):
        runs.look()
    return runs


@contextmanager
def _process() -> Iterator[None]:
    """A process of this machine that has the run."""
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, env={**os.environ, "PREFECT__FLOW_RUN_ID": "the-run"}
    ) as process:
        yield
        process.kill()


def test_a_request_that_always_crashes_runs_three_times_and_fails_with_what_to_do() -> None:
    server = _Server("RUNNING")
    for run in range(1, MOST + 1):
        server.enter("CRASHED", datetime.now(UTC), message="Process exited with status code: -9.")
        # Counted on the run: a worker that starts anew knows.
        _looked(server, 2)
        assert [state["name"] for state in server.states].count(AGAIN) == min(run, MOST - 1)
        if server.run["state_type"] == "SCHEDULED":
            server.enter("PENDING", datetime.now(UTC))
            server.enter("RUNNING", datetime.now(UTC))
    assert MOST == 3
    assert server.run["state_type"] == "FAILED"
    message = server.states[-1]["message"]
    assert message.startswith("Its process ended 3 times before the run did")
    assert "The last time: Process exited with status code: -9." in message
    assert "CROPLINE_RUNS" in message
    _looked(server, 3)
    assert server.run["state_type"] == "FAILED"


def test_a_start_that_was_lost_with_its_worker_is_no_run() -> None:
    server = _Server("PENDING", timedelta(minutes=2))
    for start in range(1, MOST_STARTS):
        _looked(server, 2)
        assert server.run["state_type"] == "SCHEDULED", start
        server.enter("PENDING", datetime.now(UTC) - timedelta(minutes=2))
    _looked(server, 2)
    assert server.run["state_type"] == "FAILED", "but for ever it isn't tried either"
    assert server.states[-1]["message"].startswith(f"Its process ended {MOST_STARTS} times")


def test_another_workers_runs_are_its_own_affair_while_it_is_there() -> None:
    labels = {"prefect.worker.name": ELSEWHERE}
    for state in ("PENDING", "RUNNING", "CANCELLING", "CRASHED"):
        server = _Server(state, timedelta(minutes=2), labels=labels)
        server.online.add(ELSEWHERE)
        _looked(server, 3)
        assert server.run["state_type"] == state, "its process is on another machine"


@pytest.mark.parametrize(
    ("state", "becomes"),
    [("PENDING", "SCHEDULED"), ("CANCELLING", "CANCELLED"), ("CRASHED", "SCHEDULED"), ("RUNNING", "RUNNING")],
)
def test_runs_of_a_worker_that_is_gone_are_looked_after(state: str, becomes: str) -> None:
    """One that runs may outlive it: whether it does, its heartbeats tell."""
    server = _Server(state, timedelta(minutes=2), labels={"prefect.worker.name": ELSEWHERE})
    _looked(server, 2)
    assert server.run["state_type"] == becomes


def test_a_run_that_only_was_not_heard_goes_on() -> None:
    """The server was away for longer than silence may last: it heard nothing of anybody."""
    server = _Server("RUNNING", timedelta(minutes=5))
    with _process():
        server.enter("CRASHED", datetime.now(UTC), SILENT)
        _looked(server, 3)
        assert server.run["state_type"] == "RUNNING"
    assert AGAIN not in [state["name"] for state in server.states]


def test_no_second_process_is_started_while_one_ends() -> None:
    server = _Server("RUNNING")
    with _process():
        server.enter("CRASHED", datetime.now(UTC))
        _looked(server, 3)
        assert server.run["state_type"] == "CRASHED"
    _looked(server)
    assert server.run["state_type"] == "SCHEDULED"


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
def test_a_run_without_a_process_is_taken_up_after_two_looks(state: str) -> None:
    server = _Server(state, timedelta(minutes=2))
    runs = _looked(server)
    assert server.run["state_type"] == state, "a process may be seen too late or end before its run does"
    runs.look()
    assert [entry["type"] for entry in server.states[-2:]] == ["CRASHED", "SCHEDULED"]


def test_a_run_that_is_being_submitted_is_left_alone() -> None:
    server = _Server("PENDING", timedelta(seconds=30))
    _looked(server, 3)
    assert server.run["state_type"] == "PENDING"


def test_a_run_with_a_process_is_left_alone() -> None:
    server = _Server("RUNNING", timedelta(minutes=2))
    with _process():
        _looked(server, 3)
        assert server.run["state_type"] == "RUNNING"
    _looked(server, 2)
    assert server.run["state_type"] == "SCHEDULED"


def test_what_the_user_cancelled_is_never_taken_up() -> None:
    server = _Server("CANCELLING")
    server.enter("CRASHED", datetime.now(UTC))  # its process was ended, and that was told first
    _looked(server, 3)
    assert server.run["state_type"] == "CRASHED"
    stuck = _Server("CANCELLING", timedelta(minutes=2))
    _looked(stuck, 3)
    assert stuck.run["state_type"] == "CANCELLED", "nobody is left to say so"


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "SCHEDULED", "PAUSED"])
def test_other_ends_stay(state: str) -> None:
    server = _Server(state)
    _looked(server, 3)
    assert server.run["state_type"] == state


def test_history_is_not_taken_up() -> None:
    due = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    old = _Server("RUNNING", timedelta(days=8), expected_start_time=due)
    _looked(old, 3)
    assert old.run["state_type"] == "CRASHED", "it takes no place among those that run"
    by_hand = _Server("CRASHED", deployment_id=None)
    _looked(by_hand)
    assert by_hand.run["state_type"] == "CRASHED", "no worker could start it"
