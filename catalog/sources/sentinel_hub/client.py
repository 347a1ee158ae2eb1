"""Client of a Sentinel Hub deployment on its own Python package: tokens, retries, and what went wrong in words."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from oauthlib.oauth2 import OAuth2Error
from requests import RequestException, Response
from sentinelhub.api.catalog import SentinelHubCatalog
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.decoding import decode_sentinelhub_err_msg
from sentinelhub.download.models import DownloadRequest
from sentinelhub.download.rate_limit import SentinelHubRateLimit
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.session import SentinelHubSession
from sentinelhub.exceptions import (
    BaseSentinelHubException,
    DownloadFailedException,
    OutOfRequestsException,
    SHRateLimitWarning,
)
from sentinelhub.geometry import BBox

from catalog.errors import AccessError, SourceError
from catalog.sources.connections import connection_words
from catalog.storage.credentials import SentinelHubAccess

Answer = TypeVar("Answer")

AT_ONCE = 4
"""Requests under way at once, of one acquisition."""

ATTEMPTS = 4
"""The attempts at a request that meets HTTP 5xx or a broken connection."""

PAUSE = 5.0
"""Seconds before the second attempt; three times as long before each further one."""

CROWDED = 10
"""The attempts at a request that meets HTTP 429; the service says how long to wait in between."""

LONGEST_WAIT = 600.0
"""Seconds. A service that asks for a longer wait has no room left today."""

_TIMEOUT = 120.0

# What these write at DEBUG holds the client's secret and tokens.
for _name in ("sentinelhub", "oauthlib", "requests_oauthlib"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# Waiting for one's turn is the service's everyday.
warnings.filterwarnings("ignore", category=SHRateLimitWarning)

# A token serves all acquisitions of a process.
_sessions: dict[SentinelHubAccess, SentinelHubSession] = {}
_RENEWING = threading.Lock()


class RefusedError(Exception):
    """The service refuses this very request (HTTP 4xx that isn't about who asks); the text says why."""


class _RateLimit(SentinelHubRateLimit):
    """The client's waiting, which else would last as long as a service likes."""

    def update(self, headers: Any, *, default: float) -> None:
        try:
            wait = int(headers.get(self.RETRY_HEADER, default))  # ms
        except ValueError:  # a date
            wait = int(default)
        if wait > LONGEST_WAIT * 1000:
            raise OutOfRequestsException(f"it asks to wait for {wait / 1000:.0f} s")
        super().update({self.RETRY_HEADER: wait}, default=default)


class SentinelHubService:
    """One deployment, asked in the name of one OAuth client."""

    def __init__(self, access: SentinelHubAccess) -> None:
        self._access = access
        self.url = access.base_url.rstrip("/")

    @property
    def config(self) -> SHConfig:
        """Configuration for the package's own classes, from its defaults: neither a file of the user's home nor the environment is read."""
        return SHConfig(
            use_defaults=True,
            sh_client_id=self._access.client_id.get_secret_value(),
            sh_client_secret=self._access.client_secret.get_secret_value(),
            sh_base_url=self.url,
            sh_token_url=self._access.token_url,
            max_download_attempts=ATTEMPTS,
            download_sleep_time=PAUSE,
            download_timeout_seconds=_TIMEOUT,
            max_retries=CROWDED,
        )

    def search(
        self, collection: str, bounds: tuple[float, float, float, float], period: tuple[datetime, datetime]
    ) -> list[dict[str, Any]]:
        """STAC items that meet longitude and latitude ``bounds`` and a period, its end included. Raises `SourceError`."""

        def question(client: SentinelHubDownloadClient) -> list[dict[str, Any]]:
            catalog = SentinelHubCatalog(client.config)
            catalog.client = client
            return list(catalog.search(collection, bbox=BBox(bounds, CRS.WGS84), time=period))

        try:
            return self._ask(question)
        except RefusedError as error:
            raise SourceError(f"source {self.url}: the search is refused: {error}.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"source {self.url}: its catalogue's answer can't be understood ({type(error).__name__}: {error}). "
                "Check SH_BASE_URL."
            ) from error

    def process(self, requests: Sequence[DownloadRequest]) -> list[bytes]:
        """The bodies of the answers, in order; `AT_ONCE` requests a call keep memory bounded.

        Raises `RefusedError` where one is refused, `SourceError` where the service can't be reached or refuses everything.
        """
        answers = self._ask(lambda client: client.download(requests, max_threads=AT_ONCE, decode_data=False))
        return [answer.content for answer in answers]

    def _ask(self, question: Callable[[SentinelHubDownloadClient], Answer]) -> Answer:
        """The answer to a question, with a new token where the service no longer takes the old one."""
        session, renewed = None, False
        while True:
            try:
                session = self._session(instead_of=session)
                client = SentinelHubDownloadClient(session=session, config=self.config)
                client.rate_limit = _RateLimit()
                return question(client)
            except (BaseSentinelHubException, RequestException, OAuth2Error) as error:
                failure = self._explained(error)
                expired = _status(error) == 401 and not renewed
            # Raised out here: the client's error carries the request, and that its token.
            if not expired:
                raise failure
            renewed = True

    def _session(self, instead_of: SentinelHubSession | None) -> SentinelHubSession:
        with _RENEWING:
            session = _sessions.get(self._access)
            if session is None or session is instead_of:
                _sessions[self._access] = session = SentinelHubSession(self.config)
            return session

    def _explained(self, error: Exception) -> SourceError | RefusedError:
        status, text = _status(error), self._without_secrets(_error_text(error), error)
        where = f"source {self.url}"
        if status == 401 or isinstance(error, OAuth2Error):
            return AccessError(
                f"{where}: the OAuth client or its token is not accepted: {text}. Check SH_CLIENT_ID and SH_CLIENT_SECRET, "
                "and that SH_BASE_URL and SH_TOKEN_URL belong to one deployment."
            )
        if isinstance(error, OutOfRequestsException):
            return SourceError(f"{where}: too many requests (HTTP 429): {text}. Go on later, or with a larger quota.")
        if status in (402, 403) and "processing units" in text.lower():
            return AccessError(
                f"{where}: the quota is used up: {text}. Wait until it is renewed, or ask for a smaller area."
            )
        if status == 403:
            return AccessError(f"{where}: this OAuth client may not do that (HTTP 403): {text}. Check its account.")
        if status is None or status == 404 or status >= 500:
            return SourceError(f"{where} can't be reached or fails: {text}. Check SH_BASE_URL, or go on later.")
        return RefusedError(f"HTTP {status}: {text}")

    def _without_secrets(self, text: str, error: Exception) -> str:
        sent = getattr(_cause(error), "request", None)
        token = "" if sent is None else str(sent.headers.get("Authorization") or "").removeprefix("Bearer ")
        for secret in (token, self._access.client_secret.get_secret_value(), self._access.client_id.get_secret_value()):
            text = text.replace(secret, "***") if secret else text
        return text


def _cause(error: Exception) -> Exception:
    wrapped = isinstance(error, DownloadFailedException) and error.request_exception is not None
    return error.request_exception if wrapped else error  # type: ignore[attr-defined]


def _status(error: Exception) -> int | None:
    response = getattr(_cause(error), "response", None)
    return response.status_code if isinstance(response, Response) else None


def _error_text(error: Exception) -> str:
    """The text of the service, or of what happened on the way to it, on one line."""
    cause = _cause(error)
    response = getattr(cause, "response", None)
    if isinstance(response, Response):
        text = decode_sentinelhub_err_msg(response) or f"HTTP {response.status_code}"
    else:
        text = connection_words(cause) or str(cause) or type(cause).__name__
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= 300 else f"{line[:300]}…"
