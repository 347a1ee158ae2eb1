"""`cropline status`: how server and worker of a store stand."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from catalog.guards.json_text import parse_model
from catalog.products import Frozen
from catalog.storage.store import Store
from flows.own_server import read_secret
from flows.prefect_process import processes, work_pool
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.server_database import kept_place
from flows.prefect_process.server_file import read_services, service_store
from flows.settings import Settings

UNFINISHED = "restore-unfinished"
"""File in a store while a backup is put back: the first that is written, and removed when all is there."""


class Unfinished(Frozen):
    """Content of that file."""

    backup: str
    folders: Annotated[list[str], Field(description="absolute paths, empty before")]


class Status(Frozen):
    """What `cropline status` says."""

    store: str
    exists: Annotated[bool, Field(description="whether anything was written to the store yet")]
    server: Annotated[str | None, Field(description="address of the UI while the server answers")] = None
    worker: Annotated[bool, Field(description="whether this store's worker runs")] = False
    ogc: Annotated[str | None, Field(description="address of the OGC interface while its process runs")] = None
    waiting: Annotated[
        int | None, Field(description="runs that are due and don't run yet; unknown without a server")
    ] = None
    running: int | None = None
    paused: Annotated[str | None, Field(description="queues of which no run is started, and what frees them")] = None
    database: Annotated[str | None, Field(description="where the server keeps its runs; no secrets")] = None


def look(settings: Settings) -> Status:
    """How things stand; nothing is started or created. Raises `ServiceError` where a restore was not finished."""
    store = service_store(settings)
    check_whole(store)
    status = Status(
        store=str(store.root),
        exists=store.root.is_dir(),
        worker=bool(processes.services_of(store, "worker")),
        ogc=next((processes.option_of(found, "--address") for found in processes.services_of(store, "ogc")), None),
        database=kept_place(store),
    )
    services = read_services(store)
    api = None if services is None else Api(services.api, read_secret(store.prefect))
    if services is None or api is None or not api.answers():
        return status
    due = {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}}
    return status.model_copy(
        update={
            "server": services.ui,
            "waiting": _runs(api, {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}, **due}),
            "running": _runs(api, {"state": {"type": {"any_": ["RUNNING"]}}}),
            "paused": _paused(api),
        }
    )


def check_whole(store: Store) -> None:
    """Raise `ServiceError`, which says what to do, where a restore of this store was not finished."""
    try:
        text = (store.root / UNFINISHED).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        mark = parse_model(Unfinished, text, ServiceError)
    except ServiceError:  # of a full disk
        mark = Unfinished(backup="BACKUP", folders=[str(store.root)])
    raise ServiceError(not_whole(store.root, mark))


def not_whole(root: Path, mark: Unfinished) -> str:
    """What is said of a store whose restore was not finished."""
    return (
        f"{root} is not whole: the restore of {mark.backup} was not finished. Unless it still goes on, remove what it put there, and "
        f"restore again: rm -rf {shlex.join(mark.folders)} && cropline restore {shlex.quote(mark.backup)}"
    )


def _paused(api: Api) -> str | None:
    queues = work_pool.paused_queues(api)
    if not queues:
        return None
    return (
        f"{' and '.join(queues)}: no run is started from there. Unless a backup goes on, one was killed, or somebody paused them: "
        "`cropline up` frees them; where systemd starts it: systemctl restart cropline-worker"
    )


def _runs(api: Api, runs: dict[str, Any]) -> int:
    return int(api.ask("flow_runs/count", {"flow_runs": runs}))
