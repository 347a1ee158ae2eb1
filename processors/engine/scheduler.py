"""A Dask scheduler that somebody else keeps running: who may be trusted with work, and what its workers can see."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult

import psutil
from distributed import Client, Security
from distributed.comm.core import connect

from catalog.errors import RequestError
from catalog.guards.addresses import split_address
from processors.engine.client import ClientEngine, silent
from processors.engine.packing import Resolve

_ENCRYPTED = {"tls", "wss"}
_TIMEOUT = 10.0
"""Seconds in which a scheduler must answer."""

_CERTIFICATES = (
    "Set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and "
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY to the files that the scheduler was started with"
)


@contextmanager
def scheduler_engine(
    address: str, resolve: Resolve | None, *, insecure: str | None, in_bucket: bool, shared_files: bool | None
) -> Iterator[ClientEngine]:
    """Connect to the workers of the scheduler at an address; for the other arguments see `open_engine`. Raises `RequestError`."""
    host = _parts(address).hostname or ""
    here = is_here(host)
    _check_encryption(address, here=here, insecure=insecure)
    if not here:
        _check_files(address, f"{address} isn't on this machine", in_bucket, shared_files)
    security: Any = Security()
    if _parts(address).scheme in _ENCRYPTED and not (security.tls_ca_file and security.tls_client_cert):
        raise RequestError(f"engine {address}: no certificates to be known by. {_CERTIFICATES}.")
    try:
        # A client that fails to start is left behind half open, and may stand in the way of others; so it is tried before.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, _knock(address, security)).result()
    except (OSError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"engine {address}: no Dask scheduler answers ({error}). Start one with `dask scheduler`, or use threads; where one runs, "
            "its certificates and these may not belong together."
        ) from error
    with silent(), Client(address, timeout=_TIMEOUT, set_as_default=False, security=security) as client:
        workers = [_parts(worker).hostname or "" for worker in client.scheduler_info(n_workers=-1)["workers"]]
        away = [worker for worker in workers if not is_here(worker)]
        if away:
            _check_files(address, f"its worker {away[0]} isn't on this machine", in_bucket, shared_files)
        shares = not away and here if shared_files is None else shared_files
        yield ClientEngine(client, resolve, is_scheduler=True, shares_files=shares)


def _parts(address: str) -> SplitResult:
    return split_address(address, lambda why: RequestError(f"engine: {why}. Use an address such as tls://host:8786."))


async def _knock(address: str, security: Any) -> None:
    """Try to connect to an address. Raises `OSError` where nobody answers, or answers to these certificates."""
    comm = await connect(address, timeout=_TIMEOUT, **security.get_connection_args("client"))
    await comm.close()


def _check_encryption(address: str, *, here: bool, insecure: str | None) -> None:
    if _parts(address).scheme in _ENCRYPTED or here or address == insecure:
        return
    raise RequestError(
        f"engine {address}: not encrypted and not on this machine, so anybody between could run programs as you. Start it with TLS "
        f"and use tls://…, or, where the network is yours alone, set CROPLINE_DASK_INSECURE={address}."
    )


def _check_files(address: str, why: str, in_bucket: bool, shared_files: bool | None) -> None:
    if in_bucket or shared_files:
        return
    raise RequestError(
        f"engine {address}: {why}, and the cubes are in a folder of this one. Set CROPLINE_CUBES to s3://bucket/prefix, or, where the "
        "store is a file system that all workers have at the same path, CROPLINE_SHARED_STORE=true."
    )


def is_here(host: str) -> bool:
    """Return whether a name or number of a host is this machine's."""
    try:
        resolved = {str(answer[4][0]) for answer in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    own = {address.address.partition("%")[0] for addresses in psutil.net_if_addrs().values() for address in addresses}
    return bool(resolved) and all(
        ipaddress.ip_address(number.partition("%")[0]).is_loopback or number in own for number in resolved
    )
