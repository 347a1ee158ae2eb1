"""Verdicts on the declared parcels of a request, as a table and as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.errors import AgrunetError
from agrunet.evidence import load_evidence
from catalog.errors import ModelError
from catalog.legend import Legend
from catalog.products import Frozen
from processors.conformity.declarations import Declarations, Fit, read_declarations
from processors.conformity.probabilities import ParcelProbabilities
from processors.conformity.thresholds import Thresholds, fit_thresholds
from processors.conformity.verdicts import Judged, ReasonKind, Rule, Seen, Verdict
from processors.thematic.judgement import DeclaredAs, Judgement
from processors.views.curves import LEAST_CLEAR
from processors.views.declared import Declared
from processors.views.views import Curves, Views

OWN_COLUMNS = (
    "parcel", "parcel_id", "verdict", "reason", "explanation", "declared", "declared_class", "predicted", "p_declared", "p_predicted",
    "second_crop", "second_share", "pixels_inside", "dates", "dates_used", "model", "model_checksum", "score", "not_conform_below",
    "conform_from", "false_alarms", "verified", "decided", "earlier_verdict", "earlier_decided",
)  # fmt: skip
"""Columns of the table before those of the file."""


_READ_AS = {
    DeclaredAs.CODES: "codes of the model's legend",
    DeclaredAs.NAMES: "names of the model's classes",
    DeclaredAs.HCAT: "codes of the EuroCrops taxonomy (HCAT)",
}


class ConformitySummary(Frozen):
    """What is told of all parcels together; nothing of any single one."""

    parcels: int
    verdicts: Annotated[dict[str, int], Field(description="number of parcels, by verdict")]
    reasons: Annotated[dict[str, int], Field(description="number of parcels, by kind of reason")]
    thresholds: Thresholds
    verified: Annotated[bool, Field(description="whether the false-alarm rate rests on enough held-out fields")]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Conformity:
    """Verdicts on N parcels, in the order of the views' parcels."""

    judged: tuple[Judged, ...]
    frame: Any
    """`geopandas.GeoDataFrame` (N) in the metres of the zone: the columns that don't depend on the delivery, then the file's own."""
    ids: tuple[str | None, ...] | None
    """Own ids of the parcels, by which earlier verdicts are taken over."""
    days: tuple[date, ...]
    curves: npt.NDArray[np.float32] | None
    """(N, T): NDVI, NaN where nothing is clear."""
    clear: npt.NDArray[np.bool_] | None
    """(N, T): dates at which half of a parcel is clear; None where that isn't known."""
    summary: ConformitySummary


def judge_parcels(
    declared: Declared, judgement: Judgement, seen: ParcelProbabilities, views: Views, epsg: int
) -> Conformity:
    """Judge each parcel. ``epsg``: zone of the polygons. Raises `RequestError` and `ModelError` where an input can't be read."""
    declarations = read_declarations(declared, judgement)
    thresholds = _thresholds(judgement)
    background = next((i for i, entry in enumerate(judgement.legend.mapped) if entry.role == "background"), None)
    rule = Rule(thresholds, judgement.least_pixels, judgement.least_dates, background)
    dates = _dates(views.curves, len(declared.polygons))
    judged = tuple(
        rule.judge(
            Seen(
                meaning,
                seen.mean[row],
                seen.share[row],
                int(seen.pixels[row]),
                float(seen.expected[row]),
                float(seen.in_area[row]),
                None if dates is None else int(dates[row].sum()),
            )
        )
        for row, meaning in enumerate(declarations.meanings)
    )
    frame = _frame(declared, declarations, judged, seen, dates, views.days, rule, judgement.legend, epsg)
    verdicts = Counter(one.verdict for one in judged)
    reasons = Counter(one.kind for one in judged)
    return Conformity(
        judged=judged,
        frame=frame,
        ids=declarations.ids,
        days=views.days,
        curves=None if views.curves is None else views.curves.parcels,
        clear=dates,
        summary=ConformitySummary(
            parcels=len(judged),
            verdicts={verdict.value: verdicts[verdict] for verdict in Verdict},
            reasons={kind.value: reasons[kind] for kind in ReasonKind if reasons[kind]},
            thresholds=thresholds,
            verified=thresholds.verified,
            notes=tuple(_notes(declarations, thresholds, known_dates=dates is not None)),
        ),
    )


def _thresholds(judgement: Judgement) -> Thresholds:
    try:
        evidence = load_evidence(judgement.model)
    except AgrunetError as error:
        raise ModelError(str(error)) from error
    background = judgement.legend.background
    return fit_thresholds(
        evidence, judgement.false_alarms, judgement.least_pixels, None if background is None else background.name
    )


def _dates(curves: Curves | None, parcels: int) -> npt.NDArray[np.bool_] | None:
    """Dates (N, T) at which half of a parcel is clear; None where that isn't known."""
    if curves is None or curves.clear is None or len(curves.clear) != parcels:
        return None
    clear: npt.NDArray[np.bool_] = curves.clear >= LEAST_CLEAR
    return clear


def _notes(declarations: Declarations, thresholds: Thresholds, *, known_dates: bool) -> list[str]:
    fits = Counter(meaning.fit for meaning in declarations.meanings)
    notes = [
        f"Declared crops are read as {_READ_AS[declarations.read_as]}"
        + (
            f"; {_parcels(fits[Fit.GROUP])} declared as a group of classes, any of which is as declared"
            if fits[Fit.GROUP]
            else ""
        )
        + (
            f"; {_parcels(fits[Fit.WITHIN])} declared as a kind of a class that the model doesn't tell apart"
            if fits[Fit.WITHIN]
            else ""
        )
        + ".",
        f"Conformity: {thresholds.note}",
    ]
    if declarations.ids is None:
        notes.append("The parcels have no column of ids: no earlier verdict can be kept. Name it: parameters.id.")
    elif _repeated(declarations.ids):
        notes.append("Some ids of parcels are empty or stand in several rows: of these no earlier verdict is kept.")
    if not known_dates:
        notes.append("Clear dates of single parcels aren't known, since B04 or B08 is missing.")
    return notes


def _parcels(number: int) -> str:
    return f"{number} parcel{' is' if number == 1 else 's are'}"


def _repeated(ids: Sequence[str | None]) -> bool:
    return any(own is None or count > 1 for own, count in Counter(ids).items())


def _frame(
    declared: Declared,
    declarations: Declarations,
    judged: Sequence[Judged],
    seen: ParcelProbabilities,
    dates: npt.NDArray[np.bool_] | None,
    days: Sequence[date],
    rule: Rule,
    legend: Legend,
    epsg: int,
) -> Any:
    import geopandas  # brings pandas, slowly
    import pandas as pd

    names = [entry.name for entry in legend.mapped]

    def text(values: Sequence[str | None]) -> Any:
        return pd.array(list(values), dtype="string")

    def named(number: int | None) -> str | None:
        return None if number is None else names[number]

    count = len(judged)
    thresholds = rule.thresholds
    used: list[str | None] = [None] * count
    if dates is not None:
        used = [" ".join(day.isoformat() for day, clear in zip(days, row, strict=True) if clear) for row in dates]
    own = {
        "parcel": np.arange(1, count + 1, dtype=np.int64),
        "parcel_id": text([None] * count if declarations.ids is None else declarations.ids),
        "verdict": text([one.verdict.value for one in judged]),
        "reason": text([one.kind.value for one in judged]),
        "explanation": text(
            [
                explanation(
                    one,
                    rule,
                    seen.pixels[row],
                    seen.expected[row],
                    None if dates is None else int(dates[row].sum()),
                    names,
                )
                for row, one in enumerate(judged)
            ]
        ),
        "declared": text(declarations.words),
        "declared_class": text(
            [" or ".join(names[number] for number in meaning.classes) or None for meaning in declarations.meanings]
        ),
        "predicted": text([named(one.predicted) for one in judged]),
        "p_declared": np.array([one.p_declared for one in judged]).round(4),
        "p_predicted": np.array([one.p_predicted for one in judged]).round(4),
        "second_crop": text([named(one.second) for one in judged]),
        "second_share": np.array([one.second_share for one in judged]).round(4),
        "pixels_inside": seen.pixels,
        "dates": pd.array([None] * count if dates is None else dates.sum(axis=1).tolist(), dtype="Int32"),
        "dates_used": text(used),
        "score": text([thresholds.score.value] * count),
        "not_conform_below": np.full(count, round(thresholds.not_conform_below, 6)),
        "conform_from": np.full(count, round(thresholds.conform_from, 6)),
        "false_alarms": np.full(count, thresholds.asked),
        "verified": np.full(count, thresholds.verified),
    }
    frame = geopandas.GeoDataFrame(own, geometry=declared.polygons, crs=f"EPSG:{epsg}")
    others = declared.columns.rename(columns=_beside(list(declared.columns.columns)))
    return frame.join(others)[[*own, *others.columns, "geometry"]]


def _beside(names: Sequence[str]) -> dict[str, str]:
    """Names of the file's columns beside ours: those that collide get a prefix."""
    taken = {name.casefold() for name in OWN_COLUMNS}
    given = taken | {name.casefold() for name in names}
    renamed = {}
    for name in names:
        wanted = name
        while wanted.casefold() in taken or (wanted != name and wanted.casefold() in given):
            wanted = f"file_{wanted}"
        given.add(wanted.casefold())
        renamed[name] = wanted
    return renamed


def explanation(one: Judged, rule: Rule, pixels: int, expected: float, dates: int | None, names: Sequence[str]) -> str:
    """The reason for a verdict in words."""
    thresholds = rule.thresholds
    score = one.share_declared if thresholds.score.value == "share" else one.p_declared
    what = f"{thresholds.score.value} of the declared crop {score:.2f}"
    predicted = "" if one.predicted is None else f", most probable is {names[one.predicted]} ({one.p_predicted:.2f})"
    match one.kind:
        case ReasonKind.AGREES:
            return f"{what}, conform from {thresholds.conform_from:.2f}"
        case ReasonKind.IMPROBABLE:
            return f"{what}, not conform below {thresholds.not_conform_below:.2f}{predicted}"
        case ReasonKind.BETWEEN:
            return f"{what}, between {thresholds.not_conform_below:.2f} and {thresholds.conform_from:.2f}{predicted}"
        case ReasonKind.SECOND_CROP:
            second = "" if one.second is None else names[one.second]
            return f"a second crop holds {100 * one.second_share:.0f} % of the pixels: {second}{predicted}"
        case ReasonKind.NOTHING_DECLARED:
            return "no crop is declared"
        case ReasonKind.NO_CLASS:
            return "the model knows no such crop"
        case ReasonKind.TOO_SMALL:
            return f"{int(min(pixels, expected)) if pixels else int(expected)} pixels inside, {rule.least_pixels} are needed"
        case ReasonKind.OUTSIDE:
            return "more than half of it lies outside of the area"
        case ReasonKind.NO_DATA:
            return f"{pixels} of {expected:.0f} pixels inside are mapped; the others are clear too rarely"
        case ReasonKind.FEW_DATES:
            return f"{dates} dates with half of it clear, {rule.least_dates} are needed"
