"""Some rows of a table are what they were, and rare classes are one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from series_kit import series_table

from agrunet.data.series_rows import join_rare, take_rows
from agrunet.errors import AgrunetError


def test_rows_are_taken_with_their_dates() -> None:
    table = series_table(12, irregular=True)
    some = take_rows(table, [7, 2, 5])
    assert (some.ids, some.labels) == (("p7", "p2", "p5"), (None, table.labels[2], table.labels[5]))
    for row, before in enumerate((7, 2, 5)):
        assert np.array_equal(some.days[some.dates(row)], table.days[table.dates(before)])
        assert np.array_equal(some.values[some.dates(row)], table.values[table.dates(before)])
    for rows, message in (([], "there is no row"), ([1, 1], "id 'p1' is that of row 0, too")):
        with pytest.raises(AgrunetError, match=message):
            take_rows(table, rows)


def test_rare_classes_are_joined_and_what_is_unknown_stays_unknown() -> None:
    labels = ("rye", "maize", "maize", None, "oats", "maize")
    table = replace(series_table(6, legend=[{"value": 1, "name": "maize"}]), labels=labels)
    joined = join_rare(table, 2, "other")
    assert joined.labels == ("other", "maize", "maize", None, "other", "maize")
    assert joined.metadata.legend == []
    assert join_rare(table, 1, "other") is table
