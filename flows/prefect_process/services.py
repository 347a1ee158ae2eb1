"""`cropline up` and `cropline down`: this store's Prefect server and worker, as processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
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
from flows.prefect_process.temporary_server import QUIET
from flows.settings import Settings

POOL = "cropline"
PREFERRED_PORT = 4200
START_TIMEOUT = 180.0
STOP_TIMEOUT = 20.0
PREFECT_FILE = Path(__file__).resolve().parents[2] / "prefect.yaml"


class ServiceError(CroplineError):
    """The server or the worker can't be started or stopped."""


class ProcessMark(Frozen):
    """Mark that tells one process from a later one of the same number."""

    pid: int
    started: Annotated[float, Field(description="seconds since 1970")]


class Services(Frozen):
    """Content of `<store>/prefect/server.json`."""

    api: str
    ui: str
    server: ProcessMark
    worker: ProcessMark | None = None


def up(settings: Settings, port: int | None, tell: Callable[[str], None]) -> Services:
    """Start what isn't running: the server, the work pool, the deployments of prefect.yaml, the worker.

    Raises `ServiceError` with the end of the log of what didn't start.
    """
    store = _store(settings)
    store.prefect.mkdir(parents=True, exist_ok=True)
    with FileLock(store.prefect / "services.lock"):
        services = read_services(store)
        environment = _environment(settings, store)
        if services is None or not alive(services.server):
            services = _start_server(store, port, environment, tell)
        elif not answers(services.api):
            tell(f"waiting for the server at {services.ui}")
        api = services.api
        _wait(lambda: answers(api), store, "server", services.server)
        environment["PREFECT_API_URL"] = api
        tell("work pool and deployments")
        _deploy(api, environment)
        if services.worker is None or not alive(services.worker):
            tell("starting the worker")
            worker = _spawn(["worker", "start", "--pool", POOL, "--type", "process"], store, "worker", environment)
            services = services.model_copy(update={"worker": worker})
            write_json(_file(store), services.model_dump())
            _wait(lambda: _worker_online(api), store, "worker", worker)
        return services


def down(settings: Settings, tell: Callable[[str], None]) -> bool:
    """Stop worker and server, and what they started. False when nothing was running."""
    store = _store(settings)
    if not store.prefect.is_dir():
        return False
    with FileLock(store.prefect / "services.lock"):
        services = read_services(store)
        if services is None:
            return False
        running = False
        for name, mark in (("worker", services.worker), ("server", services.server)):
            if mark is not None and alive(mark):
                tell(f"stopping the {name}")
                _stop(mark)
                running = True
        _file(store).unlink(missing_ok=True)
        return running


def read_services(store: Store) -> Services | None:
    """Read what `cropline up` wrote; None where there is nothing."""
    try:
        return Services.model_validate_json(_file(store).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def alive(mark: ProcessMark) -> bool:
    """Return whether the very process that was marked still runs: same number, same start, a Prefect command line."""
    try:
        process = psutil.Process(mark.pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - mark.started) < 2
            and "prefect" in process.cmdline()
        )
    except psutil.Error:
        return False


def answers(api: str) -> bool:
    """Return whether the server's health check answers."""
    try:
        return _call(f"{api}/health") is not None
    except ServiceError:
        return False


def _file(store: Store) -> Path:
    return store.prefect / SERVER_FILE


def _store(settings: Settings) -> Store:
    """The store, its cubes where the settings say, but without the keys to them: those may lie in a block of the server to be started."""
    return open_store(settings.store, settings.cubes)


def _environment(settings: Settings, store: Store) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **environment,
        **QUIET,
        "PREFECT_HOME": str(store.prefect),
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",  # else `--watch` shows events and no word of the flow's own
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite is busy while many tasks report at once
        "CROPLINE_STORE": str(store.root),
        "CROPLINE_CUBES": str(store.cubes),
        "CROPLINE_BASE": str(settings.folder),
        "PYTHONUNBUFFERED": "1",
    }


def _start_server(
    store: Store, port: int | None, environment: Mapping[str, str], tell: Callable[[str], None]
) -> Services:
    chosen = _free_port(port)
    ui = f"http://127.0.0.1:{chosen}"
    tell(f"starting the server at {ui}; the first start makes its database")
    mark = _spawn(["server", "start", "--host", "127.0.0.1", "--port", str(chosen)], store, "server", environment)
    services = Services(api=f"{ui}/api", ui=ui, server=mark)
    write_json(_file(store), services.model_dump())
    return services


def _free_port(wanted: int | None) -> int:
    """The wanted port, else Prefect's usual one, else any. Raises `ServiceError` where the wanted one is taken."""
    for port in (wanted,) if wanted is not None else (PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceError(f"port {wanted} is taken. Name another with --port, or leave it out.")


def _spawn(words: list[str], store: Store, name: str, environment: Mapping[str, str]) -> ProcessMark:
    """Start ``prefect WORDS`` in a session of its own, its output in the store."""
    log = store.prefect / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, words of this module
            [sys.executable, "-m", "prefect", *words],
            env=dict(environment),
            cwd=store.prefect,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_default_signals,
        )
    return ProcessMark(pid=process.pid, started=psutil.Process(process.pid).create_time())


def _default_signals() -> None:
    # A shell's background job ignores interrupts and hands that down; the server would then ignore its first one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _wait(ready: Callable[[], bool], store: Store, name: str, mark: ProcessMark) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if not alive(mark) or time.monotonic() > deadline:
            log = store.prefect / f"{name}.log"
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


def _worker_online(api: str) -> bool:
    workers = _call(f"{api}/work_pools/{POOL}/workers/filter", {})
    return any(worker.get("status") == "ONLINE" for worker in workers or [])


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


def _stop(mark: ProcessMark) -> None:
    """Interrupt, wait, and end what is left of the process and of what it started."""
    process = psutil.Process(mark.pid)
    family = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGINT)
    _, left = psutil.wait_procs(family, timeout=STOP_TIMEOUT)
    for member in left:
        member.terminate()
    _, left = psutil.wait_procs(left, timeout=5)
    for member in left:
        member.kill()
    psutil.wait_procs(left, timeout=5)
