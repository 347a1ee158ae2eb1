"""The form in which a guard hands a refusal to its caller: the caller's own error, made from the reason in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from catalog.quoting import shortened

Refuse = Callable[[str], Exception]
"""Makes the caller's error of a reason such as ``it is nested deeper than 100``."""

_LONGEST_REASON = 200


@contextmanager
def refusing(foreign: tuple[type[Exception], ...], refuse: Refuse) -> Iterator[None]:
    """Turn the ``foreign`` errors of a block, and no others, into the caller's own."""
    try:
        yield
    except foreign as error:
        raise refuse(reason(error)) from error


@contextmanager
def as_declared(refuse: Refuse) -> Iterator[None]:
    """Turn values outside of what a type declares into the caller's error, which names the first of them."""
    try:
        yield
    except ValidationError as error:
        raise refuse(first_problem(error)) from error


def reason(error: BaseException) -> str:
    """The words of a foreign error, on one line; the name of its kind where it has none."""
    words = " ".join(str(error).split()).rstrip(".")
    return shortened(words, _LONGEST_REASON) or type(error).__name__


def plain_message(problem: Any) -> str:
    """The message of one of pydantic's errors, without the word that it puts before those of validators."""
    return shortened(str(problem["msg"]).removeprefix("Value error, "), _LONGEST_REASON)


def first_problem(error: ValidationError) -> str:
    """The field and the message of the first thing that is wrong."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = plain_message(first)
    return f"{shortened(where, _LONGEST_REASON)}: {message}" if where else message
