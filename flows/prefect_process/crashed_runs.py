"""Runs that crashed are taken up again: put into the queue anew, three times at most, and never where the user cancelled them.

A run crashed where Prefect says so: its submission was refused too often, or its process ended without a word. And where Prefect
doesn't know it: it counts as running while no process has it, as after a power cut.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from flows.prefect_process.api import Api
from flows.prefect_process.work_pool import POOL

AGAIN = "TakenUpAgain"
"""Name of the state of a run in the queue that was taken up again; how often is how many such states it has had."""

MOST = 3
"""Times that a run is taken up again."""

PAUSE = timedelta(seconds=10)
"""Time from a crash that was noticed to the run's next start; twice as long after each further one."""

GRACE = timedelta(seconds=60)
"""Time in which a run that is being submitted needn't have a process."""

RECENT = timedelta(days=1)
"""What crashed before is history: its user asked again or did without."""

FORGOTTEN = timedelta(days=7)
"""What should have run before isn't taken up however late it is noticed, as in a store that was put away."""

_RUN = "PREFECT__FLOW_RUN_ID"
"""Names the run in the environment of its process."""

_CANCELLED = {"CANCELLING", "CANCELLED"}


class CrashedRuns:
    """The runs of this store's pool; to be looked at every few seconds. ``tell`` is given a line for each that is taken up."""

    def __init__(self, api: Api, tell: Callable[[str], None]) -> None:
        self._api, self._tell = api, tell
        self._without_process: set[str] = set()
        self._left_alone: set[str] = set()

    def look(self) -> None:
        """Notice the runs that lost their process, and put crashed ones into the queue. Raises `ServiceError` without an answer."""
        now = datetime.now(UTC)
        self._notice(now)
        crashed = {"state": {"type": {"any_": ["CRASHED"]}}, "end_time": {"after_": (now - RECENT).isoformat()}}
        for run in self._runs(crashed):
            if run["id"] not in self._left_alone:
                self._take_up(run, now)

    def _notice(self, now: datetime) -> None:
        """Tell the server of runs that two looks in a row found without a process."""
        runs = self._runs({"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}})
        with_process = _with_process() if runs else set()
        lost = [run for run in runs if run["id"] not in with_process and _age(run, now) > _grace(run)]
        for run in lost:
            if run["id"] in self._without_process:
                final = "CANCELLED" if run["state_type"] == "CANCELLING" else "CRASHED"
                self._tell(f"run {run['name']} has no process any more")
                self._set(run, {"type": final, "message": "Its process is gone."})
        self._without_process = {run["id"] for run in lost}

    def _take_up(self, run: dict[str, Any], now: datetime) -> None:
        states = self._api.ask(f"flow_run_states/?flow_run_id={run['id']}") or []
        times = sum(state["name"] == AGAIN for state in states)
        cancelled = any(state["type"] in _CANCELLED for state in states)
        forgotten = now - _time(run["expected_start_time"]) > FORGOTTEN
        if times >= MOST or cancelled or forgotten or run["deployment_id"] is None:
            self._left_alone.add(run["id"])
            return
        message = f"Taken up again after a crash, {times + 1} of {MOST} times."
        start = now + PAUSE * 2**times
        details = {"scheduled_time": start.isoformat()}
        self._set(run, {"type": "SCHEDULED", "name": AGAIN, "message": message, "state_details": details})
        self._tell(f"run {run['name']} crashed: taken up again, {times + 1} of {MOST} times")

    def _runs(self, which: dict[str, Any]) -> list[dict[str, Any]]:
        asked = {"flow_runs": which, "work_pools": {"name": {"any_": [POOL]}}}
        return list(self._api.ask("flow_runs/filter", asked) or [])

    def _set(self, run: dict[str, Any], state: dict[str, Any]) -> None:
        # Not forced: the server refuses a change that what happened meanwhile has made wrong.
        self._api.ask(f"flow_runs/{run['id']}/set_state", {"state": state, "force": False})


def _with_process() -> set[str]:
    """The runs that processes of this user have."""
    runs = set()
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (run := process.environ().get(_RUN)):
                runs.add(run)
        except psutil.Error:
            continue  # another user's, or ended meanwhile
    return runs


def _grace(run: dict[str, Any]) -> timedelta:
    """How old a run's state may be without a process: one that runs has had a process, one that is being submitted gets one."""
    return timedelta(0) if run["state_type"] == "RUNNING" else GRACE


def _age(run: dict[str, Any], now: datetime) -> timedelta:
    return now - _time(run["state"]["timestamp"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
