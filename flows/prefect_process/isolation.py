"""A Prefect of its own for runs in this process: no server, profile or setting of the user is read or changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.prefect_process.temporary_server import QUIET, TemporaryServer

_ISOLATED = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",  # nobody can read them there
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # the command says itself what went wrong, once
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_PLUGINS_ENABLED": "false",
}


@contextmanager
def isolated_prefect(server: TemporaryServer) -> Iterator[None]:
    """Import Prefect with this server's address; flows of the block run there. It may still be starting.

    Raises `RuntimeError` where Prefect is imported already, for then its settings are made.
    """
    if "prefect" in sys.modules:
        raise RuntimeError("prefect was imported before its environment was set")
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ.update({**QUIET, **_ISOLATED, "PREFECT_HOME": str(server.home)})
    # Prefect reads its settings when it is imported. The address and the secret leave the environment again: they are no
    # business of the processes started from here, and a block of credentials is asked of the user's server, not of this one.
    address = {"PREFECT_API_URL": server.api, "PREFECT_API_AUTH_STRING": server.secret}
    os.environ.update(address)
    try:
        from prefect.events.clients import NullEventsClient
        from prefect.events.worker import EventsWorker
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    finally:
        for name in address:
            os.environ.pop(name, None)
    EventsWorker.set_client_override(NullEventsClient)  # nobody listens: no connection is made for them
    # Nobody listens to heartbeats either, and the end of a flow waits up to a second for their thread. None can't be said in the
    # environment.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
