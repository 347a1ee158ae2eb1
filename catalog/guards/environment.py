"""Environment variables that users set."""

from __future__ import annotations

import os
import re

from catalog.errors import RequestError

_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

LONGEST = 32_000
"""Characters of a value."""


def variable(name: str) -> str | None:
    """The value of a variable; None where it isn't set or empty. Raises `RequestError` where it can be no text."""
    value = os.environ.get(name)
    if not value:
        return None
    if len(value) > LONGEST or _IMPOSSIBLE.search(value):
        # The value may be a secret.
        raise RequestError(f"{name}: no text, or one over {LONGEST:,} characters. Correct or unset it.")
    return value
