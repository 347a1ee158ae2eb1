"""A server that is away, refuses or never comes back: the run is not touched, and what could not be told is told later or named."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from flows.reporting import outbox
from flows.reporting.outbox import Outbox


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(outbox, "get_run_logger", lambda: logging.getLogger("run"))


def _answers(*kinds: int | None, told: list[str], name: str) -> Callable[[], None]:
    """A call that is not answered (None), refused with a status, or taken (200), in turn."""
    left = list(kinds)

    def send() -> None:
        kind = left.pop(0)
        request = httpx.Request("POST", "http://127.0.0.1/api/artifacts")
        if kind is None:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        if kind != 200:
            raise httpx.HTTPStatusError("refused", request=request, response=httpx.Response(kind, request=request))
        told.append(name)

    return send


def test_what_an_absent_server_missed_is_told_when_it_answers_in_the_same_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []
    with Outbox(pause=0.01) as box:
        box.put("progress", _answers(None, 503, None, 200, told=told, name="progress"))
        box.put("delivery", _answers(200, told=told, name="delivery"))
    assert told == ["progress", "delivery"]
    assert caplog.messages == [
        "The Prefect server doesn't answer. The run goes on; it is told later.",
        "The Prefect server answers again.",
    ]


def test_what_is_out_of_date_is_not_told_any_more() -> None:
    told: list[str] = []
    with Outbox(pause=0.05) as box:
        box.put("progress", _answers(*[None] * 100, told=told, name="1 of 9"))
        box.put("progress", _answers(None, 200, told=told, name="2 of 9"))
    assert told == ["2 of 9"]


def test_what_the_server_refuses_is_named_and_the_rest_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    with Outbox(pause=0.01) as box:
        box.put("map", _answers(422, told=told, name="map"))
        box.put("delivery", _answers(200, told=told, name="delivery"))
    assert told == ["delivery"]
    assert caplog.messages == ["The Prefect server doesn't take map: refused"]


def test_a_server_that_never_comes_back_costs_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    with Outbox(pause=0.01, patience=0.1) as box:
        box.put("map", _answers(*[None] * 1000, told=told, name="map"))
        box.put("delivery", _answers(200, told=told, name="delivery"))
    assert told == []
    assert "it was not told of: map, delivery." in caplog.messages[-1]


def _failing_run() -> None:
    with Outbox(pause=0.01, patience=0.1) as box:
        box.put("map", _answers(*[None] * 1000, told=[], name="map"))
        raise ZeroDivisionError


def test_the_error_of_a_run_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        _failing_run()
