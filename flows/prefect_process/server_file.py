"""The file in which `cropline up` writes where the server answers that this store's worker asks, and which processes were started."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import Field, ValidationError

from catalog.products import Frozen
from catalog.storage.store import Store, open_store
from flows.own_server import SERVER_FILE
from flows.prefect_process import processes
from flows.settings import Settings


class ProcessMark(Frozen):
    """Mark that tells one process from a later one of the same number."""

    pid: int
    started: Annotated[float, Field(description="seconds since 1970")]

    @classmethod
    def of(cls, process: psutil.Process) -> ProcessMark:
        return cls(pid=process.pid, started=process.create_time())

    def runs(self) -> bool:
        """Return whether that process runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and processes.running(process)
        except psutil.Error:
            return False

    def stop(self) -> None:
        """End that process, and what it started, if it still runs."""
        if self.runs():
            processes.stop(psutil.Process(self.pid))


class Services(Frozen):
    """Content of `<store>/prefect/server.json`: where the server answers, and which processes were started."""

    api: str
    ui: str
    server: Annotated[ProcessMark | None, Field(description="none where it runs on another machine")] = None
    worker: ProcessMark | None = None


def read_services(store: Store) -> Services | None:
    """Read what `cropline up` wrote; None where there is nothing."""
    try:
        return Services.model_validate_json(server_file(store).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def works_for_another(settings: Settings) -> bool:
    """Return whether this store's worker asks a server on another machine."""
    services = read_services(service_store(settings))
    return services is not None and services.server is None


def port_before(store: Store) -> int | None:
    """Where the server answered that has crashed: a run that goes on looks for it there."""
    services = read_services(store)
    return None if services is None else urllib.parse.urlsplit(services.api).port


def server_file(store: Store) -> Path:
    return store.prefect / SERVER_FILE


def service_store(settings: Settings, *, create: bool = False) -> Store:
    """The store, its cubes where the settings say, but without the keys to them: those may lie in a block of the server to be started."""
    return open_store(settings.store, settings.cubes, create=create)
