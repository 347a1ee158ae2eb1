"""Rows of the measurement: what was mapped, by which kinds, how well, and what was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agrunet.metrics import Scores
from catalog.products import Frozen
from catalog.storage.whole import write_json

CAVEAT = (
    "One square of 640 m, and points of two states and two provinces: what is measured holds for such places and years, and for no other. "
    "Labels of Arkansas and California are those of a map (Cropland Data Layer), not of the ground."
)

Figure = Literal["oa", "miou"]


class Run(Frozen):
    """One run of one kind."""

    seed: int
    oa: Annotated[float, Field(description="overall accuracy")]
    miou: Annotated[float, Field(description="mean intersection over union of the classes in the truth")]
    n_pixels: int
    iou: Annotated[dict[str, float], Field(description="by class")]
    ece: Annotated[float | None, Field(description="expected calibration error on the same pixels")] = None
    seconds: float = 0.0


class Row(Frozen):
    """One measurement: all kinds on the same pixels or points."""

    name: Annotated[str, Field(description="that names it, in one word or two")]
    what: Annotated[str, Field(description="what was learnt from and what was mapped")]
    figure: Annotated[Figure, Field(description="that is asked for")]
    asked: Annotated[float | None, Field(description="at least")] = None
    above_forest: Annotated[float | None, Field(description="what the best is asked to be above the forest")] = None
    kinds: Annotated[dict[str, tuple[Run, ...]], Field(description="runs by kind; `chosen` is what evidence took")]
    notes: tuple[str, ...] = ()

    def mean(self, kind: str, figure: Figure | None = None) -> float:
        """Mean over the seeds of a kind."""
        return float(np.mean([getattr(run, figure or self.figure) for run in self.kinds[kind]]))

    @property
    def delivered(self) -> str:
        """The kind that counts: what evidence chose, else the best."""
        if "chosen" in self.kinds:
            return "chosen"
        return max((kind for kind in self.kinds if kind != "forest"), key=self.mean, default="forest")

    @property
    def wanted(self) -> float | None:
        """Figure that is asked for in this run: stated, or so much above the forest of the same run."""
        if self.above_forest is not None:
            return self.mean("forest") + self.above_forest
        return self.asked

    @property
    def reached(self) -> bool | None:
        """Whether it is reached; None where nothing is asked."""
        return None if self.wanted is None else self.mean(self.delivered) >= self.wanted


class Curve(Frozen):
    """Accuracy by the number of fields of each crop that were learnt from."""

    name: str
    what: str
    fields: tuple[int, ...]
    kinds: Annotated[dict[str, tuple[tuple[float, ...], ...]], Field(description="mean IoU by kind: (fields, seeds)")]


class Measured(Frozen):
    """All that one command measured."""

    caveat: str = CAVEAT
    machine: str
    rows: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()


def run_of(scores: Scores, seed: int, ece: float | None = None, seconds: float = 0.0) -> Run:
    """Keep of scores what a row tells."""
    return Run(
        seed=seed,
        oa=round(scores.oa, 4),
        miou=round(scores.miou, 4),
        n_pixels=scores.n_pixels,
        iou={part.name: round(part.iou, 4) for part in scores.per_class},
        ece=None if ece is None else round(ece, 4),
        seconds=round(seconds, 1),
    )


def read_measured(path: Path, machine: str) -> Measured:
    """What was measured before into the same file; nothing where it isn't there."""
    return Measured.model_validate(json.loads(path.read_text("utf-8"))) if path.is_file() else Measured(machine=machine)


def record(path: Path, measured: Measured, row: Row | Curve) -> Measured:
    """Put a row or curve into the file, in place of an older one of its name, and give the whole back."""
    if isinstance(row, Row):
        rows = tuple(known for known in measured.rows if known.name != row.name)
        measured = measured.model_copy(update={"rows": tuple(sorted((*rows, row), key=lambda known: known.name))})
    else:
        curves = tuple(known for known in measured.curves if known.name != row.name)
        measured = measured.model_copy(update={"curves": tuple(sorted((*curves, row), key=lambda known: known.name))})
    write_json(path, measured.model_dump(mode="json"))
    return measured


def table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Rows as they are printed: each kind's mean and range over its seeds, and what was asked."""
    lines = []
    for row in rows:
        cells = {
            kind: f"{row.mean(kind):.3f}" + (f" ({min(v):.3f} to {max(v):.3f})" if len(v) > 1 else "")
            for kind, runs in row.kinds.items()
            if (v := [getattr(run, row.figure) for run in runs])
        }
        wanted = "" if row.wanted is None else f"{row.wanted:.3f} {'reached' if row.reached else 'NOT reached'}"
        lines.append({"row": row.name, "figure": row.figure, **cells, "asked": wanted})
    return lines
