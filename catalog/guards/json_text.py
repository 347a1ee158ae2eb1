"""JSON of any kind: requests, STAC, tiles, subscriptions, models."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel

from catalog.guards.refusal import Refuse, as_declared, refusing
from catalog.quoting import shown

DEEPEST = 100
"""Objects and lists inside one another. GeoJSON needs six, a STAC item a dozen; deeper ones exhaust the stack of whoever walks them."""

LARGEST = 2**64
"""Integers are smaller: what is larger is no number of this world, and overflows wherever it is computed with."""

_FOREIGN = (ValueError, RecursionError)  # not JSON, or nested too deeply for the parser

_KINDS = {list: "list", str: "string", bool: "boolean", type(None): "null"}
"""JSON's names of what is neither an object nor a number."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_Parsed = TypeVar("_Parsed", bound=BaseModel)


def parse_json(text: str | bytes, refuse: Refuse, *, unique: bool = False) -> Any:
    """The value in a text: finite numbers, strings without null characters and halves of surrogate pairs, at most `DEEPEST` levels.

    ``unique``: a key that stands twice in an object is refused too; else the last one counts. Raises what ``refuse`` makes of a reason
    that goes on after the document's name.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise refuse("is not JSON: it is no UTF-8 text") from error
    with refusing(_FOREIGN, lambda why: refuse(f"is not JSON: {why}")):
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_unique if unique else None,
        )
        _check(value)
    return value


def parse_object(text: str | bytes, refuse: Refuse, *, unique: bool = False) -> dict[str, Any]:
    """The JSON object in a text; see `parse_json`."""
    value = parse_json(text, refuse, unique=unique)
    if not isinstance(value, dict):
        raise refuse(f"holds a JSON {_KINDS.get(type(value), 'number')}, not an object")
    return value


def parse_model(kind: type[_Parsed], text: str | bytes, refuse: Refuse, *, unique: bool = False) -> _Parsed:
    """What a text says of a declared kind; see `parse_json`. The reason names the field."""
    value = parse_json(text, lambda why: refuse(f"it {why}"), unique=unique)
    with as_declared(refuse):
        return kind.model_validate(value)


def check_value(value: Any, refuse: Refuse) -> None:
    """Judge a value that was JSON: see `parse_json`. Parameters come parsed where a server took them. Raises what ``refuse`` makes."""
    with refusing(_FOREIGN, refuse):
        _check(value)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is not finite")
    return number


def _integer(text: str) -> int:
    if len(text) > 40 or abs(number := int(text)) > LARGEST:
        raise ValueError(f"the number {shown(text)} is too large")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in named if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return named


def _check(value: Any) -> None:
    """Raise `ValueError` for strings that can't be written, and what is nested too deeply. Without recursion: that is the point."""
    level, deep = [value], 0
    while level:
        if deep > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST}")
        below: list[Any] = []
        for part in level:
            if isinstance(part, str):
                _check_text(part)
            elif isinstance(part, float):
                if not math.isfinite(part):
                    raise ValueError(f"the number {part} is not finite")
            elif isinstance(part, int):
                if abs(part) > LARGEST:
                    raise ValueError(f"the number {shown(part)} is too large")
            elif isinstance(part, dict):
                below += part
                below += part.values()
            elif isinstance(part, list | tuple):
                below += part
        level, deep = below, deep + 1


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError(f"the text {shown(text)} holds a null character")
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError(f"the text {shown(text)} holds half of a surrogate pair")
