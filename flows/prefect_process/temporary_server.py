"""A Prefect server for one run of this process: on a port, with a home and a secret of its own, gone when the run ends."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import CroplineError
from catalog.storage.scratch import scratch_folder
from flows.prefect_process.database import make_database

START_TIMEOUT = 120.0
"""Seconds; a machine may be busy, and without a script of the database the server has to make it."""

NEEDED_SPACE = 16_000_000
"""Bytes that a server should find free: its database, the log of changes beside it, and its output."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Nothing is reported to anybody."""

_UNNEEDED = {
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_EVENTS_STREAM_OUT_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
}
"""Services that are off: they serve those who watch a server, schedule on it or ask it later, and nobody can, of this one."""


class TemporaryServerError(CroplineError):
    """The server of a run can't be started."""


@dataclass(frozen=True)
class TemporaryServer:
    """A server that was started; it answers a few seconds later."""

    home: Path
    port: int
    secret: str
    process: subprocess.Popen[bytes]

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def wait(self) -> None:
        """Return when it answers. Raises `TemporaryServerError` with the end of its log where it doesn't."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise TemporaryServerError(self._why_not())
            time.sleep(0.05)

    def _why_not(self) -> str:
        free = shutil.disk_usage(self.home).free
        if free < NEEDED_SPACE:
            return (
                f"no space left in {self.home.parent} for the database of this run's Prefect server: {free / 1e6:.1f} of "
                f"{NEEDED_SPACE / 1e6:.0f} MB. Free some, or set TMPDIR to another folder."
            )
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        return "\n".join(["the Prefect server of this run did not start; the end of its log says:", *lines])

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=START_TIMEOUT) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def temporary_server() -> Iterator[TemporaryServer]:
    """Start a server and end it; in between it starts while this process does something else.

    It is in a session of its own, so that an interrupt from the terminal doesn't end it before the run that it serves.
    """
    with scratch_folder("prefect") as home:
        server = _started(home)
        try:
            yield server
        finally:
            server.process.kill()  # its database goes with it
            server.process.wait()


def _started(home: Path) -> TemporaryServer:
    secret = f"cropline:{secrets.token_urlsafe(24)}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        **QUIET,
        **_UNNEEDED,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_API_AUTH_STRING": secret,  # its services ask itself
        "PREFECT_PLUGINS_ENABLED": "false",
    }
    if make_database(home / "prefect.db"):
        environment["PREFECT_API_DATABASE_MIGRATE_ON_START"] = "false"
    # Bound and listening here: the address is known at once, nobody else can take it, and who asks too early waits.
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening, (home / "server.log").open("wb") as log:
        environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(  # noqa: S603 - this interpreter, a file of this package
            [
                sys.executable,
                "-P",
                str(Path(__file__).with_name("serve.py")),
                str(listening.fileno()),
                str(os.getpid()),
            ],
            env=environment,
            cwd=home,  # no prefect.toml of the user is read
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )
        return TemporaryServer(home, listening.getsockname()[1], secret, process)
