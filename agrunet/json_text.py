"""JSON files as they come in: what is wrong with one is said in the words of the caller's own error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agrunet.errors import AgrunetError
from agrunet.settings import first_problem

_Model = TypeVar("_Model", bound=BaseModel)

Refuse = Callable[[str], AgrunetError]
"""Function that makes the caller's error of a reason, which goes on right after the file's name."""

_UNREADABLE = (ValueError, RecursionError)  # no UTF-8, no JSON, or nested too deeply for the parser


def parse_json(text: str | bytes, refuse: Refuse) -> Any:
    """The value in a text; numbers are finite. Raises what ``refuse`` makes of the reason."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # halves of surrogate pairs can't be written anywhere
    except _UNREADABLE as error:
        raise refuse(f" is no JSON ({error})") from error
    return value


def read_object(path: Path, refuse: Refuse) -> dict[str, Any]:
    """The JSON object in a file. Raises what ``refuse`` makes of the reason."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise refuse(f" can't be read: {error.strerror or error}") from error
    value = parse_json(text, refuse)
    if not isinstance(value, dict):
        raise refuse(f" holds a JSON {type(value).__name__}, not an object")
    return value


def read_model(path: Path, kind: type[_Model], refuse: Refuse) -> _Model:
    """What a file says of a declared kind. Raises what ``refuse`` makes of the reason, which names the field."""
    try:
        return kind.model_validate(read_object(path, refuse))
    except ValidationError as error:
        raise refuse(f": {first_problem(error)}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
