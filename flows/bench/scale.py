"""What a country, a union or the world would take, reckoned from measured requests: ``python -m flows.bench.scale RATES.json``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from catalog.errors import CroplineError
from catalog.guards.json_text import parse_model
from flows.bench.request_rates import RequestRates, RequestRow

EXTENTS = (("Belgium", 30_700), ("land of the EU-27", 4_100_000), ("the world's cropland", 16_000_000))
"""Names and km². Cropland: 1.6 billion hectares (FAO)."""

DATES, USED = 40, 27
"""Acquisitions ordered over a place from January to July, one each five days and a few more where orbits overlap; of these used."""

REQUEST_KM2 = 2500

H100_PATCHES = 605.53
"""Patches of 128 x 128 pixels a second that one H100 infers, January to July, mixed precision: the talk's table, not measured here."""

STAGES = 9
"""Stages of a request that are one task run each; ingestion and mask are one an acquisition."""

STATES = 3
"""States that a task run or flow run goes through at least, each an event: pending, running, completed."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What one extent takes."""

    requests: int
    read_tb: float
    stored_tb: float
    reading_hours: float
    """Hours of a core for all that is done for each acquisition: ingestion, masks, choice."""
    inference_hours: float
    """Hours of a core."""
    gpu_hours: float
    task_runs: int
    events: int


def reckon(row: RequestRow, threads: int, km2: float) -> Scale:
    """Scale a measured request up, each part by what it grows with."""
    parts = row.stages
    of_dates = km2 * DATES / (row.km2 * row.dates)
    patches = km2 * row.patches / row.km2
    by_date = sum(parts[name].seconds for name in ("order", "extend", "ingest", "mask", "season"))
    by_patch = parts["thematic"].seconds / row.patches * USED / row.used
    requests = ceil(km2 / REQUEST_KM2)
    task_runs = requests * (STAGES + 2 * DATES)
    return Scale(
        requests=requests,
        read_tb=parts["ingest"].read_mb * of_dates / 1e6,
        stored_tb=(parts["ingest"].written_mb + parts["mask"].written_mb) * of_dates / 1e6,
        reading_hours=by_date * of_dates * threads / 3600,
        inference_hours=by_patch * patches * threads / 3600,
        gpu_hours=patches / H100_PATCHES / 3600,
        task_runs=task_runs,
        events=STATES * (task_runs + requests),
    )


def table(rates: RequestRates) -> str:
    """The extents side by side, as Markdown, from the largest request that was measured."""
    scales = [reckon(rates.rows[-1], rates.threads, km2) for _, km2 in EXTENTS]
    lines = [
        ("", [name for name, _ in EXTENTS]),
        ("---", ["---:"] * len(EXTENTS)),
        ("km²", [f"{km2:,}" for _, km2 in EXTENTS]),
        ("requests of 2,500 km²", [f"{scale.requests:,}" for scale in scales]),
        ("read, TB", [_number(scale.read_tb) for scale in scales]),
        ("cubes, TB", [_number(scale.stored_tb) for scale in scales]),
        ("ingestion and masks, hours of a core", [_number(scale.reading_hours) for scale in scales]),
        ("inference, hours of a core", [_number(scale.inference_hours) for scale in scales]),
        ("or hours of an H100, by the talk's figures", [_number(scale.gpu_hours) for scale in scales]),
        ("task runs in Prefect", [f"{scale.task_runs:,}" for scale in scales]),
        ("events of their states at least", [f"{scale.events:,}" for scale in scales]),
    ]
    return "\n".join(f"| {' | '.join([name, *cells])} |" for name, cells in lines)


def _number(value: float) -> str:
    """Two digits that count: more are not known."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    given = Path(sys.argv[1])
    rates = parse_model(RequestRates, given.read_bytes(), lambda why: CroplineError(f"{given}: {why}."))
    sys.stdout.write(table(rates) + "\n")
