"""Evaluations that lie in a delivery, one a folder of `evaluation/`: their records, and which of them are of its very pixels.

An evaluation is of the pixels that it was made with, named by the checksum of the map's file. Delivered anew, a map that has other
pixels keeps the evaluations of the one before it, which are then said to be of an earlier map and claim nothing for this one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field

from catalog.guards.json_text import parse_model
from catalog.products import Frozen

FOLDER = "evaluation"
RECORD, PICTURE = "evaluation.json", "confusion.png"
"""Files of one evaluation, in a folder of its own that is named by its time."""

Z_95 = 1.96
"""Half-width of a 95 % interval in standard errors."""

Share = Annotated[float, Field(ge=0, le=1)]
Units = Annotated[int, Field(ge=0)]


class Unused(StrEnum):
    """The kinds of reasons for not using a row of reference data, or a point of a sample."""

    NO_GEOMETRY = "no_geometry"
    NO_PLACE = "no_place"
    """Row of a table without a longitude and a latitude."""
    OTHER_GEOMETRY = "other_geometry"
    """Lines, or several points in one row."""
    DAMAGED = "damaged"
    OUTSIDE = "outside"
    NO_DATA = "no_data"
    TOO_NARROW = "too_narrow"
    """Parcel inside of which no whole pixel lies."""
    UNDECIDED = "undecided"
    """Parcel that several classes share evenly."""
    NO_CLASS = "no_class"
    UNKNOWN_CLASS = "unknown_class"
    MOVED = "moved"
    """Point of a sample that lies elsewhere than it was drawn."""
    REPEATED = "repeated"
    ADDED = "added"
    """Row that is no point of the sample."""
    REMOVED = "removed"
    """Point of the sample that the file no longer holds."""

    @property
    def words(self) -> str:
        """Kind as a text shows it."""
        return _WORDS[self]


_WORDS = {
    Unused.NO_GEOMETRY: "without a geometry",
    Unused.NO_PLACE: "without longitude and latitude",
    Unused.OTHER_GEOMETRY: "lines, or several points in one",
    Unused.DAMAGED: "polygons that enclose nothing",
    Unused.OUTSIDE: "outside the map's area",
    Unused.NO_DATA: "where the map says nothing",
    Unused.TOO_NARROW: "too narrow for a whole pixel inside",
    Unused.UNDECIDED: "where two classes of the map share first place",
    Unused.NO_CLASS: "without a class",
    Unused.UNKNOWN_CLASS: "of a class that the map's legend doesn't know",
    Unused.MOVED: "moved from where they were drawn",
    Unused.REPEATED: "that stand there twice",
    Unused.ADDED: "that are no points of the sample",
    Unused.REMOVED: "of the sample that the file no longer holds",
}


class Design(StrEnum):
    """The kinds of what is known of how reference data were chosen."""

    THIS_MAP = "this_map"
    """Stratified by the classes of the evaluated map."""
    OTHER_MAP = "other_map"
    """Stratified by the classes of another map of the same ground."""
    UNKNOWN = "unknown"


class NoIntervals(StrEnum):
    """The kinds of reasons for giving neither intervals nor areas."""

    NO_DESIGN = "no_design"
    PARCELS = "parcels"
    OTHER_GROUND = "other_ground"
    """Sample that was drawn from a map of other pixels on the ground."""
    EMPTY_STRATUM = "empty_stratum"
    """Stratum of which less than two points have an answer."""

    @property
    def words(self) -> str:
        """Kind as a text shows it."""
        return _NO_INTERVALS[self]


_NO_INTERVALS = {
    NoIntervals.NO_DESIGN: (
        "How these points were chosen is not known, so they stand for themselves alone: no interval and no area can be estimated. "
        "`cropline sample` draws points of which that is known; the design is in the file that it writes, not in a copy of its points."
    ),
    NoIntervals.PARCELS: (
        "Parcels are counted one by one, whatever their size, and how they were chosen is not known: no interval and no area can be "
        "estimated. `cropline sample` draws points of which that is known."
    ),
    NoIntervals.OTHER_GROUND: (
        "The sample was drawn from a map that shows other pixels of the ground than this one: for this map its design is unknown, and "
        "no interval and no area can be estimated. Draw a sample from this map."
    ),
    NoIntervals.EMPTY_STRATUM: (
        "Of some strata less than two points have an answer: nothing can be estimated of them, and so no interval and no area of the "
        "whole. Fill in more points."
    ),
}


class Figure(Frozen):
    """An estimate with its standard error, where that is known."""

    value: float
    standard_error: Annotated[float | None, Field(ge=0)] = None

    @property
    def half_width(self) -> float | None:
        """Of the 95 % interval."""
        return None if self.standard_error is None else Z_95 * self.standard_error


class ClassFigures(Frozen):
    """Figures of one class; None where one is not defined."""

    value: Annotated[int | None, Field(description="map value; None of what the map can't show")]
    name: str
    colour: str
    users: Annotated[
        Figure | None, Field(description="user's accuracy: of what the map shows as this class, the part that is")
    ]
    producers: Annotated[
        Figure | None, Field(description="producer's accuracy: of what is this class, the part so shown")
    ]
    f1: Figure | None
    iou: Figure | None
    mapped_hectares: Annotated[float, Field(ge=0, description="pixels counted in the map")]
    hectares: Annotated[Figure | None, Field(description="estimate of the area that is this class, ha")] = None
    mapped_units: Annotated[Units, Field(description="of the reference data, shown as this class")]
    reference_units: Annotated[Units, Field(description="of the reference data that are this class")]

    @property
    def present(self) -> bool:
        """Whether the map or the reference shows it anywhere."""
        return bool(self.mapped_hectares or self.mapped_units or self.reference_units)


class StratumUse(Frozen):
    """A stratum of the sample: how much of the area it is, and what became of its points."""

    name: str
    pixels: Units
    drawn: Units
    answered: Annotated[Units, Field(description="points that are used")]


class Evaluation(Frozen):
    """A map against reference data."""

    created: AwareDatetime
    map: Annotated[str, Field(description="id of the map's item")]
    map_sha256: Annotated[str, Field(description="of the map's file: the evaluation is of these pixels and no others")]
    title: str
    synthetic: bool = False
    reference: Annotated[str, Field(description="name of the reference data's file")]
    reference_sha256: Annotated[
        str, Field(description="of that file; of the one that is named where a format has several")
    ]
    column: Annotated[str, Field(description="column of the classes")]
    read_as: Annotated[str, Field(description="what the column holds: codes, values or names")]
    unit: Annotated[str, Field(pattern="^(pixel|parcel)$")]
    design: Design
    no_intervals: NoIntervals | None = None
    strata: tuple[StratumUse, ...] = ()
    overall: Figure
    classes: tuple[ClassFigures, ...]
    matrix: Annotated[
        tuple[tuple[Units, ...], ...],
        Field(description="units by map class (rows) and reference class (columns), as in `classes`"),
    ]
    proportions: Annotated[
        tuple[tuple[Share, ...], ...],
        Field(description="the same as estimated shares of the area; empty without a design"),
    ] = ()
    unused: dict[Unused, Units] = {}
    unknown_classes: Annotated[
        tuple[str, ...], Field(description="what the reference calls them, the most frequent first")
    ] = ()
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        return sum(map(sum, self.matrix))

    @property
    def intervals(self) -> bool:
        return self.overall.standard_error is not None


class KeptEvaluation(Frozen):
    """An evaluation in a delivery, and the folder that holds it."""

    folder: Path
    record: Evaluation


def kept_evaluations(delivery: Path) -> list[KeptEvaluation]:
    """The evaluations in a delivery's folder, latest first; a record that can't be understood, which somebody changed, is none."""
    kept = []
    for record in (delivery / FOLDER).glob(f"*/{RECORD}"):
        with suppress(OSError, ValueError):
            kept.append(
                KeptEvaluation(folder=record.parent, record=parse_model(Evaluation, record.read_bytes(), ValueError))
            )
    return sorted(kept, key=lambda one: (one.record.created, one.folder.name), reverse=True)


def of_these_pixels(kept: Sequence[KeptEvaluation], checksum: str) -> tuple[list[KeptEvaluation], list[KeptEvaluation]]:
    """Evaluations of the map with that checksum, and those of earlier maps; each latest first."""
    these = [one for one in kept if one.record.map_sha256 == checksum]
    return these, [one for one in kept if one.record.map_sha256 != checksum]


def carry_over(before: Path, new: Path) -> None:
    """Copy the evaluations of the delivery that a new one takes the place of."""
    if (before / FOLDER).is_dir():
        shutil.copytree(before / FOLDER, new / FOLDER, dirs_exist_ok=True)
