"""`cropline up --ogc`: the process of the interface, beside server and worker."""

from __future__ import annotations

import http.client
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import psutil
from filelock import FileLock

from catalog.guards.addresses import split_address
from catalog.quoting import shown
from flows.ogc.keys import KEYS_FILE, REALM, keep_first_key
from flows.own_server import read_secret
from flows.prefect_process import processes
from flows.prefect_process.api import ServiceError
from flows.prefect_process.private_files import private_umask
from flows.prefect_process.server_file import ProcessMark, Services, service_store
from flows.prefect_process.services import environment_of, free_port, knows, only, wait
from flows.settings import Settings

PREFERRED_PORT = 4280


@dataclass(frozen=True, slots=True)
class Place:
    """Where the interface is wanted."""

    host: str = "127.0.0.1"
    port: int | None = None
    address: str | None = None
    """Address by which others know it, where that is another one than that of host and port."""


def put_right(settings: Settings, services: Services, wanted: Place | None, tell: Callable[[str], None]) -> str | None:
    """Start the interface where it is ``wanted``; one that runs and asks for what changed is started anew. Returns its address.

    None, and nothing happens, where it neither runs nor is wanted. Raises `ServiceError`.
    """
    store = service_store(settings, create=True)
    with private_umask(), FileLock(store.prefect / "services.lock", mode=0o600):
        running = only(store, "ogc", tell)
        if wanted is None and running is None:
            return None
        environment = environment_of(settings, store) | {"PREFECT_API_URL": services.api}
        if (secret := read_secret(store.prefect)) is not None:
            environment["PREFECT_API_AUTH_STRING"] = secret
        if running is not None and knows(running, environment) and _is_at(running, wanted):
            return processes.option_of(running, "--address")
        wanted = wanted or _place_of(running)
        _check(wanted)
        if running is not None:
            tell("stopping the OGC interface, which asks another server or is elsewhere")
            processes.stop(running)
        if keep_first_key(store.prefect):
            tell(f"the OGC interface asks for a key: it is in {store.prefect / KEYS_FILE}, after its name and a colon")
        port = free_port(wanted.port, PREFERRED_PORT, host=wanted.host, option="--ogc-port")
        address = (wanted.address or f"http://{wanted.host}:{port}").rstrip("/")
        tell(f"starting the OGC interface at {address}")
        options = ["--host", wanted.host, "--port", str(port), "--address", address]
        process = processes.spawn(options, store, "ogc", environment)
        asked = "127.0.0.1" if wanted.host == "0.0.0.0" else wanted.host  # noqa: S104 - it is asked, not listened at
        wait(lambda: _answers(asked, port), store, "ogc", ProcessMark.of(process))
        return address


def _is_at(process: psutil.Process, wanted: Place | None) -> bool:
    if wanted is None:
        return True
    there = _place_of(process)
    return (
        there.host == wanted.host
        and wanted.port in (None, there.port)
        and (wanted.address is None or wanted.address.rstrip("/") == there.address)
    )


def _place_of(process: psutil.Process | None) -> Place:
    if process is None:
        return Place()
    host, port, address = (processes.option_of(process, name) for name in ("--host", "--port", "--address"))
    return Place(host or "127.0.0.1", int(port) if port else None, address)


def _check(place: Place) -> None:
    """Raise `ServiceError` where the interface can't be had, or not there."""
    if find_spec("pygeoapi") is None:
        raise ServiceError("--ogc: the package pygeoapi is missing. Install it: pip install 'cropline[ogc]'.")
    try:
        here = place.host == "localhost" or ipaddress.ip_address(place.host).is_loopback
    except ValueError as error:
        raise ServiceError(
            f"--ogc-host: {shown(place.host)} is no address of this machine, such as 127.0.0.1."
        ) from error
    if place.address is None and not here:
        raise ServiceError(
            f"--ogc-address: missing. Others reach {place.host} by another name, which links have to say: give such as "
            "https://maps.example.org/ogc, the address of a proxy with TLS, since keys are sent with every request."
        )
    if place.address is not None:
        parts = split_address(
            place.address, lambda why: ServiceError(f"--ogc-address: {why}. Give such as https://maps.example.org/ogc.")
        )
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or "@" in parts.netloc
            or parts.query
            or parts.fragment
        ):
            raise ServiceError("--ogc-address: no address such as https://maps.example.org/ogc.")


def _answers(host: str, port: int) -> bool:
    """Return whether the interface answers there: it asks everybody for a key."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/conformance")
        answer = connection.getresponse()
        return answer.status == 401 and REALM in (answer.headers.get("WWW-Authenticate") or "")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
