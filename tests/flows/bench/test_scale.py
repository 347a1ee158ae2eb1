"""What is reckoned from a measured request, by hand, and the document's table, from its JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.bench.request_rates import RequestRates, RequestRow, StageRate
from flows.bench.scale import reckon, table

STAGES = ("order", "extend", "ingest", "mask", "season", "thematic")


def test_each_part_grows_with_what_it_depends_on() -> None:
    stages = {name: StageRate(seconds=3600, peak_mb=1, read_mb=1000, written_mb=500) for name in STAGES}
    row = RequestRow(
        km2=100, dates=10, used=9, cells=1, patches=200, stages=stages, seconds=1, peak_mb=1, decode_seconds=1, write_seconds=1,
        network_seconds=1,
    )  # fmt: skip
    scale = reckon(row, 2, 5001)
    assert scale.requests == 3
    assert scale.read_tb == pytest.approx(0.001 * 50.01 * 4)
    assert scale.stored_tb == pytest.approx(0.001 * 50.01 * 4)
    assert scale.reading_hours == pytest.approx(5 * 2 * 50.01 * 4), "five stages, two cores, 40 dates for 10"
    assert scale.inference_hours == pytest.approx(2 * 50.01 * 3), "27 dates for 9"
    assert scale.gpu_hours == pytest.approx(200 * 50.01 / 605.53 / 3600)
    assert (scale.task_runs, scale.events) == (3 * 89, 3 * (3 * 89 + 3))


def test_the_document_shows_what_its_figures_give(repository: Path) -> None:
    docs = repository / "docs"
    (measured,) = (docs / "benchmarks").glob("request-*.json")
    rates = RequestRates.model_validate_json(measured.read_bytes())
    text = (docs / "scale.md").read_text(encoding="utf-8")
    assert table(rates) in text
    assert f"benchmarks/{measured.name}" in text
    for row in rates.rows:
        assert f"| {row.km2:,.0f} | {row.seconds:.0f} | {row.peak_mb:,.0f} |" in text
