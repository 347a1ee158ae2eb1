"""The point series of the real test data as data sets: Arkansas, northern California and western Canada."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path

import numpy as np

from agrunet.data.series_rows import join_rare, take_rows
from agrunet.data.series_table import SeriesTable, read_series

LEAST = 150
"""Points that a label of Canada has at least to be a class of its own."""

OTHER = "other"

NAMES: Mapping[str, str] = {
    "corn": "maize", "Maize": "maize", "soybean": "soybean", "Soya beans": "soybean", "almonds": "orchards",
    "pistachios": "orchards", "Permanent grass crops": "grassland", "Spring wheat": "spring wheat", "Winter wheat": "winter wheat",
    "others": OTHER,
}  # fmt: skip
"""What labels are called in all regions; what isn't listed keeps its name."""


@dataclass(frozen=True, slots=True)
class Region:
    """Points of one region."""

    name: str
    files: tuple[str, ...]
    months: tuple[int, int]

    def table(self, data: Path) -> SeriesTable:
        """Read the points below the folder of the real test data, labelled by `NAMES`."""
        tables = [read_series(data / file) for file in self.files]
        table = tables[0] if len(tables) == 1 else joined(tables)
        return relabelled(table, lambda label: NAMES.get(label, label))


ARKANSAS_NORTH = Region("Arkansas, north", ("us-2021/arkansas-north.parquet",), (1, 12))
ARKANSAS_SOUTH = Region("Arkansas, south", ("us-2021/arkansas-south.parquet",), (1, 12))
ARKANSAS = Region("Arkansas", (*ARKANSAS_NORTH.files, *ARKANSAS_SOUTH.files), (1, 12))
CALIFORNIA = Region("California, north", ("us-2021/california-north.parquet",), (1, 12))
CANADA = Region("Canada, west", ("canada-2017/canada-west.parquet",), (4, 11))


def relabelled(table: SeriesTable, name: Callable[[str], str | None]) -> SeriesTable:
    """Give the labels other names; rows whose label gets none are left out."""
    labels = [None if label is None else name(label) for label in table.labels]
    kept = np.flatnonzero([label is not None for label in labels])
    return take_rows(replace(table, labels=tuple(labels)), kept)


def large_classes(table: SeriesTable, least: int = LEAST) -> SeriesTable:
    """Call labels of few points `OTHER`."""
    return join_rare(table, least, OTHER)


def in_degrees(table: SeriesTable) -> SeriesTable:
    """Hold out points of a square of one degree together."""
    squares = tuple(f"{floor(x)} {floor(y)}" for x, y in zip(table.lon, table.lat, strict=True))
    return replace(table, fields=squares)


def joined(tables: list[SeriesTable]) -> SeriesTable:
    """Put tables of the same bands one below the other."""
    first = tables[0]
    offsets = [np.zeros(1, np.int64)]
    for table in tables:
        offsets.append(table.offsets[1:] + offsets[-1][-1])
    return replace(
        first,
        ids=tuple(name for table in tables for name in table.ids),
        lon=np.concatenate([table.lon for table in tables]),
        lat=np.concatenate([table.lat for table in tables]),
        year=np.concatenate([table.year for table in tables]),
        labels=tuple(label for table in tables for label in table.labels),
        codes=None,
        fields=None,
        offsets=np.concatenate(offsets),
        days=np.concatenate([table.days for table in tables]),
        values=np.concatenate([table.values for table in tables]),
    )
