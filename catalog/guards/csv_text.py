"""CSV tables that users write."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from catalog.guards.refusal import Refuse, refusing
from catalog.quoting import shown

LONGEST_FIELD = 1000
"""Characters of a field."""

_FOREIGN = (csv.Error, ValueError)


def read_rows(text: str, columns: Sequence[str], refuse: Refuse) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and fields of each row, by the names in the first line; further columns come along.

    Raises what ``refuse`` makes: a column is missing, a row is too short, a field is longer than `LONGEST_FIELD`.
    """
    rows = csv.DictReader(StringIO(text, newline=""))
    with refusing(_FOREIGN, refuse):
        named = rows.fieldnames or ()
    if twice := sorted({name for name in named if list(named).count(name) > 1}):
        raise refuse(
            f"its first line names {', '.join(map(shown, twice))} twice; of two columns of a name only one can be meant"
        )
    if missing := [column for column in columns if column not in named]:
        raise refuse(f"no column {', '.join(missing)}; it needs {','.join(columns)}")
    while True:
        with refusing(_FOREIGN, lambda why: refuse(f"line {rows.line_num}: {why}")):
            row = next(rows, None)
        if row is None:
            return
        line = rows.line_num
        if absent := [column for column in columns if row.get(column) is None]:
            raise refuse(f"line {line}: it is too short, {', '.join(absent)} is missing")
        fields = {name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)}
        for name, value in fields.items():
            if len(value) > LONGEST_FIELD or "\0" in value:
                raise refuse(f"line {line}: {shown(name)} is {shown(value)}, which is too long or no text")
        yield line, fields
