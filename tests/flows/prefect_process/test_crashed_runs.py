"""Which runs are taken up again, how often, and which never; against a server that remembers what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.prefect_process.api import Api
from flows.prefect_process.crashed_runs import AGAIN, MOST, CrashedRuns

_said: list[str] = []


class _Server(Api):
    """The answers of a server that has one run."""

    def __init__(self, state: str, age: timedelta = timedelta(), **run: Any) -> None:
        super().__init__("http://nowhere/api", None)
        now = datetime.now(UTC)
        self.states: list[dict[str, Any]]
        self.run: dict[str, Any]
        object.__setattr__(self, "states", [{"type": "SCHEDULED", "name": "Scheduled"}])
        given = {"id": "the-run", "name": "a map", "deployment_id": "d", "expected_start_time": now.isoformat(), **run}
        object.__setattr__(self, "run", given)
        self.enter(state, now - age)

    def enter(self, state: str, time: datetime, name: str = "") -> None:
        """The run comes to a state."""
        self.states.append({"type": state, "name": name or state.capitalize()})
        self.run.update(state_type=state, state={"timestamp": time.isoformat()})

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:  # noqa: ARG002
        if path == "flow_runs/filter":
            assert body is not None
            return [self.run] if self.run["state_type"] in body["flow_runs"]["state"]["type"]["any_"] else []
        if path.startswith("flow_run_states/"):
            return self.states
        assert path == "flow_runs/the-run/set_state"
        assert body is not None
        assert body["force"] is False
        self.enter(body["state"]["type"], datetime.now(UTC), body["state"].get("name", ""))
        return {"status": "ACCEPT"}


def _looked(server: _Server, times: int = 1) -> CrashedRuns:
    runs = CrashedRuns(server, _said.append)
    for _ in range(times):
        runs.look()
    return runs


def test_a_crashed_run_is_taken_up_three_times_at_most() -> None:
    server = _Server("CRASHED")
    runs = CrashedRuns(server, _said.append)
    for _ in range(MOST + 2):
        runs.look()
        server.enter("CRASHED", datetime.now(UTC))
    assert [state["name"] for state in server.states].count(AGAIN) == MOST == 3
    assert _looked(server)._left_alone == {"the-run"}, "counted on the run: a worker that starts anew knows"


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
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, env={**os.environ, "PREFECT__FLOW_RUN_ID": "the-run"}
    ) as process:
        _looked(server, 3)
        assert server.run["state_type"] == "RUNNING"
        process.kill()
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
