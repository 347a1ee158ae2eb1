"""`cropline up --foreground PART`: this process becomes one service of the store, for systemd, which starts, watches and stops it.

Each is what `cropline up` starts, with the same words and environment, so that `cropline status` and `prefect` commands find it, too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import psutil
from filelock import FileLock

from catalog.storage.store import Store
from catalog.storage.whole import write_json
from flows.leftovers import clear_leftovers
from flows.own_server import SECRET_FILE, read_secret
from flows.prefect_process import places, processes, services, work_pool
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.private_files import close_folder, kept_secret, private_umask
from flows.prefect_process.server_database import check_database, check_place, database_of, remember_place
from flows.prefect_process.server_file import (
    ProcessMark,
    Services,
    port_before,
    read_services,
    server_file,
    service_store,
)
from flows.settings import Settings

Tell = Callable[[str], None]


def become(part: processes.Service, settings: Settings, port: int | None, tell: Tell) -> NoReturn:
    """Make everything ready for a service of the store, and become it. Raises `ServiceError` where that can't be, or where it runs already.

    The server migrates its database. Its services and the worker wait for it first; the worker brings pool and deployments.
    """
    store = service_store(settings, create=True)
    with private_umask() as usual:
        close_folder(store.prefect)
        if part != "server":
            _wait_for_server(store, tell)
        with FileLock(store.prefect / "services.lock", mode=0o600):
            if running := processes.services_of(store, part):
                raise ServiceError(
                    f"the {part} of {store.root} runs already, as process {running[0].pid}. Stop it first: cropline down"
                )
            make = {"server": _server, "services": _loops, "worker": _worker}[part]
            options, environment = make(settings, store, port, tell)
        os.umask(usual if part == "worker" else 0o077)
        os.chdir(store.prefect)
        sys.stderr.flush()
        words = processes.command(part, options)
        os.execve(words[0], words, environment)  # noqa: S606 - this interpreter, words of this project


def _server(settings: Settings, store: Store, port: int | None, tell: Tell) -> tuple[list[str], Mapping[str, str]]:
    database = database_of(settings, store)
    behind = check_place(store, database)
    check_database(database)
    if behind:
        tell(behind)
    secret, new = kept_secret(store.prefect)
    if new:
        tell(f"to sign in, the server's pages ask for a password: it is the line in {store.prefect / SECRET_FILE}")
    before = read_services(store)
    free = services.free_port(port, port_before(store) or services.PREFERRED_PORT, services.PREFERRED_PORT)
    here = f"http://127.0.0.1:{free}"
    worker = None if before is None else before.worker
    own = Services(api=f"{here}/api", ui=here, server=ProcessMark.of(psutil.Process()), worker=worker)
    write_json(server_file(store), own.model_dump())
    remember_place(store, database)
    environment = services.environment_of(settings, store) | services.secured(secret)
    return services.server_options(free, database), services.server_environment(free, environment, database)


def _loops(settings: Settings, store: Store, _: int | None, __: Tell) -> tuple[list[str], Mapping[str, str]]:
    database = database_of(settings, store)
    if not database.has_broker:
        raise ServiceError(
            "the server's services have a process of their own only with CROPLINE_REDIS. Set it, or leave them out."
        )
    own = services.secured(read_secret(store.prefect) or "")
    return [], {**services.environment_of(settings, store), **own, **database.variables}


def _worker(settings: Settings, store: Store, _: int | None, tell: Tell) -> tuple[list[str], Mapping[str, str]]:
    found, secret = read_services(store), read_secret(store.prefect)
    if found is None or secret is None:
        raise ServiceError("the server is gone. Start it first.")
    clear_leftovers(store)
    runs = settings.runs or work_pool.usual_runs()
    environment = services.environment_of(settings, store) | services.secured(secret) | {"PREFECT_API_URL": found.api}
    elsewhere = places.elsewhere(settings)
    services.put_right(Api(found.api, secret), store, runs, elsewhere, environment, tell)
    marked = found.model_copy(update={"worker": ProcessMark.of(psutil.Process())})
    write_json(server_file(store), marked.model_dump())
    return services.worker_options(services.worker_name(store), runs), environment


def _wait_for_server(store: Store, tell: Tell) -> None:
    """Wait until the store's server answers. Raises `ServiceError` where it doesn't for long."""
    tell("waiting for the server")
    deadline = time.monotonic() + services.START_TIMEOUT
    while time.monotonic() < deadline:
        found = read_services(store)
        if found is not None and services.is_own(Api(found.api, read_secret(store.prefect))):
            return
        time.sleep(0.5)
    raise ServiceError(
        f"no server of {store.root} answered within {services.START_TIMEOUT:.0f} s. Start it: cropline up --foreground server"
    )
