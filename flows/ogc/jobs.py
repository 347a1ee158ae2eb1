"""Jobs of partners: Prefect's flow runs. The server is the only truth; nothing about a job is kept here.

A run that was ordered here has tags: whose key ordered it, which process it is, and how its results are wanted. Each key sees its own jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any
from uuid import UUID

from catalog.quoting import shown
from flows.ogc.filters import JobFilter
from flows.ogc.offers import OFFERS, Offer
from flows.ogc.refusals import NO_SUCH_JOB, RefusedError
from flows.prefect_process.api import Api
from flows.prefect_process.crashed_runs import RECENT
from flows.reporting.markdown import plain_text

TAG = "ogc"
_KEY, _PROCESS = "ogc-key:", "ogc-process:"
DOCUMENT, REFERENCE = "ogc-document", "ogc-reference"
"""Tags of runs whose results are wanted so."""

STATES = {
    "accepted": ("SCHEDULED", "PENDING", "PAUSED", "CRASHED"),
    "running": ("RUNNING",),
    "successful": ("COMPLETED",),
    "failed": ("FAILED",),
    "dismissed": ("CANCELLING", "CANCELLED"),
}
"""Prefect's states by OGC's statuses. What crashed is taken up again (`flows.prefect_process.crashed_runs`)."""

_STATUS = {state: status for status, states in STATES.items() for state in states}
_PAGE = 200  # the most that Prefect lists at once
_AT_ONCE = 50  # runs whose progress is asked for together: one that was taken up again reported it more than once
_BEFORE_CAUSE = re.compile(r"^Flow run encountered an exception: (?P<kind>\w+): ")
_WAITS = {"SCHEDULED": "Waits in the queue.", "PENDING": "Is being started.", "PAUSED": "Is paused."}


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs that one key ordered."""

    api: Api
    key: str

    def order(self, offer: Offer, parameters: Mapping[str, Any], tags: list[str]) -> dict[str, Any]:
        """Create the run of a process. Returns the run as Prefect has it. Raises `ServiceError`."""
        deployment = self.deployment(offer)
        body = {
            "parameters": dict(parameters),
            "tags": [TAG, f"{_KEY}{self.key}", f"{_PROCESS}{offer.id}", *tags],
            "state": {"type": "SCHEDULED"},
        }
        return dict(self.api.ask(f"deployments/{deployment['id']}/create_flow_run", body))

    def deployment(self, offer: Offer) -> dict[str, Any]:
        """The deployment of a process. Raises `ServiceError` where the server doesn't answer, `RefusedError` where it has none."""
        found = self.api.ask(f"deployments/name/{offer.deployment}")
        if found is None:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{offer.id}: the server has no deployment {offer.deployment}. `cropline up` makes it.",
            )
        return dict(found)

    def find(self, job: str) -> dict[str, Any]:
        """The run of a job. Raises `RefusedError` where this key has none of that identifier."""
        try:
            run = self.api.ask(f"flow_runs/{UUID(job)}")
        except ValueError:
            run = None
        if run is None or not {TAG, f"{_KEY}{self.key}"} <= set(run["tags"]):
            raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no job {shown(job)} of this key.", NO_SUCH_JOB)
        return dict(run)

    def listed(self, wanted: JobFilter, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Runs that a filter leaves, the newest first: a page of them, and how many there are in all."""
        tags: dict[str, Any] = {"all_": [TAG, f"{_KEY}{self.key}"]}
        if wanted.processes:
            tags["any_"] = [f"{_PROCESS}{process}" for process in wanted.processes if process in OFFERS]
            if not tags["any_"]:
                return [], 0
        which: dict[str, Any] = {"tags": tags}
        if wanted.statuses:
            which["state"] = {"type": {"any_": [state for status in wanted.statuses for state in STATES[status]]}}
        if not wanted.looks_at_times:
            found = list(islice(self._runs(which, offset, min(limit, _PAGE)), limit))
            return found, int(self.api.ask("flow_runs/count", {"flow_runs": which}))
        now = datetime.now(UTC)
        runs = [run for run in self._runs(which) if wanted.takes(run, now)]
        return runs[offset : offset + limit], len(runs)

    def _runs(self, which: dict[str, Any], offset: int = 0, size: int = _PAGE) -> Iterator[dict[str, Any]]:
        """The runs of a filter, each once, the newest first, as far as they are taken: in pages of a size that Prefect gives."""
        listed: set[str] = set()
        while True:
            asked = {"flow_runs": which, "limit": size, "offset": offset, "sort": "EXPECTED_START_TIME_DESC"}
            page = self.api.ask("flow_runs/filter", asked) or []
            yield from (run for run in page if run["id"] not in listed)  # a newer run moves the others to the next page
            listed.update(run["id"] for run in page)
            if len(page) < size:
                return
            offset += size

    def dismiss(self, run: Mapping[str, Any]) -> None:
        """Cancel a run, as Prefect does. One that is over leaves the list of jobs; its delivery stays with who runs the server."""
        if run["state_type"] in ("COMPLETED", "FAILED", "CANCELLED"):
            kept = [tag for tag in run["tags"] if tag != TAG]
            self.api.ask(f"flow_runs/{run['id']}", {"tags": kept}, method="PATCH")
        elif run["state_type"] != "CANCELLING":
            self.api.ask(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}, "force": False})

    def statuses(self, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Status of each run, in the words of pygeoapi's managers."""
        reported = self._progress([run["id"] for run in runs if run["state_type"] == "RUNNING"])
        return [self._status(run, *reported.get(run["id"], (0, "Runs."))) for run in runs]

    def _progress(self, runs: list[str]) -> dict[str, tuple[int, str]]:
        """Percent done and what is being done, as runs report it."""
        found: dict[str, tuple[int, str]] = {}
        for first in range(0, len(runs), _AT_ONCE):
            which = {"flow_run_id": {"any_": runs[first : first + _AT_ONCE]}, "key": {"any_": ["progress"]}}
            for artifact in self.api.ask("artifacts/filter", {"artifacts": which, "sort": "UPDATED_DESC"}) or []:
                doing = plain_text(artifact["description"] or "Runs.")
                found.setdefault(artifact["flow_run_id"], (int(artifact["data"] or 0), doing))
        return found

    def _status(self, run: Mapping[str, Any], percent: int, doing: str) -> dict[str, Any]:
        status = status_of(run)
        message = {"running": doing, "successful": "Done.", "dismissed": "Dismissed."}.get(status) or _message(run)
        if status == "successful":
            percent = 100
        over = status in ("successful", "failed", "dismissed")
        return {
            "identifier": run["id"],
            "process_id": process_of(run),
            "status": status,
            "message": message,
            "progress": percent,
            "created": run["created"],
            "started": run["start_time"] or "",
            "finished": run["end_time"] if over else None,
            "updated": run["updated"],
            "mimetype": "application/json",
        }


def status_of(run: Mapping[str, Any]) -> str:
    """The status of a run's job. What crashed long ago isn't taken up any more."""
    if run["state_type"] == "CRASHED" and run["end_time"]:
        over = datetime.now(UTC) - datetime.fromisoformat(run["end_time"]) > RECENT
        return "failed" if over else "accepted"
    return _STATUS[run["state_type"]]


def process_of(run: Mapping[str, Any]) -> str:
    """The identifier of a run's process."""
    return next((tag.removeprefix(_PROCESS) for tag in run["tags"] if tag.startswith(_PROCESS)), next(iter(OFFERS)))


def cause_of(run: Mapping[str, Any]) -> tuple[str, str]:
    """Name of the error that a run failed with, empty where none is known, and its text."""
    text = str((run["state"] or {}).get("message") or "Nothing is known of the cause.")
    match = _BEFORE_CAUSE.match(text)
    return (match["kind"], text[match.end() :]) if match else ("", text)


def _message(run: Mapping[str, Any]) -> str:
    if run["state_type"] == "CRASHED":
        return "Its process ended; it is taken up again." if status_of(run) == "accepted" else cause_of(run)[1]
    return _WAITS.get(run["state_type"]) or cause_of(run)[1]
