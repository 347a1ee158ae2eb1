"""Exceptions as OGC API - Processes tells them: a type that programs read, a title, a detail whose first line names the cause."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from catalog.errors import AccessError, CroplineError, SourceError, StoreError
from flows.prefect_process.api import ServiceError

_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
NO_SUCH_PROCESS = f"{_OGC}no-such-process"
NO_SUCH_JOB = f"{_OGC}no-such-job"
RESULT_NOT_READY = f"{_OGC}result-not-ready"
INVALID_VALUE = "InvalidParameterValue"
"""Type of an exception about what was sent; the standard names it without an address."""
OTHER = "about:blank"
"""Type of an exception that says no more than its status (RFC 7807)."""

MEDIA_TYPE = "application/problem+json"

_AWAY = "The server behind this address doesn't answer at the moment, or not as it should. Try again later, or tell who runs it."
_NO_STORE = "The server can't read or write its own files at the moment. Try again later, or tell who runs it."
_log = logging.getLogger("uvicorn.error")


class RefusedError(Exception):
    """A request that isn't served, with all that its answer says."""

    def __init__(self, status: int, detail: str, kind: str = OTHER, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, dict(headers or {})

    @property
    def document(self) -> dict[str, Any]:
        """The exception as JSON has it."""
        title = self.kind.rsplit("/", 1)[-1] if self.kind != OTHER else HTTPStatus(self.status).phrase
        return {"type": self.kind, "title": title, "status": self.status, "detail": self.detail}


def invalid(detail: str) -> RefusedError:
    """What was sent is wrong."""
    return RefusedError(HTTPStatus.BAD_REQUEST, detail, INVALID_VALUE)


def of_error(error: CroplineError) -> RefusedError:
    """The refusal for an error of this software: who sent the request, the source, or this server is at fault.

    Where this server is, its log has the cause: addresses and files of its own are nobody else's.
    """
    if isinstance(error, ServiceError | StoreError):
        _log.error("an order or a question of a partner failed: %s", error)
        return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _AWAY if isinstance(error, ServiceError) else _NO_STORE)
    if isinstance(error, AccessError):
        return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    if isinstance(error, SourceError):
        return RefusedError(HTTPStatus.BAD_GATEWAY, str(error))
    return invalid(str(error))
