"""`cropline status`: how server and worker of a store stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from catalog.products import Frozen
from flows.own_server import read_secret
from flows.prefect_process import processes
from flows.prefect_process.api import Api
from flows.prefect_process.server_database import kept_place
from flows.prefect_process.server_file import read_services, service_store
from flows.settings import Settings


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
    database: Annotated[str | None, Field(description="where the server keeps its runs; no secrets")] = None


def look(settings: Settings) -> Status:
    """How things stand; nothing is started or created."""
    store = service_store(settings)
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
        }
    )


def _runs(api: Api, runs: dict[str, Any]) -> int:
    return int(api.ask("flow_runs/count", {"flow_runs": runs}))
