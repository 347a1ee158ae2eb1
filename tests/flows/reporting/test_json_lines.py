"""Logs as JSON lines: of Prefect's loggers by its own configuration, and of whatever else a process prints."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.reporting.json_lines import VARIABLES, JsonLines, JsonStream, logged_about

PROGRAM = """
import contextvars, logging, sys, threading
from flows.reporting.json_lines import all_as_json, logged_about
all_as_json()
print("printed")
print()
from prefect.logging.configuration import setup_logging
from prefect.logging.loggers import flow_run_logger
setup_logging()
logger = flow_run_logger(flow_run_id="0f", secret="not a field")
logging.getLogger("elsewhere").warning("two\\nlines: %s", "ä")
with logged_about("0123456789ab"):
    logger.info("a stage :cat:")
    thread = threading.Thread(target=contextvars.copy_context().run, args=(logger.info, "in a thread"))
    thread.start(), thread.join()
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("failed")
sys.stderr.write("no end")
"""


def record(text: str, *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, text, args, None)
    made.__dict__.update(more)
    return made


def test_a_process_of_prefect_writes_json_alone(tmp_path: Path) -> None:
    env = {**os.environ, **VARIABLES, "PREFECT_HOME": str(tmp_path), "PREFECT_LOGGING_TO_API_ENABLED": "false"}
    env |= {"PREFECT__FLOW_RUN_ID": "0f"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert [line["message"] for line in lines] == [
        "printed", "two\nlines: ä", "a stage 🐱", "in a thread", "failed", "no end",
    ]  # fmt: skip
    assert [line.get("request") for line in lines] == [None, None, "0123456789ab", "0123456789ab", None, None]
    assert {line["flow_run"] for line in lines} == {"0f"}
    assert [line["logger"] for line in lines[:3]] == ["stdout", "elsewhere", "prefect.flow_runs"]
    assert [line["level"] for line in lines[1:5]] == ["WARNING", "INFO", "INFO", "ERROR"]
    assert "ZeroDivisionError" in lines[4]["exception"]
    for line in lines:
        assert abs(datetime.fromisoformat(line["time"]) - datetime.now(UTC)) < timedelta(hours=1)
        assert "secret" not in line, "chosen fields only"


def test_without_the_variables_nothing_is_changed(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    code = "from flows.reporting.json_lines import all_as_json; all_as_json(); print('as it is')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300)
    assert done.stdout == "as it is\n"


def test_fields_of_a_line_have_their_names() -> None:
    made = record("read %d", 3, flow_run_id="0f", flow_run_name="crop-map", task_run_name="ingest")
    line = json.loads(JsonLines("default", None, "%").format(made))
    assert {name: line[name] for name in ("level", "logger", "message", "flow_run", "flow_run_name", "task_run")} == {
        "level": "WARNING",
        "logger": "a.logger",
        "message": "read 3",
        "flow_run": "0f",
        "flow_run_name": "crop-map",
        "task_run": "ingest",
    }


def test_a_request_s_name_goes_with_its_block() -> None:
    with logged_about("outer"):
        with pytest.raises(ValueError), logged_about("inner"):
            raise ValueError
        assert json.loads(JsonLines().format(record("text")))["request"] == "outer"
    assert "request" not in json.loads(JsonLines().format(record("text")))


@pytest.mark.parametrize(
    ("written", "messages"),
    [
        (["one\ntwo\n"], ["one", "two"]),
        (["o", "ne\n", "tw"], ["one", "tw"]),
        (['{"message": "as it is"}\n'], ["as it is"]),
        (['{"mess', 'age": "in parts"}\n'], ["in parts"]),
        (['{"message": broken}\n'], ['{"message": broken}']),
        (["[1]\n7\n\n  \n"], ["[1]", "7"]),
    ],
)
def test_lines_are_objects_however_they_come(written: list[str], messages: list[str]) -> None:
    out = io.StringIO()
    stream = JsonStream(out, "stdout")
    for part in written:
        stream.write(part)
        stream.flush()
    stream.end()
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == messages
    assert not stream.isatty(), "what else is asked of an output is the output's own"
