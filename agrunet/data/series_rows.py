"""Some rows of a series table, and rare classes put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from agrunet.data.series_table import SeriesTable


def take_rows(table: SeriesTable, rows: Sequence[int] | npt.NDArray[np.integer]) -> SeriesTable:
    """Make a table of these rows, in this order. Raises `AgrunetError` where a row stands twice, or there is none."""
    chosen = [int(row) for row in rows]
    lengths = np.diff(table.offsets)[chosen]
    dates = np.concatenate(
        [np.arange(table.offsets[row], table.offsets[row + 1]) for row in chosen] or [np.zeros(0, np.int64)]
    )
    return replace(
        table,
        ids=tuple(table.ids[row] for row in chosen),
        lon=table.lon[chosen],
        lat=table.lat[chosen],
        year=table.year[chosen],
        labels=tuple(table.labels[row] for row in chosen),
        codes=None if table.codes is None else tuple(table.codes[row] for row in chosen),
        fields=None if table.fields is None else tuple(table.fields[row] for row in chosen),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        days=table.days[dates],
        values=table.values[dates],
    )


def join_rare(table: SeriesTable, least: int, name: str) -> SeriesTable:
    """Call classes of fewer than ``least`` rows ``name``; a legend that doesn't know it is dropped, as is each row's code."""
    counts = Counter(table.labels)
    labels = tuple(name if label is not None and counts[label] < least else label for label in table.labels)
    if labels == table.labels:
        return table
    known = any(entry.get("name") == name for entry in table.metadata.legend)
    metadata = table.metadata if known else table.metadata.model_copy(update={"legend": []})
    return replace(table, labels=labels, codes=None, metadata=metadata)
