"""A run has its folder for itself: the same request waits for the one before it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Event, Thread

from flows.reporting.json_lines import JsonLines
from flows.request import MapRequest
from flows.run import open_run
from flows.settings import Settings

REQUEST = MapRequest(area=[3.0, 51.0, 3.1, 51.1], year=2019, source="mission:seed=1")


class Waiting:
    """Reporter that lets go of what a stage waits for as soon as one begins."""

    def __init__(self, release: Event) -> None:
        self.release = release
        self.lines: list[str] = []

    def stage(self, name: str, total: int, waits_for: str) -> None:  # noqa: ARG002
        self.lines.append(f"{name}: waiting for {waits_for}")
        self.release.set()

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None: ...

    def finish(self, seconds: float, outcome: str) -> None:  # noqa: ARG002
        self.lines.append(outcome)


def test_the_same_request_waits_for_the_one_before(tmp_path: Path) -> None:
    settings, release, inside = Settings(store=str(tmp_path)), Event(), Event()
    order: list[str] = []

    def first() -> None:
        with open_run(REQUEST, settings):
            inside.set()
            assert release.wait(20)
            order.append("first")

    thread = Thread(target=first)
    thread.start()
    assert inside.wait(20)
    reporter = Waiting(release)
    elsewhere = REQUEST.model_copy(update={"output": str(tmp_path / "elsewhere"), "replace": True})
    with open_run(elsewhere, settings, reporter):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert reporter.lines == ["queue: waiting for the same request, which is running now", "the same request has ended"]


def test_another_request_does_not_wait(tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path))
    with open_run(REQUEST, settings), open_run(REQUEST.model_copy(update={"year": 2020}), settings) as other:
        assert other.folder.lock.exists()


def test_lines_of_the_log_name_the_request_while_it_runs(tmp_path: Path) -> None:
    def line() -> dict[str, str]:
        record = logging.LogRecord("flows.run", logging.INFO, __file__, 1, "text", None, None)
        named: dict[str, str] = json.loads(JsonLines().format(record))
        return named

    with open_run(REQUEST, Settings(store=str(tmp_path))) as run:
        assert line()["request"] == run.folder.path.name
    assert "request" not in line()
