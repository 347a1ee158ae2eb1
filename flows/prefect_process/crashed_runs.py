"""Runs that crashed are taken up again: put into the queue anew until they have run three times, and never where the user cancelled them.

A run crashed where Prefect says so: its submission was refused too often, its process ended without a word, or was not heard of for long.
And where Prefect doesn't know it: it counts as running while no process has it, as after a power cut. Each worker looks after the runs
that it started, and after those of workers that are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import psutil

from flows.prefect_process.api import Api
from flows.prefect_process.automations import SILENT
from flows.prefect_process.work_pool import POOL, workers_online

AGAIN, GOES_ON = "TakenUpAgain", "GoesOn"
"""Names of states: of a run in the queue that was taken up again, and of one that was thought to have crashed."""

MOST = 3
"""Times that a request is run, the first one among them: as often as it has been in the state Running."""

MOST_STARTS = 10
"""Times that its start is tried: one that is lost with its worker before it runs is no run."""

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

_WORKER = "prefect.worker.name"
"""Names the worker in the labels of a run that it has begun to start."""

_CANCELLED = {"CANCELLING", "CANCELLED"}

GIVEN_UP = (
    "Its process ended {} times before the run did; it isn't started again by itself. The last time: {} Most often memory ran out: "
    "the end of prefect/worker.log in the store, or the system's log, says so. Ask for a smaller area, have fewer runs (CROPLINE_RUNS) or "
    "acquisitions (CROPLINE_WORKERS) at once, or find more memory, and send the request again: it goes on where it stopped."
)
"""Message of the failure of a run that crashed too often."""


@dataclass(frozen=True)
class _Look:
    """One look, and what is asked in it where there is need."""

    now: datetime
    api: Api
    pool: str

    @cached_property
    def with_process(self) -> set[str]:
        """Runs that processes of this machine have."""
        return _with_process()

    @cached_property
    def online(self) -> set[str]:
        """Workers that the server heard of lately."""
        return workers_online(self.api, pool=self.pool)


class CrashedRuns:
    """The runs that one worker of the pool looks after; to be looked at every few seconds.

    ``tell`` is given a line for each that is taken up or given up.
    """

    def __init__(self, api: Api, worker: str, tell: Callable[[str], None], pool: str = POOL) -> None:
        self._api, self._worker, self._tell, self._pool = api, worker, tell, pool
        self._without_process: set[str] = set()
        self._left_alone: set[str] = set()

    def look(self) -> None:
        """Notice the runs that lost their process, and put crashed ones into the queue. Raises `ServiceError` without an answer."""
        look = _Look(datetime.now(UTC), self._api, self._pool)
        under_way = self._runs({"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}})
        self._notice([run for run in under_way if self._looks_after(run, look)], look)
        recent = {"after_": _text(look.now - RECENT)}
        for run in self._runs({"state": {"type": {"any_": ["CRASHED"]}}, "end_time": recent}):
            if run["id"] not in self._left_alone and self._looks_after(run, look):
                self._take_up(run, look)

    def _looks_after(self, run: dict[str, Any], look: _Look) -> bool:
        """Return whether it is for this worker to say what became of a run."""
        worker = run["labels"].get(_WORKER, self._worker)
        if worker == self._worker:
            return True
        # A run may outlive its worker: while it sends heartbeats it runs, and without them the automation says that it crashed.
        return worker not in look.online and run["state_type"] != "RUNNING"

    def _notice(self, runs: list[dict[str, Any]], look: _Look) -> None:
        """Tell the server of runs that two looks in a row found without a process."""
        lost = [run for run in runs if run["id"] not in look.with_process and _age(run, look.now) > _grace(run)]
        for run in lost:
            if run["id"] in self._without_process:
                final = "CANCELLED" if run["state_type"] == "CANCELLING" else "CRASHED"
                self._tell(f"run {run['name']} has no process any more")
                self._set(run, {"type": final, "message": "Its process is gone."})
        self._without_process = {run["id"] for run in lost}

    def _take_up(self, run: dict[str, Any], look: _Look) -> None:
        if run["id"] in look.with_process:
            if run["state_name"] == SILENT:  # the server was away, and could hear nothing
                self._tell(f"run {run['name']} goes on: its process is here")
                self._set(run, {"type": "RUNNING", "name": GOES_ON, "message": "Its process goes on."})
            return  # it is about to end
        states = self._api.ask(f"flow_run_states/?flow_run_id={run['id']}") or []
        runs = sum(state["type"] == "RUNNING" and state["name"] != GOES_ON for state in states)
        starts = 1 + sum(state["name"] == AGAIN for state in states)
        cancelled = any(state["type"] in _CANCELLED for state in states)
        forgotten = look.now - _time(run["expected_start_time"]) > FORGOTTEN
        if cancelled or forgotten or run["deployment_id"] is None:
            self._left_alone.add(run["id"])
            return
        if runs >= MOST or starts >= MOST_STARTS:
            why = str((run["state"] or {}).get("message") or "Nothing is known of it.")
            self._set(run, {"type": "FAILED", "message": GIVEN_UP.format(max(runs, starts), why)})
            self._tell(f"run {run['name']} crashed {max(runs, starts)} times: given up")
            return
        message = f"Taken up again after a crash: run {runs + 1} of at most {MOST}."
        details = {"scheduled_time": _text(look.now + PAUSE * 2 ** min(starts - 1, 4))}
        self._set(run, {"type": "SCHEDULED", "name": AGAIN, "message": message, "state_details": details})
        self._tell(f"run {run['name']} crashed: taken up again, run {runs + 1} of at most {MOST}")

    def _runs(self, which: dict[str, Any]) -> list[dict[str, Any]]:
        asked = {"flow_runs": which, "work_pools": {"name": {"any_": [self._pool]}}}
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


def _text(time: datetime) -> str:
    return time.isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
