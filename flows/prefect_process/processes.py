"""The processes that `cropline up` starts for a store: found by what the system says of them, started with a log, stopped.

They are known by their command line and their environment, not by a note of their number: a note may be missing, or speak of a
process that crashed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import psutil

from catalog.storage.store import Store

Service = Literal["server", "services", "worker", "ogc"]

COMMANDS: dict[Service, tuple[str, ...]] = {
    "server": ("flows.prefect_process.server", "server", "start"),
    "services": ("flows.prefect_process.server", "server", "services", "start"),
    "worker": ("flows.prefect_process.worker", "worker", "start"),
    "ogc": ("flows.ogc.serve", "serve"),
}
"""The module of each that is run, and its first words. The services are the server's own, where they have a process of their own;
``ogc`` is the interface of `cropline up --ogc`."""

STOP_TIMEOUT = 20.0
LOGS_KEPT = 5
"""Logs of earlier starts that are kept, by service."""


def started_for(store: Store) -> list[psutil.Process]:
    """All processes that run for a store on behalf of `cropline up`, the oldest first: services, flow runs, trainings."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: list[tuple[float, psutil.Process]] = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.status() != psutil.STATUS_ZOMBIE and _belongs(process, store):
                found.append((process.create_time(), process))
        except psutil.Error:
            continue  # another user's, or ended meanwhile
    return [process for _, process in sorted(found, key=lambda item: item[0])]


def services_of(store: Store, name: Service) -> list[psutil.Process]:
    """The servers or workers of a store, the oldest first; more than one where an earlier start went wrong."""
    return [process for process in started_for(store) if _is_service(process, name)]


def running(process: psutil.Process) -> bool:
    """True while a process runs; one that ended and that nobody waited for does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def option_of(process: psutil.Process, name: str) -> str | None:
    """The value of an option in a process's command line."""
    words: list[str] = process.cmdline()
    return words[words.index(name) + 1] if name in words[:-1] else None


def log_of(store: Store, name: Service) -> Path:
    """Where a service writes."""
    return store.prefect / f"{name}.log"


def end_of(log: Path) -> str:
    """The last lines of a log; empty where there is none."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]) if log.is_file() else ""


def command(name: Service, options: list[str]) -> list[str]:
    """The words that a service is started with: this interpreter's, and of this project."""
    return [sys.executable, "-m", *COMMANDS[name], *options]


def spawn(
    options: list[str], store: Store, name: Service, environment: Mapping[str, str], umask: int = -1
) -> psutil.Process:
    """Start a service in a session of its own, its output in a new log of the store. By default its umask is this process's.

    Secrets go into the environment: everybody on this machine may read a command line.
    """
    log = log_of(store, name)
    rotate(log)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, words of this project
            command(name, options),
            env=dict(environment),
            cwd=store.prefect,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_default_signals,
            umask=umask,
        )
    return psutil.Process(process.pid)


def stop(process: psutil.Process) -> None:
    """Interrupt a process, wait, and end what is left of it and of what it started. Nothing happens to one that has ended."""
    try:
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGINT)
    except psutil.NoSuchProcess:
        return
    _, left = psutil.wait_procs(family, timeout=STOP_TIMEOUT)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for member in left:
            try:
                end(member)
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(left, timeout=5)


def rotate(log: Path) -> None:
    """Make room for a new log: `server.log` becomes `server.1.log`, and so on; the oldest goes."""
    for number in range(LOGS_KEPT - 1, -1, -1):
        older = log.with_suffix(f".{number}.log") if number else log
        if older.is_file():
            older.replace(log.with_suffix(f".{number + 1}.log"))


def _belongs(process: psutil.Process, store: Store) -> bool:
    environment: dict[str, str] = process.environ()
    return environment.get("PREFECT_HOME") == str(store.prefect) and environment.get("CROPLINE_STORE") == str(
        store.root
    )


def _is_service(process: psutil.Process, name: Service) -> bool:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return False
    module, *first = COMMANDS[name]
    # `prefect server start` is what an earlier version of this software started.
    start = next((index for index, word in enumerate(words) if word in ("prefect", module)), len(words))
    return words[start + 1 : start + 1 + len(first)] == first


def _default_signals() -> None:
    # A shell's background job ignores interrupts and hands that down; the server would then ignore its first one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
