"""`cropline bench request`: whole requests on an archive that it makes, and what it tells of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from catalog.errors import RequestError
from flows.bench.request_rates import RequestRates, RequestRow, StageRate
from flows.commands.main import app


def test_a_quick_run_measures_every_stage(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    words = ["bench", "request", "--quick", "--edges", "128", "--folder", str(tmp_path), "--json", str(file)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rates = RequestRates.model_validate_json(file.read_text())
    (row,) = rates.rows
    assert (rates.synthetic, rates.quick, rates.archive) == (True, True, "invented fields")
    assert set(row.stages) == {
        "order", "extend", "ingest", "mask", "season", "model", "patch", "thematic", "domain", "mosaic", "views", "deliver",
    }  # fmt: skip
    assert (row.dates, row.patches) == (6, 1)
    assert row.km2 == pytest.approx(1.28**2)
    assert sum(stage.seconds for stage in row.stages.values()) < row.seconds
    assert 200 < row.peak_mb < 4000, "Python, Prefect and torch at least"
    assert min(row.decode_seconds, row.write_seconds, row.network_seconds) > 0
    assert "share of decoding and network" in done.output
    assert not list(tmp_path.glob("*scratch*")), "the archive and the stores are gone"


def test_growth_is_a_power_of_area_and_dates() -> None:
    def row(km2: float, seconds: float) -> RequestRow:
        stage = StageRate(seconds=seconds, peak_mb=1, read_mb=1, written_mb=1)
        return RequestRow(
            km2=km2, dates=6, used=6, cells=1, patches=1, stages={"ingest": stage}, seconds=seconds, peak_mb=1,
            decode_seconds=1, write_seconds=1, network_seconds=1,
        )  # fmt: skip

    rates = RequestRates(
        rows=(row(1, 7), row(10, 10), row(100, 1000)), archive="", bands=10, quick=False, device="", threads=2, versions={}
    )  # fmt: skip
    assert rates.growth() == {"ingest": pytest.approx(2.0)}


@pytest.mark.parametrize("edges", ["500,400", "100", "6000", "a", "500,500"])
def test_edges_that_make_no_sense_are_refused(edges: str) -> None:
    with pytest.raises(RequestError, match="no rising numbers of 128 to 4992"):
        CliRunner().invoke(app, ["bench", "request", "--quick", "--edges", edges], catch_exceptions=False)


def test_a_square_needs_its_area_and_year() -> None:
    with pytest.raises(RequestError, match="belong together"):
        CliRunner().invoke(app, ["bench", "request", "--quick", "--square", "stac:x.json"], catch_exceptions=False)
