"""Texts and values of others as a message shows them: short, on one line, and without what a terminal would obey."""

from __future__ import annotations

import re
from reprlib import Repr

LONGEST_LINE = 700
"""Characters of a message's line; what is longer loses its middle, for the cause stands first and the remedy last."""

MOST_QUOTED = 80
"""Characters of a value that are quoted."""

# C0 and C1 control characters but the line feed, halves of surrogate pairs, and what turns the direction of writing.
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Short(Repr):
    """The `repr` of nested values, cut while it is made: of a large one the whole is never written."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 3, 6, 6, 6
        self.maxstring = self.maxother = self.maxlong = MOST_QUOTED

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write down an integer of more than 4,300 digits.
        return f"an integer of {x.bit_length()} bits" if x.bit_length() > 4000 else super().repr_int(x, level)


def shown(value: object) -> str:
    """The value as a message quotes it: its `repr`, at most `MOST_QUOTED` characters of it."""
    return shortened(escaped(_Short().repr(value)).replace("\n", "\\n"), MOST_QUOTED)


def shortened(text: str, most: int) -> str:
    """The text, its middle left out where it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def escaped(text: str) -> str:
    """The text with control characters and lone surrogates written as their codes."""
    return _UNPRINTABLE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def presentable(text: str) -> str:
    """A message as it may be shown: nothing but printable characters, and no line over `LONGEST_LINE`."""
    return "\n".join(shortened(line, LONGEST_LINE) for line in escaped(text).split("\n"))
