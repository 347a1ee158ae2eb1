"""Bad input of every kind, generated: it is refused in a few lines by an error of this project, or what is accepted is sound.

Each input has a number from which it is made again: `CROPLINE_BAD_INPUT="STAC item:123" pytest tests/flows/test_generated_input.py`.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import ways_in_kit

from catalog.errors import CroplineError

USUAL, MANY = 2_000, 100_000
LONGEST = 20
"""Seconds that one input may take."""
MOST_LINES, MOST_CHARACTERS = 10, 4_000
MOST_MEMORY = 2**30
"""Bytes above those of the process before."""


LONG = (
    "request", "parsed request", "STAC catalogue", "SAFE product", "AWS tile", "vector labels", "area file", "points",
    "reference data", "address",
)  # fmt: skip
"""Ways of which one input takes some 10 ms."""


class _TooLongError(BaseException):
    """Raised by the alarm; no kind of error that anybody catches."""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """An alarm for what Python runs, and the end of the process for what doesn't come back from a library."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _fault(way: str, feed: ways_in_kit.Feed, number: int) -> str | None:
    """What is wrong with the answer to one input."""
    try:
        with _at_most(LONGEST), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GDAL warns of much that it mends
            accepted = feed(random.Random(f"{way}:{number}"))
    except CroplineError as error:
        text = str(error)
        if len(text.splitlines()) > MOST_LINES or len(text) > MOST_CHARACTERS or not text.strip():
            return f"a refusal of {len(text.splitlines())} lines and {len(text)} characters: {text[:300]}"
        if any(not (sign.isprintable() or sign == "\n") for sign in text):
            return f"a refusal that can't be printed: {text!r}"
        return None
    except _TooLongError:
        return f"no answer in {LONGEST} s"
    except Exception as error:  # noqa: BLE001 - the question is which
        return f"{type(error).__name__}: {str(error)[:300]}"
    return next((f"accepted: {fault}" for value in accepted for fault in ways_in_kit.unsound(value)), None)


def _faults(way: str, folder: Path, numbers: Iterator[int] | range) -> list[str]:
    feed = ways_in_kit.WAYS[way](folder)
    found = ((number, _fault(way, feed, number)) for number in numbers)
    return [f"{way}:{number}  {fault}" for number, fault in found if fault is not None]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _share(way: str, of: int) -> int:
    """How many inputs a way gets of so many: fewer where each takes long."""
    weights = {name: 1 if name in LONG else 3 for name in ways_in_kit.WAYS}
    return -(-of * weights[way] // sum(weights.values()))


@pytest.mark.parametrize("way", ways_in_kit.WAYS)
def test_bad_input_is_refused_in_a_few_lines_or_what_is_accepted_is_sound(way: str, tmp_path: Path) -> None:
    again, _, number = os.environ.get("CROPLINE_BAD_INPUT", "").partition(":")
    if again not in ("", way):
        pytest.skip("another input is asked for")
    before = _peak()
    faults = _faults(way, tmp_path, [int(number)] if number else range(_share(way, USUAL)))
    assert faults == []
    assert _peak() - before < MOST_MEMORY


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("way", ways_in_kit.WAYS)
def test_much_bad_input_is_refused_in_a_few_lines_or_what_is_accepted_is_sound(way: str, tmp_path: Path) -> None:
    before = _peak()
    faults = _faults(way, tmp_path, range(USUAL, USUAL + _share(way, MANY)))
    assert faults == []
    assert _peak() - before < MOST_MEMORY
