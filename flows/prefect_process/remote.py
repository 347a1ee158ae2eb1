"""`cropline up --api ADDRESS`: a worker of this machine for a server on another one.

The two share the server's address, its secret and the bucket of the cubes. The store, the home and all folders are this machine's own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from catalog.guards.addresses import split_address
from catalog.guards.environment import variable
from catalog.quoting import shown
from catalog.storage.store import Store
from catalog.storage.whole import write_json
from flows.leftovers import clear_leftovers
from flows.own_server import SECRET_FILE, read_secret
from flows.prefect_process import processes, work_pool
from flows.prefect_process.api import Api, SecretRefusedError, ServiceError
from flows.prefect_process.private_files import close_folder, keep_secret, private_umask
from flows.prefect_process.server_file import ProcessMark, Services, server_file, service_store
from flows.prefect_process.services import environment_of, start_worker, worker_name
from flows.prefect_process.work_pool import INTERACTIVE, POOL
from flows.settings import Settings

SECRET = "PREFECT_API_AUTH_STRING"  # noqa: S105 - a variable's name


_LOOKS = "It looks like https://HOST/api."


def join(settings: Settings, address: str, tell: Callable[[str], None]) -> Services:
    """Start this store's worker for the server at an address, or leave the one that runs.

    The secret is taken from PREFECT_API_AUTH_STRING, and kept in the store for later starts. Raises `ServiceError` where the server
    doesn't answer, isn't one of `cropline up` of the same version, or takes another secret.
    """
    api_address = api_of(address, settings.api_insecure)
    store = service_store(settings, create=True)
    with private_umask() as usual:
        close_folder(store.prefect)
        with FileLock(store.prefect / "services.lock", mode=0o600):
            if processes.services_of(store, "server"):
                raise ServiceError(
                    f"the store {store.root} has a server of its own, which runs. Stop it with `cropline down`, or set CROPLINE_STORE "
                    "to another folder."
                )
            api, runs, environment = joining(settings, store, api_address, tell)
            # What is scheduled looks at the store: subscriptions, and maps of before. It stays where they are.
            worker = start_worker(store, api, runs, environment, usual, tell, settings.place, INTERACTIVE)
            services = Services(api=api_address, ui=api_address.removesuffix("/api"), worker=ProcessMark.of(worker))
            write_json(server_file(store), services.model_dump())
            return services


def joining(
    settings: Settings, store: Store, api_address: str, tell: Callable[[str], None]
) -> tuple[Api, int, dict[str, str]]:
    """The server at an address, the runs that this machine has at once, and the environment of a worker that asks it.

    The server lets the worker in, and its pool has the runs. Raises `ServiceError` where it isn't so.
    """
    secret = variable(SECRET) or read_secret(store.prefect)
    api = Api(api_address, secret)
    _check_server(api, store.prefect, settings.place)
    if secret is not None:
        keep_secret(store.prefect, secret)
    clear_leftovers(store)
    if isinstance(store.cubes, Path):
        tell(
            f"cubes are in {store.cubes}: nothing is shared with other machines, neither what was read nor models. Set "
            "CROPLINE_CUBES to the bucket of the others (s3://bucket/prefix)."
        )
    runs = settings.runs or work_pool.usual_runs()
    work_pool.put_runs_right(api, worker_name(store), runs, settings.place)
    environment = environment_of(settings, store) | {"PREFECT_API_URL": api_address}
    if secret is not None:
        environment[SECRET] = secret
    return api, runs, environment


def api_of(address: str, insecure: str | None = None) -> str:
    """The address of a server's API, such as https://maps.example/api, with or without its last part.

    ``insecure``: the address that may do without TLS all the same, since nobody else is in the network there. Raises `ServiceError`
    where it is no address, or where the secret would go over the network for everybody to read.
    """

    def refuse(why: str) -> ServiceError:
        return ServiceError(f"--api: {why}. {_LOOKS}")

    parts = split_address(address, refuse)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        # Where it holds a password, nothing of it is repeated.
        raise refuse("no address of a server" if "@" in address else f"{shown(address)} is no address of a server")
    path = parts.path.rstrip("/")
    api_address = f"{parts.scheme}://{parts.netloc}{path if path.endswith('/api') else f'{path}/api'}"
    is_trusted = insecure is not None and insecure.rstrip("/") in (api_address, api_address.removesuffix("/api"))
    if parts.scheme == "http" and not _is_here(parts.hostname) and not is_trusted:
        port = parts.port or 80
        raise ServiceError(
            f"--api {shown(address)}: the way there is not encrypted, and would tell everybody on it the secret. Give an address with "
            f"https, or make a tunnel, such as: ssh -N -L {port}:127.0.0.1:{port} {parts.hostname}, and give http://127.0.0.1:{port}/api. "
            "In a network that nobody else is in, name the address in CROPLINE_API_INSECURE."
        )
    return api_address


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_server(api: Api, folder: Path, place: str) -> None:
    if not api.answers():
        raise ServiceError(
            f"no server answers at {api.address}. Start it there with `cropline up`, and see that the way to it is open."
        )
    try:
        server = api.ask("admin/version")
        pool = api.ask(f"work_pools/{place}")
    except SecretRefusedError:
        raise ServiceError(
            f"the server at {api.address} takes another secret. Set {SECRET} to the line of prefect/secret in the store of the server, "
            f"or copy that file to {folder / SECRET_FILE}."
        ) from None
    if server != version("prefect"):
        raise ServiceError(
            f"the server at {api.address} runs Prefect {shown(str(server))}, this is {version('prefect')}. Install the same version of "
            "Cropline on both."
        )
    if pool is None:
        remedy = (
            "" if place == POOL else f" Its store's places.json has to name the place {place} (CROPLINE_PLACE here)."
        )
        raise ServiceError(
            f"the server at {api.address} has no work pool {place!r}. Start it with `cropline up`, which makes one.{remedy}"
        )
