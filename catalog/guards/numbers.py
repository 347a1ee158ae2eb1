"""Numbers, times and names as input may have them: finite, in their physical range, and possible to write down."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

EARLIEST, LATEST = 2000, 2100
"""Years that a time of a product may lie in."""


def finite(value: object) -> float | None:
    """A number, also one written as a text; None of what is none, or isn't finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def utc_time(text: object) -> datetime | None:
    """An ISO time, UTC where it names no zone; None of what is none, or lies outside of the years that can be."""
    time = any_time(text)
    return time if time is not None and EARLIEST <= time.year <= LATEST else None


def any_time(text: object) -> datetime | None:
    """An ISO time of any year, UTC where it names no zone; None of what is none."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _turned(value: Any) -> Any:
    return value % 360 if isinstance(value, int | float) and -360 <= value <= 360 else value


def _possible_time(time: datetime) -> datetime:
    if not EARLIEST <= time.year <= LATEST:
        raise ValueError(f"lies outside of the years {EARLIEST} to {LATEST}")
    return time


def _possible_orbit(orbit: str) -> str:
    if (match := re.fullmatch(r"R(\d{3})", orbit)) and not 1 <= int(match[1]) <= 143:
        raise ValueError(f"{orbit} is no relative orbit: they go from R001 to R143")
    return orbit


_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Signs that turn the direction of what is written after a name, too; scripts written from the right do without them."""


def _possible_name(name: str) -> str:
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _TURNING for sign in name):
        raise ValueError(
            "holds a control character, the end of a line, a change of direction or half of a surrogate pair"
        )
    return name


def _seen_name(name: str) -> str:
    if all(unicodedata.category(sign)[0] in "CZ" for sign in name):
        raise ValueError("holds nothing that can be seen")
    return name


Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Zenith = Annotated[float, Field(ge=0, le=180, allow_inf_nan=False)]
"""Degrees from straight up."""
Azimuth = Annotated[float, BeforeValidator(_turned), Field(ge=0, le=360, allow_inf_nan=False)]
"""Degrees from north, clockwise."""
LARGEST_OFFSET = 10_000
"""Reflectance of 1, in units of 1e-4."""
Offset = Annotated[int, Field(ge=-LARGEST_OFFSET, le=LARGEST_OFFSET)]
"""Radiometric offset in units of 1e-4 reflectance."""
ProductTime = Annotated[AwareDatetime, AfterValidator(_possible_time)]
RelativeOrbit = Annotated[str, AfterValidator(_possible_orbit)]
"""``R079``, or a word where none is known."""
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_possible_name), AfterValidator(_seen_name)]
"""A name for people."""
Identifier = Annotated[str, Field(max_length=500), AfterValidator(_possible_name)]
Address = Annotated[str, Field(max_length=8000), AfterValidator(_possible_name)]
Sentence = Annotated[str, Field(max_length=8000), AfterValidator(_possible_name)]
