"""What a run's log says, line by line: Prefect's own lines are made to fit what a person who watches wants to know.

A line of a task begins with the task's name; that a task is over is said by its stage; an error that a user can act on is said once,
as the last line, without a traceback.
"""

from __future__ import annotations

import logging

from catalog.errors import CroplineError
from catalog.guards.environment import variable

TASKS, FLOWS = "prefect.task_runs", "prefect.flow_runs"
"""Prefect's loggers of runs."""


def make_readable() -> None:
    """Change what this process logs of runs, once. CROPLINE_DEBUG keeps tracebacks."""
    for name, kind in ((TASKS, _TaskLines), (FLOWS, _FlowLines)):
        logger = logging.getLogger(name)
        if not any(isinstance(known, kind) for known in logger.filters):
            logger.addFilter(kind())


class _TaskLines(logging.Filter):
    """Lines of tasks, each with its task's name."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Finished in state"):
            return False
        if _error_of(record) is not None:
            record.exc_info = record.exc_text = None
        name = getattr(record, "task_run_name", None)
        if name and not message.startswith(f"{name}: "):
            record.msg, record.args = f"{name}: {message}", ()
        return True


class _FlowLines(logging.Filter):
    """Lines of flows; an error that a user can act on takes the place of the line that names the last state."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: dict[str, CroplineError] = {}
        """By flow run: raised, and to be said at its end."""

    def filter(self, record: logging.LogRecord) -> bool:
        run, error = str(getattr(record, "flow_run_id", "")), _error_of(record)
        if error is not None:
            self._errors[run] = error
            return False
        if record.getMessage().startswith("Finished in state") and run in self._errors:
            record.msg, record.args = str(self._errors.pop(run)), ()
            record.levelno, record.levelname = logging.ERROR, "ERROR"
        return True


def _error_of(record: logging.LogRecord) -> CroplineError | None:
    """The error of a record where it needs no traceback."""
    error = record.exc_info[1] if record.exc_info else None
    debug = (variable("CROPLINE_DEBUG") or "0") not in ("0", "false")
    return error if isinstance(error, CroplineError) and not debug else None
