"""The terminal says the stage, how much is done, and what it waits for."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.reporting import progress
from flows.reporting.progress import Bars, Lines, LogLines, Rate, Reporter, Several, step


def _tell(reporter: Reporter) -> None:
    reporter.stage("ingest", 20, "pixels from the source")
    reporter.advance(7)
    reporter.finish(3.21, "20 acquisitions")


def _shown(bars: Bars) -> str:
    """What stands in the terminal now."""
    console = bars.progress.console
    with console.capture() as captured:
        console.print(bars.progress.get_renderable())
    return captured.get()


def test_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_PAUSE", 0.0)
    stream = io.StringIO()
    _tell(Lines(stream))
    assert stream.getvalue().splitlines() == [
        "ingest: 0/20, waiting for pixels from the source",
        "ingest: 7/20, waiting for pixels from the source",
        "ingest: 20 acquisitions (3.2 s)",
    ]


def test_lines_do_not_flood() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.stage("ingest", 1000, "pixels")
    for done in range(1000):
        lines.advance(done)
    assert len(stream.getvalue().splitlines()) == 1


def test_bar_shows_stage_count_and_what_it_waits_for() -> None:
    stream = io.StringIO()
    with Bars(Console(file=stream, force_terminal=True, width=120)) as bars:
        bars.stage("mask", 4, "cloud masks")
        bars.advance(3)
        shown = _shown(bars)
    assert "mask" in shown
    assert "3/4" in shown
    assert "waiting for cloud masks" in shown


def test_pace_leaves_out_what_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 61.0, 121.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream)
    lines.stage("simulate", 500, "patches")
    lines.advance(300)  # they lay there
    lines.advance(310)
    lines.advance(330)
    assert stream.getvalue().splitlines()[1:] == [
        "simulate: 310/500, waiting for patches, 10 a minute, 19 min left",
        "simulate: 330/500, waiting for patches, 15 a minute, 11 min left",
    ]


def test_rate_forgets_what_an_earlier_run_left() -> None:
    rate = Rate()
    for done in range(1, 301):  # they are there: passed in three seconds
        rate.add(done / 100, done)
    for done in range(301, 313):
        rate.add(3 + 10 * (done - 300), done)
    assert rate.per_second() == pytest.approx(0.1)


def test_log_says_every_half_minute_how_far_a_training_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines: list[str] = []
    log = LogLines(lines.append)
    log.stage("model", 1, "training")
    for done in range(1, 151):
        now = done * 0.5
        log.advance(done, 150)
    log.finish(75, "trained crops-2019")
    assert lines == [
        "model: 60/150, waiting for training, 120 a minute, 45 s left",
        "model: 120/150, waiting for training, 120 a minute, 15 s left",
        "model: trained crops-2019 (75.0 s)",
    ]


def test_bar_shows_pace_and_what_is_left() -> None:
    clock = 0.0
    bars = Bars(Console(file=io.StringIO(), force_terminal=True, width=140), lambda: clock)
    bars.stage("simulate", 10, "patches")
    for clock in (1.0, 31.0, 61.0):
        bars.advance(int(clock // 30) + 2)
    assert "4/10" in _shown(bars)
    assert "2 a minute, 180 s left" not in _shown(bars)
    assert "2 a minute, 3 min left" in _shown(bars)


def test_total_may_become_known_later() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.stage("mosaic", 1, "blended blocks")
    lines.advance(2, 9)
    lines.finish(0.5, "done")
    assert stream.getvalue().splitlines()[-1] == "mosaic: done (0.5 s)"


def test_several_reporters_hear_the_same() -> None:
    one, other = io.StringIO(), io.StringIO()
    _tell(Several(Lines(one), Lines(other)))
    assert one.getvalue() == other.getvalue() != ""


def test_a_step_says_its_outcome_and_what_it_waits_for_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_PAUSE", 0.0)
    stream = io.StringIO()
    with step(Lines(stream), "bench", "the first figure", 4) as under_way:
        under_way.advance(2, 4, "agrunet in fp32")
        under_way.outcome = "4 figures"
    first, second, last = stream.getvalue().splitlines()
    assert first == "bench: 0/4, waiting for the first figure"
    assert second.startswith("bench: 2/4, waiting for agrunet in fp32")
    assert last.startswith("bench: 4 figures (")
    assert under_way.seconds > 0


def test_bar_shows_what_it_waits_for_now() -> None:
    bars = Bars(Console(file=io.StringIO(), force_terminal=True, width=120))
    bars.stage("bench", 0, "the first figure")
    bars.advance(2, 9, "agrunet in fp32")
    assert "waiting for agrunet in fp32" in _shown(bars)
    assert "2/9" in _shown(bars)
