"""Classes as reference data call them: by the codes of the labels, by map values, or by names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import RequestError
from catalog.legend import NONE_OF_THESE, Legend, LegendClass, spelled
from catalog.quoting import shortened

UNKNOWN = -1

_INTEGER = re.compile(r"[+-]?\d{1,19}")

_HCAT = re.compile(r"\d{10}")
_LEVEL = 2
"""Digits of one level of an HCAT code; 00 stands for all below."""


class ReadAs(StrEnum):
    """The kinds of what a column of classes can hold."""

    CODES = "codes"
    """Codes of the labels, as the legend has them."""
    VALUES = "values"
    """Values of the map."""
    NAMES = "names"


@dataclass(frozen=True, slots=True, eq=False)
class WordsRead:
    """What words mean: positions among the map's classes (n,), one past the last for none of them, `UNKNOWN` of the rest."""

    classes: npt.NDArray[np.int64]
    read_as: ReadAs
    unknown: Counter[str]
    """Words that mean nothing here."""


def word_of(value: Any) -> str | None:
    """The text of a field; None of an empty one. A whole number is written without a point, as columns with gaps hold fractions."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip()
    return None if not text or text in ("nan", "NaT", "<NA>") else text


def read_words(
    words: Sequence[str | None],
    entries: Sequence[LegendClass],
    codes: Legend,
    read_as: ReadAs | None,
    where: str,
) -> WordsRead:
    """What the words of a column mean; None (empty) means nothing.

    ``entries``: the map's classes; ``codes``: a legend that says what codes mean. Without ``read_as`` the only reading that fits.
    Raises `RequestError`, which names ``where`` the words stand: none fits, or several do and differ.
    """
    tables = {
        ReadAs.CODES: _codes(entries, codes),
        ReadAs.VALUES: {str(entry.value): number for number, entry in enumerate(entries)},
        ReadAs.NAMES: {spelled(entry.name): number for number, entry in enumerate(entries)},
    }
    keys = [None if word is None else _integer(word) or spelled(word) for word in words]
    asked = np.array([key not in (None, NONE_OF_THESE) for key in keys], bool)
    readings: dict[ReadAs, npt.NDArray[np.int64]] = {}
    for kind, table in tables.items():
        known = table | {NONE_OF_THESE: len(entries)}
        readings[kind] = np.array([UNKNOWN if key is None else known.get(key, UNKNOWN) for key in keys], np.int64)
    chosen = read_as or _only_reading(readings, asked, entries, words, where)
    classes = readings[chosen]
    strange = Counter(
        word for word, number in zip(words, classes.tolist(), strict=True) if word is not None and number == UNKNOWN
    )
    return WordsRead(classes, chosen, strange)


def _only_reading(
    readings: dict[ReadAs, npt.NDArray[np.int64]],
    asked: npt.NDArray[np.bool_],
    entries: Sequence[LegendClass],
    words: Sequence[str | None],
    where: str,
) -> ReadAs:
    """The reading that explains most of the words ``asked`` about (n,), which "none of these" says nothing of."""
    given = int(asked.sum())
    named = {kind: int((classes[asked] >= 0).sum()) for kind, classes in readings.items()}
    fitting = [kind for kind, count in named.items() if count == given] or [
        kind for kind, count in named.items() if count
    ]
    if not fitting and given:
        seen = shortened(", ".join(list(dict.fromkeys(word for word in words if word is not None))[:8]), 200)
        known = shortened(", ".join(f"{entry.name} ({entry.value})" for entry in entries), 300)
        raise RequestError(
            f"{where}: holds no class of the map. It holds {seen}; the map shows {known}. Name another column, or give the legend of "
            "these codes."
        )
    if not fitting:
        return ReadAs.NAMES
    if any(not np.array_equal(readings[kind], readings[fitting[0]]) for kind in fitting[1:]):
        kinds = " or ".join(f"as {kind.value}" for kind in fitting)
        raise RequestError(
            f"{where}: can be read {kinds}, which gives different classes. Say which is meant: classes {fitting[0].value}, for instance."
        )
    return fitting[0]


def _codes(entries: Sequence[LegendClass], codes: Legend) -> dict[str, int]:
    """Positions of the map's classes by the codes of a legend; what that calls known non-crop is none of a map's without background."""
    places = {entry.value: number for number, entry in enumerate(entries)}
    return {
        str(code): places.get(entry.value, len(entries))
        for entry in codes.entries
        if entry.role != "ignore" and (entry.value in places or entry.role == "background")
        for code in entry.source_codes
    }


def _integer(word: str) -> str | None:
    """A number as it is compared; None of what is none."""
    return str(int(word)) if _INTEGER.fullmatch(word) else None


def without_fraction(word: str) -> str:
    """A word without the fraction that tables put behind whole numbers: ``1110.0``."""
    return re.sub(r"(?<=\d)\.0+$", "", word)


def hcat_code(word: str) -> str | None:
    """The ten digits of an HCAT code, however it is written (``33-01-01-01-01``); None where it is none."""
    digits = re.sub(r"[\s.-]", "", without_fraction(word))
    return digits if _HCAT.fullmatch(digits) else None


def hcat_stem(code: str) -> str:
    """The code without the levels that it leaves open; whole pairs of digits."""
    levels = [code[start : start + _LEVEL] for start in range(0, len(code), _LEVEL)]
    while len(levels) > 1 and levels[-1] == "00":
        levels.pop()
    return "".join(levels)
