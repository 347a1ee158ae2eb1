"""Verdicts on declared parcels in a delivery: the table in three forms, with what was decided before of each parcel."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.guards.vectors import read_parquet
from catalog.storage.csv_text import csv_cell, csv_comment
from catalog.storage.whole import written_whole
from processors.conformity.judge import OWN_COLUMNS, Conformity
from processors.delivery.parcels import write_geopackage
from processors.delivery.provenance import DeliveryFacts

PARQUET, PACKAGE, TABLE = "conformity.parquet", "conformity.gpkg", "conformity.csv"

LAYER = "conformity"
"""Layer of the GeoPackage."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What a delivery before says of a parcel."""

    verdict: str | None
    declared: str | None
    decided: str | None
    earlier_verdict: str | None
    earlier_decided: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """The table as it is delivered, and what became of the one before."""

    frame: Any
    kept: int
    """Parcels of which an earlier verdict is known."""
    unreadable: str
    """Why the table before can't be read; empty where it can, or there is none."""


def write_tables(folder: Path, frame: Any, facts: DeliveryFacts) -> list[Path]:
    """Write the table as GeoParquet, GeoPackage and CSV, and return their paths. Raises `StoreError` where they can't be written."""
    observed = max([facts.used[-1].time] if facts.used else [facts.period[1]])
    parquet, package, table = folder / PARQUET, folder / PACKAGE, folder / TABLE
    with written_whole(parquet) as temporary:
        frame.to_parquet(temporary, index=False, write_covering_bbox=True, schema_version="1.1.0", compression="zstd")
    write_geopackage(package, frame, LAYER, observed)
    _write_csv(table, frame, (facts.title, facts.notice, *facts.notes))
    return [parquet, package, table]


def decided(conformity: Conformity, facts: DeliveryFacts, replaced: Path, *, same_pixels: bool) -> Decided:
    """The table with the model, the date of decision, and the earlier verdict of each parcel, by its own id.

    ``replaced``: folder that may hold a delivery with such a table; ``same_pixels``: it is of the same request and made from the same.
    Then a verdict that is given again, of the same declaration, is that decision, with its date and with what was before it.
    """
    frame, unreadable = conformity.frame, ""
    try:
        before = _earlier(conformity.ids, replaced / PARQUET)
    except _UnreadableError as error:
        before, unreadable = {}, str(error)
    now = facts.created.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows: list[tuple[str | None, str | None, str | None]] = []
    told = (texts(frame[name]) for name in ("parcel_id", "verdict", "declared"))
    for own_id, verdict, declared in zip(*told, strict=True):
        was = None if own_id is None else before.get(own_id)
        if was is None:
            rows.append((now, None, None))
        elif same_pixels and (was.verdict, was.declared) == (verdict, declared):
            rows.append((was.decided or now, was.earlier_verdict, was.earlier_decided))
        else:
            rows.append((now, was.verdict, was.decided))
    model = facts.model
    added = frame.assign(
        model=_column([None if model is None else model.name] * len(frame)),
        model_checksum=_column([None if model is None else model.checksum] * len(frame)),
        decided=_column([row[0] for row in rows]),
        earlier_verdict=_column([row[1] for row in rows]),
        earlier_decided=_column([row[2] for row in rows]),
    )
    others = [name for name in frame.columns if name not in OWN_COLUMNS and name != "geometry"]
    kept = sum(row[1] is not None for row in rows)
    return Decided(added[[*OWN_COLUMNS, *others, "geometry"]], kept, unreadable)


class _UnreadableError(Exception):
    """Reason why the table of a delivery before can't be read."""


def _earlier(ids: Sequence[str | None] | None, path: Path) -> dict[str, _Before]:
    """What a table says of each parcel, by its own id; nothing of ids that stand in several rows, here or there."""
    if ids is None or not path.is_file():
        return {}
    frame = read_parquet(path, _UnreadableError)
    names = ("parcel_id", "verdict", "declared", "decided", "earlier_verdict", "earlier_decided")
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise _UnreadableError(f"it has no column {lacking[0]}")
    columns = [texts(frame[name]) for name in names]
    twice = {own for listed in (columns[0], ids) for own, count in Counter(listed).items() if count > 1}
    return {
        row[0]: _Before(*row[1:]) for row in zip(*columns, strict=True) if row[0] is not None and row[0] not in twice
    }


def texts(column: Any) -> list[str | None]:
    """A column as text, None where nothing is."""
    return [None if missing else str(value) for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _column(values: Sequence[str | None]) -> Any:
    import pandas as pd  # slow to import

    return pd.array(list(values), dtype="string")


def _write_csv(path: Path, frame: Any, header: Sequence[str]) -> None:
    """Write the table without its geometry, UTF-8; lines that start with ``#`` come first."""
    text = io.StringIO()
    text.writelines(f"# {csv_comment(line)}\n" for line in header)
    writer = csv.writer(text, lineterminator="\n")
    names = [name for name in frame.columns if name != "geometry"]
    writer.writerow([csv_cell(str(name)) for name in names])
    columns = [_cells(frame[name]) for name in names]
    writer.writerows(zip(*columns, strict=True))
    with written_whole(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _cells(column: Any) -> list[str]:
    """A column as cells: numbers and truth values as such, all else as text that no spreadsheet takes for a formula."""
    import pandas as pd

    plain = pd.api.types.is_numeric_dtype(column.dtype)
    return [
        ""
        if missing
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        if plain
        else csv_cell(str(value))
        for value, missing in zip(column.tolist(), column.isna(), strict=True)
    ]
