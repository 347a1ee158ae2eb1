"""Reading of a catalogue's documents over HTTP, redirects and paging included, from allowed networks only."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection

from catalog.guards.addresses import split_address
from catalog.networks import Network, RefusedAddressError, allowed_addresses, network_of
from catalog.sources.address import is_url

TIMEOUT = 60.0
"""Seconds without an answer."""

RETRY = Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "POST"),  # a search changes nothing
    retry_after_max=30,  # a service may ask for an hour
    raise_on_status=False,
)


# It tells of each attempt, in the words of its own classes, between the lines of a progress; the last one is told by who asked.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class WebReader(StacApiIO):
    """Reads documents at URLs, and nothing else: pystac_client's own reads files too, and goes wherever it is led."""

    def __init__(self, networks: Collection[Network]) -> None:
        """``networks``: those that each address, also one that is redirected to, may lie on."""
        super().__init__(timeout=TIMEOUT)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Guarded(networks))

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """The text at a URL or behind a link. Raises `APIError`; `refusal` tells whether it was refused here."""
        href = getattr(source, "href", source)
        if not is_url(str(href)):
            raise APIError(f"{href} is no URL")
        return str(super().read_text(source, *args, **kwargs))


def refusal(error: BaseException) -> RefusedAddressError | None:
    """The refusal that an error comes from; None where it comes from something else."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RefusedAddressError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


class _Guarded(HTTPAdapter):
    """Sends requests to allowed networks only; each redirect is a request of its own."""

    def __init__(self, networks: Collection[Network]) -> None:
        self._networks = networks
        self._connections = {
            "http": _checked(HTTPConnection, networks),
            "https": _checked(HTTPSConnection, networks),
        }
        super().__init__(max_retries=RETRY)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        parts = split_address(request.url or "", APIError)
        # A name that can't be resolved is told where it is connected to; a proxy may know it.
        with suppress(OSError):
            allowed_addresses(str(parts.hostname or ""), parts.port or 0, self._networks)
        return super().send(request, *args, **kwargs)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = self._connections[str(pool.scheme)]
        return pool


def _checked(kind: type[HTTPConnection], networks: Collection[Network]) -> type[HTTPConnection]:
    """A connection that sends nothing to an address which its name has come to mean since it was judged."""

    class Checked(kind):  # type: ignore[misc,valid-type]
        def connect(self) -> None:
            super().connect()
            if self.proxy is None and (peer := self.sock.getpeername()[0]) and network_of(peer) not in networks:
                self.close()
                raise RefusedAddressError(f"{self.host} is {peer} now, which is {network_of(peer).words}")

    Checked.__name__ = kind.__name__  # as errors call it
    return Checked
