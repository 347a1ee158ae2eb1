"""Text of users and archives in CSV, which spreadsheets run as formulas where it begins like one."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_BEFORE_FORMULA = re.compile(r"(?P<separator>[,;\t])(?=\s*[=+\-@＝＋－＠])")


def csv_cell(text: str) -> str:
    """A cell of text that no spreadsheet takes for a formula. Numbers are written as numbers, not through this."""
    return f"'{text}" if _FORMULA.match(text) else text


def cell_text(cell: str) -> str:
    """The text that `csv_cell` made a cell of."""
    text = cell.removeprefix("'")
    return text if csv_cell(text) == cell else cell


def csv_comment(text: str) -> str:
    """A line of comment, without its ``#``: a spreadsheet cuts it into cells at its commas."""
    return _BEFORE_FORMULA.sub(r"\g<separator>'", " ".join(text.split()))
