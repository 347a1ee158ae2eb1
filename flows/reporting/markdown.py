"""Text of users and archives within Markdown, which the Prefect UI renders in artifacts, their descriptions and the cells of tables."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\`*\[\]<>&|~!#$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What markup is made of: HTML, links (also bare addresses), emphasis (not inside a word), code, cells."""

_FIRST = re.compile(r"^([-+=]|\d+(?=[.)]))")
"""What makes a line one of a list or a rule."""

_ESCAPED = re.compile(r"\\([\\`*\[\]<>&|~!#$@_:.)\-+=])")


def markdown_text(text: object) -> str:
    """A text that Markdown shows as it is, on one line."""
    line = _SPECIAL.sub(r"\\\g<0>", " ".join(str(text).split()))
    return _FIRST.sub(lambda match: f"{match[0]}\\" if match[0][0].isdigit() else f"\\{match[0]}", line)


def plain_text(markdown: str) -> str:
    """The text that `markdown_text` made this of."""
    return _ESCAPED.sub(r"\1", markdown)
