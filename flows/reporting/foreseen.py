"""What a run would take, as values and as rows of the tables that show it in the terminal and in artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AwareDatetime, Field

from catalog.candidates import Candidate
from catalog.products import Frozen, LeftOut


class AcquisitionForeseen(Frozen):
    """One acquisition as the run would take it."""

    id: str
    time: AwareDatetime
    cloud_cover: Annotated[float | None, Field(description="tile-wide, percent")]
    cells_to_read: int
    cells_there: Annotated[int, Field(description="cells of the cube that hold it already: they cost nothing")]
    gigabytes: float
    processing_units: float


class DiskForeseen(Frozen):
    """Disk that a run fills, GB."""

    cubes: float
    run: Annotated[float, Field(description="the run's folder, until it is pruned")]
    delivery: float
    free: Annotated[float | None, Field(description="free where the cubes lie; None where they are in a bucket")]


class Estimate(Frozen):
    """What a request would take."""

    source: str
    area_km2: float
    cells: int
    squares: Annotated[
        int | None, Field(description="squares around points that the area is made of; None of other areas")
    ] = None
    acquisitions: tuple[AcquisitionForeseen, ...]
    left_out: tuple[LeftOut, ...]
    gigabytes: Annotated[float, Field(description="to be read from the source")]
    sized: Annotated[bool, Field(description="whether the source says how large its files are; else it is estimated")]
    processing_units: Annotated[float | None, Field(description="of Sentinel Hub; None of sources that charge nothing")]
    disk: DiskForeseen
    minutes: Annotated[dict[str, float], Field(description="by stage")]
    measured_runs: Annotated[int, Field(description="runs of this installation that the minutes come from")]
    unmeasured: Annotated[tuple[str, ...], Field(description="stages whose minutes come from the benchmark instead")]
    candidates: Annotated[
        tuple[Candidate, ...],
        Field(
            description="what could make the map, processors, models and places, the one taken and why not the others"
        ),
    ] = ()
    over_limits: Annotated[
        tuple[str, ...],
        Field(description="limits of the request that a run would exceed, in words: it would not start"),
    ] = ()
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences that belong below the figures, the most important one first."""
        stopped = "; ".join(self.over_limits)
        return (*((f"The limits would stop this run: {stopped}.",) if stopped else ()), *self.notes)

    def of_stages(self, *names: str) -> Estimate:
        """The same of some stages alone, of a run that delivers nothing."""
        minutes = {name: spent for name, spent in self.minutes.items() if name in names}
        return self.model_copy(
            update={
                "minutes": minutes,
                "candidates": (),
                "disk": self.disk.model_copy(update={"run": 0.0, "delivery": 0.0}),
            }
        )

    @property
    def total_minutes(self) -> float:
        return sum(self.minutes.values())


def estimate_rows(foreseen: Estimate) -> list[dict[str, str]]:
    """One row per thing that is taken: what, how much, and where the figure comes from."""
    reads = [item for item in foreseen.acquisitions if item.cells_to_read]
    there = len(foreseen.acquisitions) - len(reads)
    disk = foreseen.disk
    squares = "" if foreseen.squares is None else f"{foreseen.squares:,} squares of 1.28 km around points, "
    rows = [
        ("area", f"{foreseen.area_km2:,.1f} km²", f"{squares}on {foreseen.cells} of the cube's cells of 10.24 km"),
        ("acquisitions", f"{len(foreseen.acquisitions)}", f"{len(reads)} to read, {there} in the cube already"),
        ("read", _bytes(foreseen.gigabytes), _basis(foreseen, len(reads))),
    ]
    if foreseen.processing_units is not None:
        rows.append(
            (
                "Sentinel Hub",
                f"{foreseen.processing_units:,.1f} processing units",
                "by its published formula, for each request",
            )
        )
    free = "in a bucket" if disk.free is None else f"{disk.free:,.1f} GB are free"
    rows += [
        ("disk, cubes", _bytes(disk.cubes), free),
        ("disk, run and delivery", _bytes(disk.run + disk.delivery), "`cropline prune` frees the run's part"),
    ]
    rows += [
        (f"time, {stage}", f"{_amount(minutes)} min", "benchmark" if stage in foreseen.unmeasured else "measured here")
        for stage, minutes in foreseen.minutes.items()
        if minutes >= 0.05
    ]
    rows.append(
        ("time, all", f"{_amount(foreseen.total_minutes)} min", f"runs measured here: {foreseen.measured_runs}")
    )
    return [dict(zip(("what", "about", "from"), row, strict=True)) for row in rows]


def candidate_rows(candidates: Iterable[Candidate]) -> list[dict[str, str]]:
    """One row per candidate: what it is, how good, how fast, and why it was taken or not."""
    return [
        {
            "processor": one.processor,
            "model": one.model or "",
            "place": one.place,
            "accuracy": "unknown" if one.accuracy is None else f"{one.accuracy.words}, {one.accuracy.split}",
            "seconds": "" if one.seconds is None else f"{one.seconds:,.0f}{'' if one.measured else ' (not measured)'}",
            "taken": "yes" if one.taken else "no",
            "reason": one.reason,
        }
        for one in candidates
    ]


def foreseen_rows(foreseen: Estimate) -> list[dict[str, str]]:
    """One row per acquisition."""
    charged = foreseen.processing_units is not None
    return [
        {
            "acquisition": item.id,
            "date": f"{item.time:%Y-%m-%d}",
            "cloud (tile, %)": "unknown" if item.cloud_cover is None else f"{item.cloud_cover:.0f}",
            "cells to read": str(item.cells_to_read),
            "there": str(item.cells_there),
            "MB": f"{1000 * item.gigabytes:,.1f}",
            **({"processing units": f"{item.processing_units:.1f}"} if charged else {}),
        }
        for item in foreseen.acquisitions
    ]


def _bytes(gigabytes: float) -> str:
    return f"{_amount(gigabytes)} GB" if gigabytes >= 1 else f"{_amount(1000 * gigabytes)} MB"


def _amount(value: float) -> str:
    if 0 < value < 0.01:
        return "under 0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def _basis(foreseen: Estimate, reads: int) -> str:
    if not reads:
        return "all of it is in the cube"
    return "sizes of its files, the share that is read" if foreseen.sized else "estimated by pixels: sizes aren't told"
