"""Declared crops: the words of a column of parcels, and the classes of a model's legend that each may mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from catalog.errors import RequestError
from catalog.legend import Legend, LegendClass, spelled
from catalog.legend_words import hcat_code, hcat_stem, without_fraction, word_of
from catalog.quoting import shortened, shown
from processors.thematic.judgement import DeclaredAs, Judgement
from processors.views.declared import Declared

HCAT_COLUMNS = ("EC_hcat_c", "ec:hcat_code", "hcat:code")
"""Columns that hold HCAT codes: of EuroCrops, and of fiboa's extension, by its names."""

USUAL_COLUMNS = (*HCAT_COLUMNS, "crop:code", "crop:name_en", "crop:name")
USUAL_IDS = ("id", "parcel_id", "field_id")


class Fit(StrEnum):
    """The kinds of how a declared crop fits the legend."""

    CLASS = "class"
    """It is a class."""
    GROUP = "group"
    """It is several classes, or all classes of a group: any of them is as declared."""
    WITHIN = "within"
    """It is a kind of a class that the legend doesn't tell apart."""
    UNKNOWN = "unknown"
    """It is none of the legend's."""
    EMPTY = "empty"
    """Nothing is declared."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Classes that a word may mean, as positions in the legend's `mapped`."""

    fit: Fit
    classes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Declarations:
    """What each parcel was declared as, in the order of the parcels."""

    column: str
    """By its name in the file."""
    read_as: DeclaredAs
    words: tuple[str | None, ...]
    meanings: tuple[Meaning, ...]
    ids: tuple[str | None, ...] | None
    """Own ids of the parcels; None where the file has no such column."""
    id_column: str | None


def read_declarations(declared: Declared, judgement: Judgement) -> Declarations:
    """Read what parcels were declared as. No text of a row stands in an error.

    Raises `RequestError` where a column isn't there, none of its words means a class, or they can be read in ways that differ.
    """
    column, id_column = find_columns(declared, judgement.column, judgement.id_column)
    words = _words(declared, column)
    wanted = judgement.classes
    if wanted is DeclaredAs.ANY and column in HCAT_COLUMNS:
        wanted = DeclaredAs.HCAT
    read_as, meanings = _read(words, judgement.legend, wanted, f"parcels {declared.name}, column {shown(column)}")
    ids = None if id_column is None else _words(declared, id_column)
    return Declarations(column, read_as, words, meanings, ids, id_column)


def find_columns(declared: Declared, column: str | None, id_column: str | None) -> tuple[str, str | None]:
    """The column of declared crops, and the one of own ids: those that are named, else the first of the usual ones.

    Raises `RequestError` where a named one isn't there, or there is none of declared crops.
    """
    found = _column(declared, "column", column, USUAL_COLUMNS)
    if found is None:
        raise RequestError(
            f"parameters.column: {declared.name} has none of the usual columns of declared crops ({', '.join(USUAL_COLUMNS)}). Name the "
            f"one that holds them: {_columns(declared)}."
        )
    return found, _column(declared, "id", id_column, USUAL_IDS)


def _column(declared: Declared, parameter: str, named: str | None, usual: Sequence[str]) -> str | None:
    if named is None:
        return next((name for name in usual if name in declared.called), None)
    if named not in declared.called:
        raise RequestError(
            f"parameters.{parameter}: {declared.name} has no column {shown(named)}. It has {_columns(declared)}."
        )
    return named


def _columns(declared: Declared) -> str:
    return shortened(", ".join(declared.called), 300) or "no column beside the geometry"


def _words(declared: Declared, column: str) -> tuple[str | None, ...]:
    values = declared.columns[declared.called[column]]
    return tuple(
        None if missing else word_of(value) for value, missing in zip(values.tolist(), values.isna(), strict=True)
    )


def _read(
    words: Sequence[str | None], legend: Legend, wanted: DeclaredAs, where: str
) -> tuple[DeclaredAs, tuple[Meaning, ...]]:
    """The meanings of words by the reading that is wanted, else by the one that knows most of them."""
    kinds = [kind for kind in DeclaredAs if kind is not DeclaredAs.ANY] if wanted is DeclaredAs.ANY else [wanted]
    different = sorted({word for word in words if word is not None})
    readings = {kind: {word: meaning_of(word, legend, kind) for word in different} for kind in kinds}
    known = {kind: sum(bool(meaning.classes) for meaning in read.values()) for kind, read in readings.items()}
    best = [kind for kind in kinds if known[kind] == max(known.values())]
    if different and not known[best[0]]:
        raise RequestError(
            f"{where}: holds no class of the model as {' or '.join(kind.value for kind in kinds)}. The model knows "
            f"{shortened(_known(legend), 400)}. Name another column, or take a model of these crops."
        )
    if any(readings[kind] != readings[best[0]] for kind in best[1:]):
        raise RequestError(
            f"{where}: can be read as {' or as '.join(kind.value for kind in best)}, which gives different classes. Say which is "
            f"meant: parameters.classes {best[0].value}, for instance."
        )
    empty = Meaning(Fit.EMPTY)
    return best[0], tuple(empty if word is None else readings[best[0]][word] for word in words)


def _known(legend: Legend) -> str:
    return ", ".join(
        f"{entry.name} (codes {', '.join(map(str, entry.source_codes)) or 'none'}; HCAT {entry.hcat or 'unknown'})"
        for entry in legend.mapped
    )


def meaning_of(word: str, legend: Legend, kind: DeclaredAs) -> Meaning:
    """What a word means by one reading (not `ANY`)."""
    entries = legend.mapped
    if kind is DeclaredAs.HCAT:
        return _by_hcat(word, entries)
    if kind is DeclaredAs.CODES:
        code = without_fraction(word).removeprefix("+")
        return _exact([i for i, entry in enumerate(entries) if _integer(code) in entry.source_codes])
    return _exact([i for i, entry in enumerate(entries) if spelled(entry.name) == spelled(word)])


def _integer(word: str) -> int | None:
    return int(word) if re.fullmatch(r"-?\d{1,19}", word) else None


def _exact(classes: list[int]) -> Meaning:
    if not classes:
        return Meaning(Fit.UNKNOWN)
    return Meaning(Fit.CLASS if len(classes) == 1 else Fit.GROUP, tuple(classes))


def _by_hcat(word: str, entries: Sequence[LegendClass]) -> Meaning:
    """A code is each class that has it or lies below it in the tree; where there is none, the nearest class above it that no other
    class lies below: of a group that the legend tells apart, what it doesn't name is unknown to it."""
    code = hcat_code(word)
    if code is None:
        return Meaning(Fit.UNKNOWN)
    own = [hcat_code(entry.hcat or "") for entry in entries]
    below = [i for i, other in enumerate(own) if other is not None and other.startswith(hcat_stem(code))]
    if below:
        same = len(below) == 1 and own[below[0]] == code
        return Meaning(Fit.CLASS if same else Fit.GROUP, tuple(below))
    stems = {i: hcat_stem(other) for i, other in enumerate(own) if other is not None}
    above = {i: stem for i, stem in stems.items() if code.startswith(stem)}
    nearest = max(above.values(), key=len, default="")
    if not nearest or any(stem.startswith(nearest) and stem != nearest for stem in stems.values()):
        return Meaning(Fit.UNKNOWN)
    return Meaning(Fit.WITHIN, tuple(i for i, stem in above.items() if stem == nearest))
