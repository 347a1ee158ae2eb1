"""Environment variables that users set."""

from __future__ import annotations

import os

from catalog.errors import RequestError

LONGEST = 32_000
"""Characters of a value."""


def variable(name: str) -> str | None:
    """The value of a variable; None where it isn't set or empty. Raises `RequestError` where it can be no text."""
    value = os.environ.get(name)
    if not value:
        return None
    if len(value) > LONGEST or any(0xD800 <= ord(sign) < 0xE000 for sign in value):
        # The value may be a secret.
        raise RequestError(f"{name}: no text, or one over {LONGEST:,} characters. Correct or unset it.")
    return value
