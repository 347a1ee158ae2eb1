"""`cropline up` and `cropline down`: this store's Prefect server and worker, as processes of this machine."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import psutil
from filelock import FileLock

from catalog.storage.store import Store
from catalog.storage.whole import write_json, written_whole
from flows.leftovers import clear_leftovers
from flows.own_server import PUBLIC, SECRET_FILE
from flows.prefect_process import automations, places, processes, work_pool
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.private_files import close_folder, kept_secret, private_umask
from flows.prefect_process.server_database import (
    DATABASE_VARIABLES,
    Database,
    check_database,
    check_place,
    database_of,
    remember_place,
)
from flows.prefect_process.server_file import ProcessMark, Services, port_before, server_file, service_store
from flows.prefect_process.status import check_whole
from flows.prefect_process.temporary_server import QUIET
from flows.prefect_process.work_pool import POOL
from flows.reporting.json_lines import VARIABLES
from flows.settings import Settings

PREFERRED_PORT = 4200
START_TIMEOUT = 180.0

_TAKEN = "already in use"
"""Words in the log of a server whose port somebody else took, before Prefect's look at it or after."""

WORKER_FILE = "worker"
"""File in the store's folder `prefect`: the number of its worker."""

PREFECT_FILE = Path(__file__).resolve().with_name("prefect.yaml")
"""The deployments: a link to the file at the top of the checkout, a file in an installed wheel."""


def up(settings: Settings, port: int | None, tell: Callable[[str], None]) -> Services:
    """Start what isn't running: the server, the work pool with its queues, the automation, the deployments of prefect.yaml, the worker.

    Whatever was running or had crashed before, one server and one worker run afterwards, and the worker asks that server. Both know
    the store's secret, which is made where there is none. Where events go through Redis, the server's services are a process beside it.
    Raises `ServiceError` with the end of the log of what didn't start, or with what is wrong with the database that is set.
    """
    store = service_store(settings, create=True)
    check_whole(store)
    elsewhere = places.elsewhere(settings)
    database = database_of(settings, store)
    with private_umask() as usual:
        close_folder(store.prefect)
        with FileLock(store.prefect / "services.lock", mode=0o600):
            behind = check_place(store, database)
            check_database(database)
            if behind:
                tell(behind)
            if left := clear_leftovers(store):
                tell(f"cleared away what killed processes left: {left} {'folder' if left == 1 else 'folders'}")
            secret, new = kept_secret(store.prefect)
            if new:
                tell(
                    f"to sign in, the server's pages ask for a password: it is the line in {store.prefect / SECRET_FILE}"
                )
            environment = environment_of(settings, store) | secured(secret)
            services = _answering_server(store, port, environment, database, secret, tell)
            api = Api(services.api, secret)
            remember_place(store, database)
            loops = _loops(store, environment, database, tell)
            environment["PREFECT_API_URL"] = services.api
            runs = settings.runs or work_pool.usual_runs()
            put_right(api, store, runs, elsewhere, environment, tell)
            worker = start_worker(store, api, runs, environment, usual, tell)
            if loops is not None:  # it has had the time to fail
                wait(loops.runs, store, "services", loops)
            services = services.model_copy(update={"worker": ProcessMark.of(worker)})
            write_json(server_file(store), services.model_dump())
            return services


def down(settings: Settings, tell: Callable[[str], None]) -> bool:
    """Stop worker, server and the OGC interface, and what they started. False when nothing was running."""
    store = service_store(settings)
    if not store.prefect.is_dir():
        return False
    with FileLock(store.prefect / "services.lock"):
        running = False
        for name in ("ogc", "worker", "services", "server"):
            for process in processes.services_of(store, name):
                tell(f"stopping the {name}")
                processes.stop(process)
                running = True
        for process in processes.started_for(store):  # of a worker that crashed
            tell("stopping a run that lost its worker")
            processes.stop(process)
            running = True
        server_file(store).unlink(missing_ok=True)
        return running


def environment_of(settings: Settings, store: Store) -> dict[str, str]:
    """What all processes that are started for a store have in their environment; no secrets of Prefect's.

    Raises `ServiceError` where a restore of the store was not finished: nothing is started for half of one.
    """
    check_whole(store)
    # The server alone is told of its database: runs have no business there.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") and name not in DATABASE_VARIABLES
    }
    return {
        **environment,
        **QUIET,
        **(VARIABLES if settings.log_format == "json" else {}),
        "PREFECT_HOME": str(store.prefect),
        "PREFECT_PLUGINS_ENABLED": "false",  # ours serves commands; in the process of a run's hooks Prefect can't even load one
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",  # else `--watch` shows events and no word of the flow's own
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",  # and lines show when they are written
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(automations.HEARTBEAT),
        # Attempts 2, 4, 8 … s apart: a run tells how it ended also to a server that is away for four minutes.
        "PREFECT_CLIENT_MAX_RETRIES": "7",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite is busy while many tasks report at once
        "CROPLINE_STORE": str(store.root),
        "CROPLINE_CUBES": str(store.cubes),
        "CROPLINE_BASE": str(settings.folder),
        "CROPLINE_PLACE": settings.place,
        "PYTHONUNBUFFERED": "1",
        # Where links of the log lead.
        **({PUBLIC: settings.public_url, "PREFECT_UI_URL": settings.public_url} if settings.public_url else {}),
    }


def put_right(
    api: Api,
    store: Store,
    runs: int,
    elsewhere: tuple[str, ...],
    environment: Mapping[str, str],
    tell: Callable[[str], None],
) -> None:
    """Make what the server holds for the store's worker as it should be: pools, queues, automation, deployments. Raises `ServiceError`.

    ``elsewhere``: other places that requests may be sent to.
    """
    tell("work pool and deployments")
    work_pool.put_right(api, worker_name(store), runs)
    automations.put_right(api)
    _prefect(["block", "register", "--module", "flows.prefect_process.credentials_block"], environment)
    _prefect(["--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)], environment)
    places.put_right(api, elsewhere)


def secured(secret: str) -> dict[str, str]:
    """What the server and those that ask it have in their environment, to refuse everybody who doesn't know the secret."""
    return {"PREFECT_SERVER_API_AUTH_STRING": secret, "PREFECT_API_AUTH_STRING": secret}


def _answering_server(
    store: Store,
    port: int | None,
    environment: Mapping[str, str],
    database: Database,
    secret: str,
    tell: Callable[[str], None],
) -> Services:
    """The store's server, which answers. Where another program took the port in the meantime, on another one."""
    for last in (False, False, True):
        services, server = _server(store, port, environment, database, tell)
        api = Api(services.api, secret)
        if not is_own(api):
            tell(f"waiting for the server at {services.ui}")
            try:
                wait(partial(is_own, api), store, "server", server, gives_up=_TAKEN)
            except ServiceError as error:
                taken = _TAKEN in str(error) or api.answers()  # whoever took it may not answer yet, or be gone again
                if taken:  # without a port it may run on and never end: it waits for its own loops
                    server.stop()
                if last or port is not None or not taken or server.runs():
                    raise
                tell(f"another server answers at {services.ui}")
                continue
        break
    return services


def is_own(api: Api) -> bool:
    """Return whether a server answers that knows the secret: at a port that was free a moment ago another one may answer."""
    try:
        return api.ask("admin/version") is not None
    except ServiceError:
        return False


def _server(
    store: Store, port: int | None, environment: Mapping[str, str], database: Database, tell: Callable[[str], None]
) -> tuple[Services, ProcessMark]:
    """The store's server, which runs and may not answer yet, and its process."""
    server = only(store, "server", tell)
    if server is not None and not knows(server, {**environment, **database.variables}):
        tell("stopping the server, which doesn't ask for this store's secret or has another database")
        processes.stop(server)
        server = None
    if server is None:
        free = free_port(port, port_before(store) or PREFERRED_PORT, PREFERRED_PORT)
        tell(f"starting the server at http://127.0.0.1:{free}; the first start makes its database")
        server = processes.spawn(
            server_options(free, database), store, "server", server_environment(free, environment, database)
        )
    ui = f"http://127.0.0.1:{processes.option_of(server, '--port')}"
    mark = ProcessMark.of(server)
    services = Services(api=f"{ui}/api", ui=ui, server=mark)
    write_json(server_file(store), services.model_dump())
    return services, mark


def server_options(port: int, database: Database, host: str = "127.0.0.1") -> list[str]:
    """The words that the server is started with, behind its command; ``host``: name or number of this machine at which it listens."""
    return ["--host", host, "--port", str(port), *(["--no-services"] if database.has_broker else [])]


def server_environment(port: int, environment: Mapping[str, str], database: Database) -> dict[str, str]:
    """What the server has in its environment, beside what all processes of a store have."""
    here, public = f"http://127.0.0.1:{port}", environment.get(PUBLIC)
    # No page but its own gets an answer, under all names that a browser may be given.
    origins = [here, f"http://localhost:{port}", *([public] if public else [])]
    return {
        **environment,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_UI_API_URL": f"{public or here}/api",  # else the UI may ask the usual port, where another server answers
        # The pages are copied with their address written in, by default to where Prefect is installed, which may be another user's.
        "PREFECT_UI_STATIC_DIRECTORY": f"{environment['PREFECT_HOME']}/ui-{version('prefect')}",
        **database.variables,
    }


def _loops(
    store: Store, environment: Mapping[str, str], database: Database, tell: Callable[[str], None]
) -> ProcessMark | None:
    """The process of the server's services; None where they are in the server's own."""
    process = only(store, "services", tell)
    wanted = {**environment, **database.variables}
    if process is not None and not (database.has_broker and knows(process, wanted)):
        tell("stopping the server's services, which are in the server or have another database")
        processes.stop(process)
        process = None
    if process is None and database.has_broker:
        tell("starting the server's services")
        process = processes.spawn([], store, "services", wanted)
    return None if process is None else ProcessMark.of(process)


def start_worker(
    store: Store,
    api: Api,
    runs: int,
    environment: Mapping[str, str],
    umask: int,
    tell: Callable[[str], None],
    pool: str = POOL,
    queue: str | None = None,
) -> psutil.Process:
    """The store's worker, which asks that server, for one queue of a pool or all. What its runs deliver is as open as other files."""
    worker = only(store, "worker", tell)
    if worker is not None and not (knows(worker, environment) and processes.option_of(worker, "--pool") == pool):
        tell("stopping the worker, which asks a server that is gone, doesn't know the secret, or serves another place")
        processes.stop(worker)
        worker = None
    if worker is not None:
        if (limit := processes.option_of(worker, "--limit")) != str(runs):
            tell(f"the worker keeps its limit of {limit} runs at once until `cropline down`, then `cropline up`")
        return worker
    tell(f"starting the worker, for {runs} {'run' if runs == 1 else 'runs'} at once")
    started = datetime.now(UTC)
    name = worker_name(store)
    worker = processes.spawn(worker_options(name, runs, pool, queue), store, "worker", environment, umask)
    # One that crashed counts as online for a while.
    wait(lambda: name in work_pool.workers_online(api, started, pool), store, "worker", ProcessMark.of(worker))
    return worker


def worker_options(name: str, runs: int, pool: str = POOL, queue: str | None = None) -> list[str]:
    """The words that the worker is started with, behind its command; for one queue of a pool or all."""
    options = ["--pool", pool, "--type", "process", "--limit", str(runs), "--name", name]
    return options if queue is None else [*options, "--work-queue", queue]


def worker_name(store: Store) -> str:
    """Name of a store's worker on this machine, the same after each start: it knows by it which runs are its own.

    Machines may have one name, and their stores the same path, so a number that was drawn once is part of it.
    """
    file = store.prefect / WORKER_FILE
    try:
        number = file.read_text(encoding="ascii").strip()
    except (FileNotFoundError, ValueError):
        number = ""
    if not number:
        number = secrets.token_hex(6)
        with written_whole(file) as temporary:
            temporary.write_text(f"{number}\n", encoding="ascii")
    return f"{socket.gethostname()}-{number}"


def knows(process: psutil.Process, environment: Mapping[str, str]) -> bool:
    """Return whether a service was started with this secret, addresses and database; each may be none."""
    has = process.environ()
    names = (
        "PREFECT_API_AUTH_STRING",
        "PREFECT_API_URL",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "PREFECT_SERVER_DOCKET_URL",
        PUBLIC,
    )
    return all(has.get(name) == environment.get(name) for name in names)


def only(store: Store, name: processes.Service, tell: Callable[[str], None]) -> psutil.Process | None:
    """The server or worker that runs, or None. Where there are several, all but the oldest are stopped."""
    kept, *others = processes.services_of(store, name) or [None]
    for process in others:
        tell(f"stopping a second {name}")
        processes.stop(process)
    return kept


def free_port(wanted: int | None, *usual: int, host: str = "127.0.0.1", option: str = "--port") -> int:
    """The wanted port, else the first of the usual ones that is free, else any. Raises `ServiceError` where the wanted one is taken."""
    for port in (wanted,) if wanted is not None else (*usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceError(f"port {wanted} is taken. Name another with {option}, or leave it out.")


def wait(
    ready: Callable[[], bool], store: Store, name: processes.Service, mark: ProcessMark, gives_up: str | None = None
) -> None:
    """Wait for a service. Raises `ServiceError` where it ends, takes too long, or has these words in the end of its log."""
    deadline = time.monotonic() + START_TIMEOUT
    log = processes.log_of(store, name)
    while not ready():
        ended = not mark.runs() or time.monotonic() > deadline
        said = processes.end_of(log) if ended or gives_up else ""
        if ended or (gives_up and gives_up in said):
            raise ServiceError(f"the {name} did not start; the end of {log} says:\n{said}".rstrip())
        time.sleep(0.25)


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
