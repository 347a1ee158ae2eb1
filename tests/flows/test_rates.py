"""Rates: the benchmark that is shipped is the one in docs, an installation's own runs scale it, and records survive anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.storage.store import Store
from flows import rates
from flows.rates import RunRecord, benchmark, recorded, remember, runs_behind, seconds_for, source_kind

DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"


def _read(name: str) -> Any:
    return json.loads((DOCS / f"{name}-cpu-epyc-avx512-2-cores.json").read_text())


def _amount(row: dict[str, Any], unit: str) -> float:
    pixels = row["km2"] / 100  # of 100 m², in millions
    return {"run": 1.0, "pixels": pixels, "pixel_dates": pixels * row["dates"]}.get(unit, row["cells"] * row["dates"])


def _line(rows: list[dict[str, Any]], stage: str, unit: str) -> dict[str, float]:
    """The line through the smallest and the largest request, through 0 where it would begin below."""
    (low, small), (high, large) = ((_amount(row, unit), row["stages"][stage]["seconds"]) for row in (rows[0], rows[-1]))
    if high == low:
        return {"fixed": 0.0, "each": round(float(np.mean([row["stages"][stage]["seconds"] for row in rows])), 5)}
    each = (large - small) / (high - low)
    fixed = max(0.0, small - each * low)
    return {"fixed": round(fixed, 4), "each": round((large - fixed) / high, 5)}


def test_the_shipped_rates_are_those_of_the_benchmark_in_docs() -> None:
    """To renew them: write what `expected` is into flows/rates.json."""
    document, ingest = _read("request"), _read("ingest")
    expected = {
        "machine": f"{document['device']}, {document['threads']} threads",
        "jp2": round(ingest["pixels_per_second"] / ingest["pixels_per_second_jp2"], 1),
        "stages": {
            stage: _line(document["rows"], stage, rates.UNITS[stage])
            for stage in document["rows"][0]["stages"]
            if rates.UNITS[stage] != "trained"
        },
    }
    assert benchmark().model_dump() == expected


def test_the_benchmark_foretells_its_own_requests() -> None:
    for row in _read("request")["rows"]:
        work = {unit: _amount(row, unit) for unit in {*rates.UNITS.values()} if unit != "trained"}
        seconds, unmeasured = seconds_for(work, "stac:/a/catalog.json", "crop-map", [])
        measured = sum(stage["seconds"] for stage in row["stages"].values())
        assert sum(seconds.values()) == pytest.approx(measured, rel=0.25)
        assert unmeasured == set(seconds)


def test_own_runs_scale_the_benchmark_and_small_ones_are_not_blown_up() -> None:
    work = {"run": 1.0, "written": 432.0, "masked": 432.0, "pixels": 24.9}
    plain, _ = seconds_for(work, "stac:/a", "crop-map", [])
    small = RunRecord(
        source="stac:file",
        processor="crop-map",
        work={"run": 1, "written": 20.0, "pixels": 0.004},
        seconds={"ingest": 2 * rates._line("ingest", "stac:file").seconds(20), "deliver": 2.0},
    )
    scaled, unmeasured = seconds_for(work, "stac:/a", "crop-map", [small])
    assert scaled["ingest"] == pytest.approx(2 * plain["ingest"])
    assert scaled["deliver"] < 10 * plain["deliver"]
    assert "ingest" not in unmeasured
    assert "mask" in unmeasured
    other, _ = seconds_for(work, "cdse:", "vegetation", [small])
    assert other["ingest"] > 5 * plain["ingest"], "JP2"
    assert other["deliver"] == plain["deliver"], "of another processor"
    assert runs_behind(scaled.keys() - unmeasured, "stac:/a", "crop-map", [small]) == 1
    assert runs_behind(other, "cdse:", "vegetation", [small]) == 0, "nothing that it did is done there"


def test_what_there_is_nothing_to_do_for_takes_no_time() -> None:
    seconds, _ = seconds_for({"run": 1.0, "written": 0.0, "pixels": 1.0}, "stac:/a", "crop-map", [])
    assert "ingest" not in seconds


def test_records_are_kept_short_and_damaged_lines_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MOST_RECORDS", 5)
    store = Store(tmp_path)
    assert recorded(store) == []
    for number in range(40):
        remember(store, RunRecord(source="mission", processor="p", work={"run": number}, seconds={"order": 1.0}))
    with (tmp_path / rates.RECORDS).open("ab") as file:
        file.write(b'{"torn": \n')
    assert [record.work["run"] for record in recorded(store)] == [36, 37, 38, 39]
    assert len((tmp_path / rates.RECORDS).read_bytes().splitlines()) < 25
    remember(Store(tmp_path / "none" / "there"), recorded(store)[0])


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("stac:/a/catalog.json", "stac:file"),
        ("stac:https://host/v1#c", "stac:https"),
        ("safe:s3://bucket/p", "safe:s3"),
        ("cdse:", "cdse"),
        ("sentinelhub:https://h", "sentinelhub"),
        ("mission:seed=3", "mission"),
    ],
)
def test_sources_that_read_alike_are_of_one_kind(address: str, kind: str) -> None:
    assert source_kind(address) == kind
