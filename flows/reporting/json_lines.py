"""Logs as JSON, an object a line, for programs that collect them: `CROPLINE_LOG_FORMAT=json`.

Prefect formats what it logs by a class that its settings name (`VARIABLES`). What processes print beside it, and what comes from
the processes of runs and isn't JSON yet, becomes a message.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TextIO

_request: ContextVar[str | None] = ContextVar("request", default=None)
"""Digest of the request that is worked on."""

VARIABLES = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
    "PREFECT_LOGGING_HANDLERS_DEBUG_FORMATTER": "json",
    "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": "flows.reporting.json_lines.JsonLines",
    "PREFECT_LOGGING_COLORS": "false",
}
"""What processes have in their environment whose logs are JSON: each names a place in Prefect's own logging.yml."""

_RUN = "PREFECT__FLOW_RUN_ID"
"""Names the run in the environment of its process."""

_OF_RUNS = {"flow_run_id": "flow_run", "flow_run_name": "flow_run_name", "task_run_name": "task_run"}
"""What Prefect tells of runs in a record, and what it is called in a line."""


@contextmanager
def logged_about(digest: str) -> Iterator[None]:
    """Name in each line of this block, also of threads that are begun with its context, the request that it is about, by its digest."""
    before = _request.set(digest)
    try:
        yield
    finally:
        _request.reset(before)


class JsonLines(logging.Formatter):
    """Formats a record as one line, with chosen fields only: what else hangs on a record may be anything."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        fields = {called: getattr(record, name, None) for name, called in _OF_RUNS.items()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return _line(record.levelname, record.name, record.getMessage(), record.created, **fields)


class JsonStream:
    """An output whose lines are all JSON objects; those that aren't are made messages of one, empty ones are left out."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._begun = ""
        self._lock = Lock()

    def write(self, text: str) -> int:
        """Write the lines that are whole by now."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            self._stream.write("".join(f"{self._as_json(line)}\n" for line in lines if line.strip()))
        return len(text)

    def end(self) -> None:
        """Write what has no end of a line."""
        if self._begun:
            self.write("\n")
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _as_json(self, line: str) -> str:
        with suppress(ValueError):
            if isinstance(json.loads(line), dict):
                return line
        return _line("INFO", self._name, line.rstrip(), datetime.now(UTC).timestamp())


def all_as_json() -> None:
    """Let all that this process and its runs write be JSON, where its environment says so."""
    if any(os.environ.get(name) != value for name, value in VARIABLES.items()):
        return
    for name in ("stdout", "stderr"):
        stream = JsonStream(getattr(sys, name), name)
        setattr(sys, name, stream)
        atexit.register(stream.end)


def _line(level: str, logger: str, message: str, seconds: float, **fields: str | None) -> str:
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    known = {"flow_run": os.environ.get(_RUN), "request": _request.get()}
    known |= {name: value for name, value in fields.items() if value is not None}
    line = {"time": time, "level": level, "logger": logger, "message": message, **known}
    return json.dumps({name: value for name, value in line.items() if value is not None})
