"""Which classes of a model that exists mean the classes of new labels: by HCAT codes where both have them, else by names.

HCAT (EuroCrops; Schneider et al., 2021) codes crops in pairs of digits from the group to the sort; 00 stands for all below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agrunet.errors import AgrunetError

_SYNONYMS = {"corn": "maize", "meadow": "grass", "grassland": "grass", "pasture": "grass", "vineyard": "grape"}
_SYNONYMS |= {"grapevine": "grape", "rapeseed": "rape", "canola": "rape", "alfalfa": "lucerne", "rye-grass": "ryegrass"}
"""Words of crops that mean the same."""

_FILLING = {"and", "or", "of", "the", "other", "others"}

_Key = TypeVar("_Key")


class NamedClasses(Protocol):
    """What tells classes apart and says what they are: a training contract, or a list of crops."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def legend(self) -> list[dict[str, Any]]: ...

    @property
    def background(self) -> int | None: ...


def match_classes(
    labels: NamedClasses, start: NamedClasses, given: Mapping[str, Sequence[str]] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Find, for each class of the labels, the indices of the start's classes that mean it; none for one that it doesn't know.

    ``given``: names of the start's classes by the labels' ones; what it leaves out is unknown to the start. Without it, classes of
    the start that are the same or sorts of the class; where there is none, the narrowest that it is a sort of. Raises `AgrunetError`
    where ``given`` names a class that isn't there, or no class is known.
    """
    matched = tuple(_match(labels, start)) if given is None else _as_given(labels, start, given)
    if not any(matched):
        raise AgrunetError(
            f"the start knows none of the classes {', '.join(labels.classes)}; it tells {', '.join(start.classes)} apart. "
            "Say in `classes` which of its classes mean which, give the legend HCAT codes, or start from another model."
        )
    return matched


def single_meanings(labels: NamedClasses, start: NamedClasses) -> dict[int, int]:
    """The class of the labels that each class of the start means, by index, where it means one alone; none where none is known."""
    matched = _match(labels, start)
    meanings = {
        source: [label for label, sources in enumerate(matched) if source in sources]
        for source in range(len(start.classes))
    }
    return {source: found[0] for source, found in meanings.items() if len(found) == 1}


def _as_given(
    labels: NamedClasses, start: NamedClasses, given: Mapping[str, Sequence[str]]
) -> tuple[tuple[int, ...], ...]:
    for names, known, whose in (
        (list(given), labels.classes, "labels"),
        ([name for sources in given.values() for name in sources], start.classes, "start"),
    ):
        strange = [name for name in names if name not in known]
        if strange:
            raise AgrunetError(f"no class {strange[0]!r} of the {whose}: {', '.join(known)}. Correct `classes`.")
    return tuple(tuple(start.classes.index(name) for name in given.get(label, ())) for label in labels.classes)


def _match(labels: NamedClasses, start: NamedClasses) -> list[tuple[int, ...]]:
    codes, words = [_code(start, index) for index in range(len(start.classes))], [_words(n) for n in start.classes]
    crops = [index for index in range(len(start.classes)) if index != start.background]
    matched: list[tuple[int, ...]] = []
    for index, name in enumerate(labels.classes):
        code = _code(labels, index)
        if index == labels.background:
            matched.append(() if start.background is None else (start.background,))
            continue
        found: tuple[int, ...] = ()
        if code is not None:
            coded = {number: own for number in crops if (own := codes[number]) is not None}
            found = _related(code, coded, lambda narrow, wide: narrow.startswith(wide), len)
        if not found:
            # Where both have codes, these have spoken.
            named = {number: words[number] for number in crops if code is None or codes[number] is None}
            found = _related(_words(name), named, lambda narrow, wide: bool(wide) and narrow >= wide, len)
        matched.append(found)
    return matched


def _related(
    key: _Key, known: Mapping[int, _Key], within: Callable[[_Key, _Key], bool], depth: Callable[[_Key], int]
) -> tuple[int, ...]:
    """Those of ``known`` that are the same or sorts of ``key``; else the narrowest that it is a sort of."""
    sorts = tuple(number for number, other in known.items() if within(other, key))
    if sorts:
        return sorts
    wider = [number for number, other in known.items() if within(key, other)]
    narrowest = max((depth(known[number]) for number in wider), default=0)
    return tuple(number for number in wider if depth(known[number]) == narrowest)


def _code(contract: NamedClasses, index: int) -> str | None:
    """HCAT code of a class without the pairs that it leaves open; None where the legend gives none."""
    name = contract.classes[index]
    entry = next((entry for entry in contract.legend if entry.get("name") == name), {})
    digits = re.sub(r"[\s.-]", "", str(entry.get("hcat") or ""))
    if not re.fullmatch(r"\d{10}", digits):
        return None
    while len(digits) > 2 and digits.endswith("00"):
        digits = digits[:-2]
    return digits


def _words(name: str) -> frozenset[str]:
    words = (_singular(word) for word in re.findall(r"[\w-]+", name.casefold()))
    return frozenset(_SYNONYMS.get(word, word) for word in words) - _FILLING


def _singular(word: str) -> str:
    if word.endswith("oes"):
        return word.removesuffix("es")
    return word.removesuffix("s") if not word.endswith("ss") else word
