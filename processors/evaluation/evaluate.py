"""A delivered map against reference data: every row is compared, or counted with the reason why it isn't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import shapely

from catalog.errors import RequestError
from catalog.grid import PIXEL
from catalog.legend import NONE_OF_THESE, Legend, LegendClass
from catalog.legend_words import ReadAs, read_words
from catalog.quoting import escaped, shortened
from processors.delivery.areas import HECTARE
from processors.delivery.delivered_map import DeliveredMap
from processors.delivery.evaluations import (
    ClassFigures,
    Design,
    Evaluation,
    Figure,
    NoIntervals,
    StratumUse,
    Unused,
)
from processors.evaluation.comparison import at_points, in_parcels
from processors.evaluation.design import Ground, SampleDesign
from processors.evaluation.estimators import Estimate, Estimates, confusion, stratified, unmeasured, unweighted
from processors.evaluation.reference import Reference

_GREY = "#8a948e"
_LISTED = 20
_NONE = LegendClass(value=0, name=NONE_OF_THESE, colour=_GREY, role="ignore")


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Units that count: what the map shows and what the reference says (n,), positions in the map's classes, and the rows they are."""

    mapped: npt.NDArray[np.int64]
    reference: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def evaluate(
    delivered: DeliveredMap, reference: Reference, read_as: ReadAs | None = None, codes: Legend | None = None
) -> Evaluation:
    """Evaluate a map. ``read_as``: what the reference's column holds; ``codes``: a legend of its codes, else the map's own.

    Raises `RequestError` where no row can be compared, or the classes can't be understood.
    """
    where = f"reference {reference.path}, column {reference.column}"
    entries = delivered.entries
    words = read_words(reference.words, entries, codes or delivered.legend, read_as, where)
    compare = in_parcels if reference.parcels else at_points
    values, why = compare(delivered, reference.shapes)
    unused = Counter(reference.unused)
    if reference.design is not None and reference.design.ground.epsg == delivered.window.epsg:
        why = _of_the_sample(reference, reference.design, why, unused)
    for row, word in enumerate(reference.words):
        if why[row] is None and words.classes[row] < 0:
            why[row] = Unused.NO_CLASS if word is None else Unused.UNKNOWN_CLASS
    unused.update(reason for reason in why if reason is not None)
    places = {entry.value: number for number, entry in enumerate(entries)}
    rows = np.array([row for row, reason in enumerate(why) if reason is None], np.int64)
    if not len(rows):
        raise RequestError(
            f"reference {reference.path}: nothing of it can be compared with the map: {unused_text(unused)}."
        )
    compared = _Compared(np.array([places[int(values[row])] for row in rows], np.int64), words.classes[rows], rows)
    if (compared.reference == len(entries)).any():
        entries = (*entries, _NONE)
    matrix = confusion(compared.mapped, compared.reference, len(entries))
    kind, missing, strata, estimates = _estimated(delivered, reference, compared, len(entries))
    unknown = [word for word, _ in words.unknown.most_common(_LISTED)]
    return Evaluation(
        created=datetime.now(UTC),
        map=delivered.identifier,
        map_sha256=delivered.checksum,
        title=delivered.title,
        synthetic=delivered.synthetic,
        reference=escaped(reference.path.name),
        reference_sha256=reference.checksum,
        column=shortened(escaped(reference.column), 80),
        read_as=words.read_as.value,
        unit="parcel" if reference.parcels else "pixel",
        design=kind,
        no_intervals=missing,
        strata=strata,
        overall=_figure(estimates.overall),
        classes=_classes(delivered, entries, matrix, estimates),
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        proportions=() if missing else tuple(tuple(row) for row in np.clip(estimates.proportions, 0, 1).tolist()),
        unused=dict(sorted(unused.items())),
        unknown_classes=tuple(shortened(escaped(word), 80) for word in unknown),
        notes=(*_on_independence(delivered, reference), *_notes(unused, kind, strata, missing)),
    )


def unused_text(unused: Counter[Unused] | dict[Unused, int]) -> str:
    """Such as ``3 outside the map's area, 1 without a class``."""
    return ", ".join(f"{count} {kind.words}" for kind, count in sorted(unused.items()) if count) or "it holds no row"


def _of_the_sample(
    reference: Reference, design: SampleDesign, why: Sequence[Unused | None], unused: Counter[Unused]
) -> list[Unused | None]:
    """Reasons for not using rows of a sample, beside those there are; points that the file no longer holds are counted."""
    points = {point.id: point for point in design.points}
    seen: set[int] = set()
    judged: list[Unused | None] = []
    for shape, number, before in zip(reference.shapes, reference.ids, why, strict=True):
        point = points.get(number) if number is not None else None
        if point is None:
            judged.append(Unused.ADDED)
            continue
        if point.id in seen:
            judged.append(Unused.REPEATED)
            continue
        seen.add(point.id)
        moved = shapely.distance(shape, shapely.Point(*design.ground.place(point))) > PIXEL / 2
        judged.append(Unused.MOVED if moved else before)
    removed = len(points) - len(seen)
    if removed:
        unused[Unused.REMOVED] += removed
    return judged


def _estimated(
    delivered: DeliveredMap, reference: Reference, compared: _Compared, count: int
) -> tuple[Design, NoIntervals | None, tuple[StratumUse, ...], Estimates]:
    """What is known of the design, why that isn't enough, the strata, and the estimates that can be made with it."""
    design = reference.design
    matrix = confusion(compared.mapped, compared.reference, count)
    if design is None:
        missing = NoIntervals.PARCELS if reference.parcels else NoIntervals.NO_DESIGN
        return Design.UNKNOWN, missing, (), unweighted(matrix)
    if design.ground != Ground.of(delivered.window, delivered.areas.mapped):
        return Design.UNKNOWN, NoIntervals.OTHER_GROUND, (), unweighted(matrix)
    kind = Design.THIS_MAP if design.map_sha256 == delivered.checksum else Design.OTHER_MAP
    values = {point.id: point.value for point in design.points}
    position = {stratum.value: number for number, stratum in enumerate(design.strata)}
    stratum = np.array([position[values[int(reference.ids[row] or 0)]] for row in compared.rows], np.int64)
    answered = np.bincount(stratum, minlength=len(design.strata))
    strata = tuple(
        StratumUse(name=one.name, pixels=one.pixels, drawn=one.points, answered=int(used))
        for one, used in zip(design.strata, answered, strict=True)
    )
    sizes = np.array([one.pixels for one in design.strata], np.int64)
    if unmeasured(answered, sizes).any():
        return kind, NoIntervals.EMPTY_STRATUM, strata, unweighted(matrix)
    return kind, None, strata, stratified(stratum, compared.mapped, compared.reference, sizes, count)


def _classes(
    delivered: DeliveredMap, entries: Sequence[LegendClass], matrix: npt.NDArray[np.int64], estimates: Estimates
) -> tuple[ClassFigures, ...]:
    hectares = delivered.areas.mapped * PIXEL**2 / HECTARE
    counted = {row.entry.value: row.hectares for row in delivered.areas.rows}
    figures = []
    for number, (entry, found) in enumerate(zip(entries, estimates.classes, strict=True)):
        shown = entry is not _NONE
        figures.append(
            ClassFigures(
                value=entry.value if shown else None,
                name=entry.name,
                colour=entry.colour,
                users=_figure(found.users),
                producers=_figure(found.producers),
                f1=_figure(found.f1),
                iou=_figure(found.iou),
                mapped_hectares=counted[entry.value] if shown else 0.0,
                hectares=_figure(found.share, hectares),
                mapped_units=int(matrix[number].sum()),
                reference_units=int(matrix[:, number].sum()),
            )
        )
    return tuple(figures)


def _figure(estimate: Estimate | None, scale: float = 1.0) -> Figure | None:
    if estimate is None:
        return None
    error = estimate.standard_error
    return Figure(value=estimate.value * scale, standard_error=None if error is None else error * scale)


def _on_independence(delivered: DeliveredMap, reference: Reference) -> Iterator[str]:
    """A sentence where the map was made with the very labels that it is evaluated against."""
    request = delivered.item.properties["cropline:request"]
    if isinstance(request, dict) and request.get("labels") == str(reference.path):
        yield "These are the labels that the request gave, from which a model may have learnt: then the figures flatter the map."


def _notes(
    unused: Counter[Unused], kind: Design, strata: Sequence[StratumUse], missing: NoIntervals | None
) -> list[str]:
    """Sentences that whoever reads the figures has to know."""
    notes = []
    if kind is Design.OTHER_MAP and missing is None:
        notes.append(
            "The sample was drawn from another map of the same pixels: the strata are the classes of that one (Stehman 2014)."
        )
    silent = [stratum for stratum in strata if stratum.answered < stratum.drawn]
    if silent:
        listed = ", ".join(f"{one.name} {one.answered} of {one.drawn}" for one in silent)
        notes.append(
            f"Not all points of the sample have an answer that can be used ({shortened(listed, 300)}). The estimates take it that "
            "those without one are like the others of their stratum; where the hard cases were left out they flatter the map."
        )
    if missing is NoIntervals.EMPTY_STRATUM:
        short = ", ".join(one.name for one in strata if one.answered < min(2, one.pixels))
        notes.append(f"Strata with less than two answers: {shortened(short, 300)}.")
    if unused[Unused.UNKNOWN_CLASS]:
        notes.append(
            f"{unused[Unused.UNKNOWN_CLASS]} units of the reference are of a class that the legend doesn't know and are left out, "
            f"though the map can't be right there. Call them '{NONE_OF_THESE}' to have them counted as errors of the map."
        )
    return notes
