"""The progress of a flow run in the UI: one number that only grows, and counts each stage once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from flows.reporting import artifacts, outbox
from flows.reporting.artifacts import MAP_SHARES, TRAINING_SHARES, Artifacts


class _Told:
    """An outbox that sends at once."""

    def __init__(self) -> None:
        self.percents: list[float] = []

    def put(self, _name: str, send: Callable[[], object]) -> None:
        send()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> _Told:
    box = _Told()
    caplog.set_level(logging.INFO)
    for module in (artifacts, outbox):
        monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(artifacts, "Outbox", lambda: box)
    monkeypatch.setattr(artifacts, "PAUSE", 0.0)
    monkeypatch.setattr(artifacts, "create_progress_artifact", lambda percent, **_: box.percents.append(percent))
    return box


def test_shares_are_those_of_a_whole() -> None:
    assert sum(MAP_SHARES.values()) == sum(TRAINING_SHARES.values()) == 100


def test_a_model_that_is_looked_for_and_then_trained_counts_once(told: _Told) -> None:
    reporter = Artifacts(MAP_SHARES)
    for name in ("season", "model", "patches", "model", "patch", "thematic", "mosaic", "deliver"):
        reporter.stage(name, 2, "something")
        if name != "season" and "patches" not in told.percents:
            reporter.advance(1, 2)
        reporter.finish(1, "done")
    assert told.percents == sorted(told.percents)
    assert told.percents[-1] == 100

    again = Artifacts(MAP_SHARES)
    told.percents.clear()
    again.stage("model", 1, "a model that fits")
    again.finish(0.1, "none fits; one is trained from the labels")
    assert told.percents[-1] == 46, "what was done before, and nothing of the training"
    again.stage("patches", 1, "training patches")
    again.finish(1, "9 training patches")
    again.stage("model", 1, "training")
    again.advance(75, 150)
    assert told.percents[-1] == 46 + MAP_SHARES["model"] / 2, "half of the training"


def test_log_has_one_line_a_stage_with_its_time(told: _Told, caplog: pytest.LogCaptureFixture) -> None:
    reporter = Artifacts(MAP_SHARES)
    reporter.stage("ingest", 20, "pixels from the source")
    for done in range(20):
        reporter.advance(done + 1)
    reporter.finish(3.21, "20 acquisitions")
    assert caplog.messages == ["ingest: 20 acquisitions (3.2 s)"]
