"""Texts and values of others as a message shows them: short, on one line, and without what a terminal would obey."""

from __future__ import annotations

from reprlib import Repr

LONGEST_LINE = 700
"""Characters of a message's line; what is longer loses its middle, for the cause stands first and the remedy last."""

MOST_QUOTED = 80
"""Characters of a value that are quoted."""


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
    """The text with what can't be printed written as its code: control characters, lone surrogates, changes of direction."""
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode("ascii") for sign in text
    )


def presentable(text: str) -> str:
    """A message as it may be shown: nothing but printable characters, and no line over `LONGEST_LINE`."""
    return "\n".join(shortened(line, LONGEST_LINE) for line in escaped(text).split("\n"))
