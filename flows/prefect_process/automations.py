"""The automation that `cropline up` creates: a run whose process fell silent has crashed, whoever should have said so.

A worker knows the processes of its own machine (`flows.prefect_process.crashed_runs`). Of a machine that is gone, and while no worker
runs, only the server can notice: runs send it a heartbeat every half minute. Silence proves nothing, though: a server that was away heard
no heartbeat either. So the automation only changes the state, to one with a name of its own, and the worker that has the process says so.
"""

from __future__ import annotations

from typing import Any

from flows.prefect_process.api import Api

NAME = "cropline: a run that fell silent has crashed"

SILENT = "Silent"
"""Name of the state that the automation brings a run to."""

HEARTBEAT = 30
"""Seconds between two heartbeats of a run; Prefect takes no fewer."""

SILENCE = 4 * HEARTBEAT
"""Seconds without a heartbeat or an end after which a run has crashed."""

_ENDS = ("Completed", "Failed", "Crashed", "Cancelled")

_TRIGGER: dict[str, Any] = {
    "type": "event",
    "posture": "Proactive",
    "match": {"prefect.resource.id": "prefect.flow-run.*"},
    "for_each": ["prefect.resource.id"],
    "after": ["prefect.flow-run.heartbeat"],
    "expect": ["prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in _ENDS)],
    "threshold": 1,
    "within": SILENCE,
}

_ACTION: dict[str, Any] = {
    "type": "change-flow-run-state",
    "state": "CRASHED",
    "name": SILENT,
    "message": f"Nothing was heard of its process for {SILENCE} s.",
    "force": False,  # a run that has ended stays as it ended
}

AUTOMATION: dict[str, Any] = {
    "name": NAME,
    "description": "Made by `cropline up`, which puts it right again.",
    "enabled": True,
    "trigger": _TRIGGER,
    "actions": [_ACTION],
}


def put_right(api: Api) -> None:
    """Make the automation as it should be, once. Raises `ServiceError` where the server refuses."""
    kept, *others = api.ask("automations/filter", {"automations": {"name": {"any_": [NAME]}}}) or [None]
    for other in others:
        api.ask(f"automations/{other['id']}", method="DELETE")
    if kept is None:
        api.ask("automations/", AUTOMATION)
    elif not _is_as_wanted(kept):  # an update forgets who was heard last, so it isn't done without need
        api.ask(f"automations/{kept['id']}", AUTOMATION, method="PUT")


def _is_as_wanted(there: dict[str, Any]) -> bool:
    trigger, actions = there["trigger"], there["actions"]
    return (
        there["enabled"]
        and len(actions) == 1
        and all(actions[0].get(name) == value for name, value in _ACTION.items())
        and all(_plain(trigger.get(name)) == _plain(value) for name, value in _TRIGGER.items())
    )


def _plain(value: Any) -> Any:
    """A value as it can be compared: the server keeps sets, and gives them in any order."""
    return sorted(value) if isinstance(value, list) else value
