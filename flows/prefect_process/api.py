"""The API of this store's Prefect server, asked without Prefect: importing it takes seconds."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from catalog.errors import CroplineError
from catalog.guards.json_text import parse_json
from flows.own_server import authorization

TIMEOUT = 60.0
"""Seconds that a server may take to answer. One that is gone refuses at once; one that takes many requests at a time is slow."""


class ServiceError(CroplineError):
    """The server or the worker can't be started, stopped or asked."""


class SecretRefusedError(ServiceError):
    """The server asks for another secret."""


@dataclass(frozen=True)
class Api:
    """The API at an address such as http://127.0.0.1:4200/api, and the secret that it asks for; None where it asks for none."""

    address: str
    secret: str | None = field(repr=False)

    def answers(self) -> bool:
        """Return whether the health check answers; it asks for no secret."""
        try:
            return self.ask("health") is not None
        except ServiceError:
            return False

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """The JSON that the server answers; None for what it doesn't know. Raises `ServiceError` when it doesn't answer."""
        address = f"{self.address}/{path}"
        headers = {"Content-Type": "application/json", **(authorization(self.secret) if self.secret else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 - written by `cropline up`
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                return parse_json(
                    answer.read() or b"null", lambda why: ServiceError(f"what the server at {address} answers {why}")
                )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            if error.code == 401:
                raise SecretRefusedError(
                    f"the server at {self.address} doesn't take this store's secret. `cropline up` puts it right."
                ) from error
            raise ServiceError(f"the server at {address} answered {error.code}: {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceError(f"no answer from {address}: {error}") from error
