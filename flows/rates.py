"""Rates of the stages of runs: how much each did in which time, remembered in the store, to tell how long another run would take.

An installation's own runs are asked first; of a stage that none of them tells about, the benchmark that comes with the software is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field

from catalog.area import Area, area_km2
from catalog.errors import RequestError
from catalog.grid import PIXEL
from catalog.guards.json_text import parse_model
from catalog.products import Frozen
from catalog.storage.store import Store
from flows.own_server import OWN_PLACE

Unit = Literal["run", "written", "masked", "cell_dates", "pixel_dates", "pixels", "trained"]
"""What the time of a stage grows with: the run itself, cells times dates that are written, masked, or there, pixels of the area times
dates, its pixels (both in millions), trainings."""

UNITS: dict[str, Unit] = {
    "order": "run", "extend": "written", "ingest": "written", "mask": "masked", "season": "cell_dates", "patches": "trained",
    "model": "trained", "promote": "trained", "patch": "run", "thematic": "pixel_dates", "domain": "run", "mosaic": "pixels",
    "views": "pixel_dates",
    "deliver": "pixels",
}  # fmt: skip
"""Units by stage."""

OF_PROCESSOR = ("thematic", "mosaic", "views", "deliver")
"""Stages whose time depends on the processor."""

MOST_RECORDS = 200
"""Runs that are looked at, the last ones: an installation changes."""

RECORDS = "rates.jsonl"

Work = Mapping[str, float]
"""Amounts by unit."""


class RunRecord(Frozen):
    """The work of one run, and the seconds that its stages took."""

    source: Annotated[str, Field(description="kind of source: its scheme, and where it lies")]
    processor: str
    model: Annotated[
        str | None, Field(description="checkpoint; none where the processor needs none, and in records of before")
    ] = None
    place: Annotated[str, Field(description="work pool that it ran in, or this machine's place")] = OWN_PLACE
    work: Annotated[dict[str, float], Field(description="amounts by unit")]
    seconds: Annotated[dict[str, float], Field(description="by stage")]


class Line(Frozen):
    """Seconds that a stage takes: some whatever there is to do, and some for each unit."""

    fixed: Annotated[float, Field(ge=0)]
    each: Annotated[float, Field(ge=0)]

    def seconds(self, amount: float) -> float:
        """Seconds for an amount of the stage's unit."""
        return self.fixed + self.each * amount


class Benchmark(Frozen):
    """What the benchmark that comes with the software measured: requests of 25, 250 and 2,492 km²."""

    machine: str
    jp2: Annotated[float, Field(description="times as long as a COG that reading a JP2 takes")]
    stages: dict[str, Line]


def source_kind(address: str) -> str:
    """Kind of a source by its address, as far as reading it takes as long: ``stac:file``, ``stac:https``, ``cdse``, ``mission``."""
    scheme, _, rest = address.partition(":")
    if scheme not in ("stac", "safe"):
        return scheme
    return f"{scheme}:{rest.partition('://')[0] if '://' in rest else 'file'}"


def millions_of_pixels(area: Area) -> float:
    """Pixels of an area (longitude, latitude), in millions, as amounts of work count them."""
    return area_km2(area) * 1e6 / PIXEL**2 / 1e6


def remember(store: Store, record: RunRecord) -> None:
    """Add a run to the store's records; what is longer than `MOST_RECORDS` is shortened."""
    path = store.root / RECORDS
    line = record.model_dump_json().encode() + b"\n"
    with suppress(OSError):  # a run doesn't fail for a measurement
        with path.open("ab") as file:  # one write of a short line: runs that end at once don't mix theirs
            file.write(line)
        if path.stat().st_size > 4 * MOST_RECORDS * len(line):
            kept = path.read_bytes().splitlines(keepends=True)[-MOST_RECORDS:]
            aside = path.with_suffix(f".{os.getpid()}")
            aside.write_bytes(b"".join(kept))
            aside.replace(path)


def recorded(store: Store) -> list[RunRecord]:
    """The store's last runs; lines that can't be read are passed over: they are measurements, and no more."""
    try:
        lines = (store.root / RECORDS).read_bytes().splitlines()[-MOST_RECORDS:]
    except OSError:
        return []
    records = []
    for line in lines:
        try:
            records.append(parse_model(RunRecord, line, RequestError))
        except RequestError:
            continue
    return records


@cache
def benchmark() -> Benchmark:
    """The benchmark's rates, which lie beside this module."""
    return parse_model(Benchmark, files("flows").joinpath("rates.json").read_bytes(), RequestError)


def seconds_for(
    work: Work, source: str, processor: str, records: Sequence[RunRecord]
) -> tuple[dict[str, float], frozenset[str]]:
    """Seconds that each stage takes for some work, and the stages of which only the benchmark tells.

    The benchmark tells how a stage's time grows, and runs of this installation how much slower or faster it is here: small runs
    would else be multiplied by a thousand. What a stage does with a source is compared with runs on sources of that kind, what a
    processor does with runs of that processor. A stage of which neither tells is left out.
    """
    kind = source_kind(source)
    expected: dict[str, float] = {}
    unmeasured = set()
    for stage, unit in UNITS.items():
        amount = work.get(unit, 0.0)
        if not amount:
            continue
        line = _line(stage, kind)
        told = [
            (record.seconds[stage], record.work[unit]) for record in records if _tells(stage, record, kind, processor)
        ]
        if told:
            expected[stage] = (
                line.seconds(amount)
                * sum(spent for spent, _ in told)
                / sum(map(line.seconds, (done for _, done in told)))
            )
        elif stage in benchmark().stages:
            expected[stage] = line.seconds(amount)
            unmeasured.add(stage)
    return expected, frozenset(unmeasured)


def seconds_of(
    work: Work, source: str, processor: str, model: str | None, place: str, records: Sequence[RunRecord]
) -> tuple[float | None, bool]:
    """Seconds that some work takes with a processor and its checkpoint in a place, and whether runs of just that tell them.

    Where none do, runs of that processor there are gone by, else those of it anywhere, else the benchmark. None where a training is part of
    the work and nothing tells how long one takes.
    """
    there = [record for record in records if record.place == place]
    # Runs of other processors and checkpoints tell of what all do alike, such as reading.
    same = [
        record
        if (record.processor, record.model) == (processor, model)
        else record.model_copy(update={"processor": ""})
        for record in there
    ]
    measured = any(_tells("thematic", record, source_kind(source), processor) for record in same)
    told = same if measured else there or list(records)
    expected, _ = seconds_for(work, source, processor, told)
    if work.get("trained") and "model" not in expected:
        return None, False
    return round(sum(expected.values()), 1), measured


def _line(stage: str, kind: str) -> Line:
    """How a stage's time grows, reading sources of a kind."""
    line = benchmark().stages.get(stage, Line(fixed=0, each=1))
    slower = benchmark().jp2 if stage == "ingest" and kind.startswith(("safe", "cdse")) else 1.0
    return Line(fixed=line.fixed, each=line.each * slower)


def runs_behind(stages: Iterable[str], source: str, processor: str, records: Sequence[RunRecord]) -> int:
    """How many runs tell how long some stages take: those that `seconds_for` goes by."""
    stages, kind = tuple(stages), source_kind(source)
    return sum(any(_tells(stage, record, kind, processor) for stage in stages) for record in records)


def _tells(stage: str, record: RunRecord, kind: str, processor: str) -> bool:
    """Whether a run tells how long a stage takes with sources of a kind and a processor."""
    unit = UNITS[stage]
    if not record.work.get(unit) or stage not in record.seconds:
        return False
    if unit in ("run", "written"):
        return record.source == kind
    return stage not in OF_PROCESSOR or record.processor == processor
