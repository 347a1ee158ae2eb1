"""What a run tells the Prefect server, sent by a thread of its own: nothing of the run waits for it or fails with it.

While the server is away, what was put here waits; it is told when the server answers again, at the latest at the end of the run.
What can't be told even then is named by a line in the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Condition, Thread
from types import TracebackType
from typing import Self

import httpx
from prefect import get_run_logger
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

PAUSE = 2.0
"""Seconds between two attempts at a server that doesn't answer."""

PATIENCE = 240.0
"""Seconds that the end of a run waits for a server that doesn't answer; as long as Prefect itself does to tell how the run ended."""

Send = Callable[[], object]


class Outbox:
    """Calls that tell the server something, made in their order. Opened inside a flow, closed before the flow ends."""

    def __init__(self, pause: float = PAUSE, patience: float = PATIENCE) -> None:
        self._pause, self._patience = pause, patience
        self._logger = get_run_logger()
        self._waiting: dict[str, Send] = {}
        self._changed = Condition()
        self._closing = False
        self._away = False
        context = copy_context()  # in the thread the calls belong to this flow run, too
        self._thread = Thread(target=context.run, args=(self._work,), name="outbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._patience)
        with self._changed:
            if self._waiting:
                self._logger.warning(
                    "The Prefect server doesn't answer; it was not told of: %s. The run itself is not touched by this.",
                    ", ".join(self._waiting),
                )
                self._waiting.clear()  # and the thread ends

    def put(self, name: str, send: Send) -> None:
        """Have ``send`` called. What waits under the same name is out of date and is not sent any more."""
        with self._changed:
            self._waiting[name] = send
            self._changed.notify()

    def _work(self) -> None:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # what is sent again, and when, is decided here
            self._send_all()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                name = next(iter(self._waiting))
                send = self._waiting[name]
            done = self._sent(name, send)
            with self._changed:
                # What was put under this name meanwhile is another call.
                if done and self._waiting.get(name) is send:
                    del self._waiting[name]
            if not done:
                time.sleep(self._pause)

    def _sent(self, name: str, send: Send) -> bool:
        """True when nothing is left to do: the server took it, or refused it for good."""
        try:
            send()
        except (httpx.HTTPError, PrefectException) as error:
            if passing(error):
                if not self._away:
                    self._away = True
                    self._logger.warning("The Prefect server doesn't answer. The run goes on; it is told later.")
                return False
            self._logger.warning("The Prefect server doesn't take %s: %s", name, error)
            return True
        if self._away:
            self._away = False
            self._logger.info("The Prefect server answers again.")
        return True


def passing(error: Exception) -> bool:
    """True for what a later attempt may mend: no answer, or an answer that the server can't serve now."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    return isinstance(error, httpx.HTTPError)
