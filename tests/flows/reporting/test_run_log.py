"""What a person who watches a run reads: task names, no noise, and the error last and alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from catalog.errors import SourceError
from flows.reporting import run_log
from flows.reporting.run_log import FLOWS, TASKS, make_readable


@pytest.fixture(autouse=True)
def _loggers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    monkeypatch.delenv("CROPLINE_DEBUG", raising=False)
    loggers = [logging.getLogger(name) for name in (TASKS, FLOWS)]
    before = [(logger, logger.propagate, logger.filters, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.filters, logger.handlers = True, [], []
    caplog.set_level(logging.INFO)
    make_readable()
    make_readable()
    yield
    for logger, propagate, filters, handlers in before:
        logger.propagate, logger.filters, logger.handlers = propagate, filters, handlers


def _fail(logger: str, message: str, error: Exception, **extra: str) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger(logger).error(message, exc_info=True, extra=extra)


def test_lines_of_tasks_begin_with_their_name_and_their_end_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    task = logging.getLogger(TASKS)
    task.info("Finished in state Completed()", extra={"task_run_name": "mask S2A_1"})
    task.info("Task run failed with %s - Retry %s/2", "exception", 1, extra={"task_run_name": "ingest S2A_1"})
    assert caplog.messages == ["ingest S2A_1: Task run failed with exception - Retry 1/2"]


def test_error_is_the_last_line_once_and_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = SourceError("source stac:none.json: no such file.")
    _fail(TASKS, "Task run failed with exception", error, task_run_name="order")
    _fail(FLOWS, "Encountered exception during execution", error, flow_run_id="1")
    logging.getLogger(FLOWS).info("Finished in state Failed('…')", extra={"flow_run_id": "1"})
    assert caplog.messages == ["order: Task run failed with exception", str(error)]
    assert caplog.records[-1].levelname == "ERROR"
    assert all(record.exc_info is None for record in caplog.records)


def test_error_that_nobody_foresaw_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    _fail(FLOWS, "Encountered exception during execution", ZeroDivisionError(), flow_run_id="1")
    logging.getLogger(FLOWS).info("Finished in state Failed('…')", extra={"flow_run_id": "1"})
    assert caplog.records[0].exc_info is not None
    assert caplog.messages[-1].startswith("Finished in state Failed")


def test_debugging_keeps_the_traceback_of_every_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPLINE_DEBUG", "1")
    _fail(FLOWS, "Encountered exception during execution", SourceError("gone"), flow_run_id="1")
    assert caplog.records[0].exc_info is not None


def test_loggers_are_those_of_prefect() -> None:
    from prefect.logging import loggers

    assert {run_log.TASKS, run_log.FLOWS} == {"prefect.task_runs", "prefect.flow_runs"}
    assert loggers.get_logger("prefect.task_runs").name == TASKS
