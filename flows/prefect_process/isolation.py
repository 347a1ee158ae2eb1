"""A Prefect of its own for runs in this process: no server, profile or setting of the user is read or changed."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from catalog.storage.store import Store

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Nothing is reported to anybody."""

_EPHEMERAL = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first start makes the database
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # the command says itself what went wrong, once
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # The server's libraries complain of requests that end with it.
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_PLUGINS_ENABLED": "false",
}


@contextmanager
def isolated_prefect(store: Store) -> Iterator[None]:
    """Set the environment so that Prefect, imported after this, starts a server for this process only.

    Its database is kept in the store, which makes later starts faster; where another run uses it, a temporary one serves.
    Raises `RuntimeError` when Prefect is imported already, for then its settings are made.
    """
    if "prefect" in sys.modules:
        raise RuntimeError("prefect was imported before its environment was set")
    with ExitStack() as stack:
        home = stack.enter_context(_home(store))
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        os.environ.update({**QUIET, **_EPHEMERAL, "PREFECT_HOME": str(home)})
        yield


@contextmanager
def _home(store: Store) -> Iterator[Path]:
    home = store.prefect / "ephemeral"
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with tempfile.TemporaryDirectory(prefix="cropline-prefect-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    try:
        _end_orphans(home)
        yield home
    finally:
        lock.release()


def _end_orphans(home: Path) -> None:
    """End the servers that killed runs left behind: those of this very database, which nobody else holds now."""
    orphans = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            serves = any(word.startswith("prefect.server.") for word in process.info["cmdline"] or ())
            if serves and process.environ().get("PREFECT_HOME") == str(home):
                process.terminate()
                orphans.append(process)
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to somebody else
    _, left = psutil.wait_procs(orphans, timeout=5)
    for process in left:
        process.kill()
