"""`cropline up` and `cropline down`: this store's Prefect server and worker, as processes of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
from filelock import FileLock
from pydantic import Field, ValidationError

from catalog.errors import CroplineError
from catalog.products import Frozen
from catalog.storage.store import Store, open_store
from catalog.storage.whole import write_json
from flows.own_server import SERVER_FILE
from flows.prefect_process import processes
from flows.prefect_process.temporary_server import QUIET
from flows.settings import Settings

POOL = "cropline"
PREFERRED_PORT = 4200
START_TIMEOUT = 180.0
PREFECT_FILE = Path(__file__).resolve().parents[2] / "prefect.yaml"


class ServiceError(CroplineError):
    """The server or the worker can't be started or stopped."""


class ProcessMark(Frozen):
    """Mark that tells one process from a later one of the same number."""

    pid: int
    started: Annotated[float, Field(description="seconds since 1970")]

    @classmethod
    def of(cls, process: psutil.Process) -> ProcessMark:
        return cls(pid=process.pid, started=process.create_time())


class Services(Frozen):
    """Content of `<store>/prefect/server.json`: where the server answers, and which processes were started."""

    api: str
    ui: str
    server: ProcessMark
    worker: ProcessMark | None = None


class Status(Frozen):
    """What `cropline status` says."""

    store: str
    exists: Annotated[bool, Field(description="whether anything was written to the store yet")]
    server: Annotated[str | None, Field(description="address of the UI while the server answers")] = None
    worker: Annotated[bool, Field(description="whether this store's worker runs")] = False
    waiting: Annotated[
        int | None, Field(description="runs that are due and don't run yet; unknown without a server")
    ] = None
    running: int | None = None


def up(settings: Settings, port: int | None, tell: Callable[[str], None]) -> Services:
    """Start what isn't running: the server, the work pool, the deployments of prefect.yaml, the worker.

    Whatever was running or had crashed before, one server and one worker run afterwards, and the worker asks that server. Raises
    `ServiceError` with the end of the log of what didn't start.
    """
    store = _store(settings, create=True)
    store.prefect.mkdir(parents=True, exist_ok=True)
    with FileLock(store.prefect / "services.lock"):
        environment = _environment(settings, store)
        server = _only(store, "server", tell)
        if server is None:
            server = _start_server(store, _free_port(port, _port_before(store)), environment, tell)
        ui = f"http://127.0.0.1:{processes.option_of(server, '--port')}"
        services = Services(api=f"{ui}/api", ui=ui, server=ProcessMark.of(server))
        write_json(_file(store), services.model_dump())
        if not answers(services.api):
            tell(f"waiting for the server at {ui}")
            _wait(lambda: answers(services.api), store, "server", server)
        environment["PREFECT_API_URL"] = services.api
        tell("work pool and deployments")
        _deploy(services.api, environment)
        worker = _only(store, "worker", tell)
        if worker is not None and worker.environ().get("PREFECT_API_URL") != services.api:
            tell("stopping the worker, which asks a server that is gone")
            processes.stop(worker)
            worker = None
        if worker is None:
            tell("starting the worker")
            started = datetime.now(UTC)
            worker = processes.spawn(
                ["worker", "start", "--pool", POOL, "--type", "process"], store, "worker", environment
            )
            _wait(lambda: _worker_online(services.api, started), store, "worker", worker)
        services = services.model_copy(update={"worker": ProcessMark.of(worker)})
        write_json(_file(store), services.model_dump())
        return services


def down(settings: Settings, tell: Callable[[str], None]) -> bool:
    """Stop worker and server, and what they started. False when nothing was running."""
    store = _store(settings)
    if not store.prefect.is_dir():
        return False
    with FileLock(store.prefect / "services.lock"):
        running = False
        for name in ("worker", "server"):
            for process in processes.services_of(store, name):
                tell(f"stopping the {name}")
                processes.stop(process)
                running = True
        for process in processes.started_for(store):  # of a worker that crashed
            tell("stopping a run that lost its worker")
            processes.stop(process)
            running = True
        _file(store).unlink(missing_ok=True)
        return running


def look(settings: Settings) -> Status:
    """How things stand; nothing is started or created."""
    store = _store(settings)
    status = Status(
        store=str(store.root), exists=store.root.is_dir(), worker=bool(processes.services_of(store, "worker"))
    )
    services = read_services(store)
    if services is None or not answers(services.api):
        return status
    due = {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}}
    return status.model_copy(
        update={
            "server": services.ui,
            "waiting": _runs(services.api, {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}, **due}),
            "running": _runs(services.api, {"state": {"type": {"any_": ["RUNNING"]}}}),
        }
    )


def read_services(store: Store) -> Services | None:
    """Read what `cropline up` wrote; None where there is nothing."""
    try:
        return Services.model_validate_json(_file(store).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def answers(api: str) -> bool:
    """Return whether the server's health check answers."""
    try:
        return _call(f"{api}/health") is not None
    except ServiceError:
        return False


def _file(store: Store) -> Path:
    return store.prefect / SERVER_FILE


def _runs(api: str, runs: dict[str, Any]) -> int:
    return int(_call(f"{api}/flow_runs/count", {"flow_runs": runs}))


def _store(settings: Settings, *, create: bool = False) -> Store:
    """The store, its cubes where the settings say, but without the keys to them: those may lie in a block of the server to be started."""
    return open_store(settings.store, settings.cubes, create=create)


def _environment(settings: Settings, store: Store) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **environment,
        **QUIET,
        "PREFECT_HOME": str(store.prefect),
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",  # else `--watch` shows events and no word of the flow's own
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",  # and lines show when they are written
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # Attempts 2, 4, 8 … s apart: a run tells how it ended also to a server that is away for four minutes.
        "PREFECT_CLIENT_MAX_RETRIES": "7",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite is busy while many tasks report at once
        "CROPLINE_STORE": str(store.root),
        "CROPLINE_CUBES": str(store.cubes),
        "CROPLINE_BASE": str(settings.folder),
        "PYTHONUNBUFFERED": "1",
    }


def _only(store: Store, name: processes.Service, tell: Callable[[str], None]) -> psutil.Process | None:
    """The server or worker that runs, or None. Where there are several, all but the oldest are stopped."""
    kept, *others = processes.services_of(store, name) or [None]
    for process in others:
        tell(f"stopping a second {name}")
        processes.stop(process)
    return kept


def _start_server(store: Store, port: int, environment: Mapping[str, str], tell: Callable[[str], None]) -> Any:
    tell(f"starting the server at http://127.0.0.1:{port}; the first start makes its database")
    words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return processes.spawn(words, store, "server", environment)


def _port_before(store: Store) -> int | None:
    """Where the server answered that has crashed: a run that goes on looks for it there."""
    services = read_services(store)
    return None if services is None else urllib.parse.urlsplit(services.api).port


def _free_port(wanted: int | None, before: int | None = None) -> int:
    """The wanted port, else that of before, else Prefect's usual one, else any. Raises `ServiceError` where the wanted one is taken."""
    for port in (wanted,) if wanted is not None else (before or PREFERRED_PORT, PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceError(f"port {wanted} is taken. Name another with --port, or leave it out.")


def _wait(ready: Callable[[], bool], store: Store, name: processes.Service, process: psutil.Process) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if not processes.running(process) or time.monotonic() > deadline:
            log = processes.log_of(store, name)
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:] if log.is_file() else []
            raise ServiceError("\n".join([f"the {name} did not start; the end of {log} says:", *lines]))
        time.sleep(0.25)


def _deploy(api: str, environment: Mapping[str, str]) -> None:
    if _call(f"{api}/work_pools/{POOL}") is None:
        _prefect(["work-pool", "create", POOL, "--type", "process"], environment)
    if not PREFECT_FILE.is_file():
        raise ServiceError(f"no {PREFECT_FILE}: run `cropline up` from an installation of the checkout (make install).")
    _prefect(["block", "register", "--module", "flows.prefect_process.credentials_block"], environment)
    _prefect(["--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)], environment)


def _prefect(words: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - this interpreter, words of this module
        [sys.executable, "-m", "prefect", *words],
        env=dict(environment),
        cwd=PREFECT_FILE.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"`prefect {' '.join(words)}` failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")


def _worker_online(api: str, since: datetime) -> bool:
    """True once a worker has told the server since a time that it is there; one that crashed counts as online for a while."""
    workers = _call(f"{api}/work_pools/{POOL}/workers/filter", {})
    return any(
        worker.get("status") == "ONLINE" and datetime.fromisoformat(worker["last_heartbeat_time"]) >= since
        for worker in workers or []
    )


def _call(address: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON that the server answers; None for what it doesn't know. Raises `ServiceError` when it doesn't answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - the address is this machine's
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise ServiceError(f"the server at {address} answered {error.code}: {error.reason}") from error
    except OSError as error:
        raise ServiceError(f"no answer from {address}: {error}") from error
