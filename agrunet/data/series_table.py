"""The series table: one row a point or parcel, with its label and its whole series, in a Parquet file that pandas reads as it is.

Columns: ``id`` string; ``lon``, ``lat`` double, degrees; ``year`` int64; ``label`` string, null where unknown; ``code``, ``field`` and
``pixels`` (int64, of which a row is the median), where there are any; ``days`` list<int16>, days of the year (1 is 1 January of ``year``,
below 1 in the year before), rising; and per band list<uint16>, reflectance x 10,000 as the cube stores it, 0 where not clear. Points of
one ``field`` are held out together; without that column each row is a field of its own. The file's metadata `cropline` are
`SeriesMetadata` as JSON. Other columns are left alone.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agrunet.errors import AgrunetError
from agrunet.files import file_written_whole
from agrunet.json_text import parse_json
from agrunet.settings import first_problem

if TYPE_CHECKING:
    import pyarrow as pa  # a tenth of a second, paid by those who read or write a table

BAND_ORDER = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Names of columns that are bands, in the order in which patches hold them."""

METADATA = b"cropline"
"""Key of the file's metadata."""

_DAYS = (-365, 366)
_YEARS = (1970, 2200)
_PLACE = {"lon": 180.0, "lat": 90.0}


class SeriesMetadata(BaseModel):
    """How the series were made. The defaults are for tables of others, which don't say; what else a table states is carried along."""

    model_config = ConfigDict(frozen=True, extra="allow")

    level: Annotated[str, Field(description="L1C or L2A")] = "L2A"
    resampling: Annotated[str, Field(description="of bands coarser than 10 m")] = "nearest"
    months: Annotated[
        tuple[Annotated[int, Field(ge=1, le=12)], Annotated[int, Field(ge=1, le=12)]] | None,
        Field(description="first and last month of the season; None: those of the days"),
    ] = None
    min_clear: Annotated[float, Field(ge=0, le=1, description="clear part of the area that an acquisition had")] = 0.0
    min_acquisitions: Annotated[int, Field(ge=1, description="clear dates that a row needs to be used")] = 1
    baselines: Annotated[tuple[str, ...], Field(description="processing baselines of the products")] = ()
    atmospheric_processor: str = "unknown"
    synthetic: Annotated[bool, Field(description="simulated images")] = False
    source: Annotated[str, Field(description="where the series come from")] = "unknown"
    measured: Annotated[
        str, Field(description="what models that learnt from such series reached on real fields, in one sentence")
    ] = ""
    legend: Annotated[list[dict[str, Any]], Field(description="entries of the labels; carried, not interpreted")] = []


@dataclass(frozen=True, slots=True, eq=False)
class SeriesTable:
    """Labelled series of any lengths, the dates of all rows one after the other.

    ``ids``, ``labels``, ``codes``, ``fields``, ``pixels``: N values each; ``lon``, ``lat``: (N,) degrees; ``year``: (N,); ``offsets``:
    (N + 1,), row ``i`` has the dates ``offsets[i]`` to ``offsets[i + 1]`` of ``days`` (M,) and ``values`` (M, C), 0 = not clear. Raises
    `AgrunetError` naming column and row of what is wrong.
    """

    ids: tuple[str, ...]
    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]
    year: npt.NDArray[np.int64]
    labels: tuple[str | None, ...]
    bands: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    days: npt.NDArray[np.int16]
    values: npt.NDArray[np.uint16]
    codes: tuple[int | str | None, ...] | None = None
    fields: tuple[str | None, ...] | None = None
    pixels: npt.NDArray[np.int64] | None = None
    metadata: SeriesMetadata = field(default_factory=SeriesMetadata)

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise AgrunetError(f"series table: {problem}. Correct the table.")

    def __len__(self) -> int:
        return len(self.ids)

    def dates(self, row: int) -> slice:
        """Positions of a row's dates in ``days`` and ``values``."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))


def read_series(path: Path) -> SeriesTable:
    """Read a series table. Raises `AgrunetError` naming file, column and row where it can't be read or isn't one."""
    import pyarrow as pa
    from pyarrow import parquet

    if path.is_dir():
        raise AgrunetError(f"{path} is a folder. Give a Parquet file of series.")
    try:
        table = parquet.read_table(path)
    except FileNotFoundError as error:
        raise AgrunetError(f"{path}: there is no such file. Give a Parquet file of series.") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AgrunetError(f"{path} is no Parquet file that can be read: {reason}. Write it again.") from error
    try:
        return _from_arrow(table)
    except AgrunetError as error:
        raise AgrunetError(f"{path}: {error}") from error


def write_series(path: Path, table: SeriesTable) -> None:
    """Write a series table, whole or not at all. Raises `AgrunetError` where the disk is full or may not be written."""
    import pyarrow as pa
    from pyarrow import parquet

    def listed(flat: npt.NDArray[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(table.offsets, pa.int32()), pa.array(flat))

    columns: dict[str, Any] = {
        "id": pa.array(table.ids, pa.string()),
        "lon": pa.array(table.lon, pa.float64()),
        "lat": pa.array(table.lat, pa.float64()),
        "year": pa.array(table.year, pa.int64()),
        "label": pa.array(table.labels, pa.string()),
    }
    if table.codes is not None:
        whole = all(code is None or isinstance(code, int) for code in table.codes)
        codes = table.codes if whole else [None if code is None else str(code) for code in table.codes]
        columns["code"] = pa.array(codes, pa.int64() if whole else pa.string())
    if table.fields is not None:
        columns["field"] = pa.array(table.fields, pa.string())
    if table.pixels is not None:
        columns["pixels"] = pa.array(table.pixels, pa.int64())
    columns["days"] = listed(table.days)
    for index, band in enumerate(table.bands):
        columns[band] = listed(np.ascontiguousarray(table.values[:, index]))
    made = pa.table(columns).replace_schema_metadata({METADATA: table.metadata.model_dump_json().encode()})
    with file_written_whole(path) as temporary:
        parquet.write_table(made, temporary, compression="zstd")


def _from_arrow(table: pa.Table) -> SeriesTable:
    missing = [name for name in ("id", "lon", "lat", "year", "label", "days") if name not in table.column_names]
    bands = tuple(name for name in BAND_ORDER if name in table.column_names)
    if missing or not bands:
        raise AgrunetError(
            f"columns {', '.join(missing) or 'of bands'} are missing, it has {', '.join(table.column_names)}. "
            f"Add them; bands are called {', '.join(BAND_ORDER)}."
        )
    offsets, days = _lists(table, "days", np.dtype(np.int16))
    values = np.empty((len(days), len(bands)), np.uint16)
    for index, band in enumerate(bands):
        lengths, flat = _lists(table, band, np.dtype(np.uint16))
        if not np.array_equal(lengths, offsets):
            row = int(np.flatnonzero(np.diff(lengths) != np.diff(offsets))[0])
            raise AgrunetError(
                f"row {row}: {band} has {np.diff(lengths)[row]} values for {np.diff(offsets)[row]} days. Correct the table."
            )
        values[:, index] = flat
    return SeriesTable(
        ids=tuple(_texts(table, "id")),  # type: ignore[arg-type]  # nulls are refused by the table
        lon=_numbers(table, "lon", np.dtype(np.float64)),
        lat=_numbers(table, "lat", np.dtype(np.float64)),
        year=_numbers(table, "year", np.dtype(np.int64)),
        labels=tuple(label or None for label in _texts(table, "label")),
        bands=bands,
        offsets=offsets,
        days=days,
        values=values,
        codes=tuple(table["code"].to_pylist()) if "code" in table.column_names else None,
        fields=tuple(_texts(table, "field")) if "field" in table.column_names else None,
        pixels=_numbers(table, "pixels", np.dtype(np.int64)) if "pixels" in table.column_names else None,
        metadata=_metadata((table.schema.metadata or {}).get(METADATA)),
    )


def _metadata(text: bytes | None) -> SeriesMetadata:
    if text is None:
        return SeriesMetadata()
    stated = parse_json(text, lambda why: AgrunetError(f"metadata {METADATA.decode()}{why}. Correct the table."))
    try:
        return SeriesMetadata.model_validate(stated)
    except ValidationError as error:
        raise AgrunetError(f"metadata {METADATA.decode()}: {first_problem(error)}. Correct the table.") from error


def _texts(table: pa.Table, name: str) -> list[str | None]:
    import pyarrow as pa

    return list(_cast(table, name, pa.string()).to_pylist())


def _numbers(table: pa.Table, name: str, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    import pyarrow as pa

    column = _cast(table, name, pa.from_numpy_dtype(kind))
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise AgrunetError(f"row {row}: {name} is null. Give a number.")
    return np.asarray(column.to_numpy(zero_copy_only=False), kind)


def _lists(table: pa.Table, name: str, kind: np.dtype[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Offsets (N + 1,) and the values of all rows, one after the other."""
    import pyarrow as pa
    from pyarrow import compute

    column = table[name].combine_chunks()
    stored = column.type
    if not (pa.types.is_list(stored) or pa.types.is_large_list(stored) or pa.types.is_fixed_size_list(stored)):
        raise AgrunetError(f"column {name} is {stored}, not lists of whole numbers. Write a list in each row.")
    if not pa.types.is_integer(stored.value_type):
        raise AgrunetError(f"column {name} holds lists of {stored.value_type}, not of whole numbers. Write integers.")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise AgrunetError(f"row {row}: {name} is null. Give a list, empty where there is no date.")
    lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = compute.list_flatten(column)
    wide = flat.cast(pa.int64()).to_numpy(zero_copy_only=False) if not flat.null_count else None
    limits = np.iinfo(kind)
    if wide is None or ((wide < limits.min) | (wide > limits.max)).any():
        nulls = np.asarray(flat.is_null().to_pylist(), np.bool_) if wide is None else np.zeros(0, np.bool_)
        wrong = np.flatnonzero(nulls if wide is None else (wide < limits.min) | (wide > limits.max))[0]
        value = "null" if wide is None else wide[wrong]
        row = int(np.searchsorted(offsets, wrong, side="right")) - 1
        raise AgrunetError(f"row {row}: {name} holds {value}; give whole numbers {limits.min} to {limits.max}.")
    return offsets, wide.astype(kind)


def _cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    column = table[name]
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AgrunetError(f"column {name} is {column.type}, not {kind} ({reason}). Correct its type.") from error


def _problem(table: SeriesTable) -> str:
    """What is wrong with a table; empty where nothing is."""
    rows, dates = len(table.ids), len(table.days)
    if not rows:
        return "there is no row"
    sizes: dict[str, Sized] = {"lon": table.lon, "lat": table.lat, "year": table.year, "label": table.labels}
    sizes |= {
        name: of
        for name, of in (("code", table.codes), ("field", table.fields), ("pixels", table.pixels))
        if of is not None
    }
    for name, column in sizes.items():
        if len(column) != rows:
            return f"{name} has {len(column)} values for {rows} rows"
    if list(table.bands) != [name for name in BAND_ORDER if name in table.bands] or not table.bands:
        return f"bands {', '.join(table.bands) or '(none)'}; give some of {', '.join(BAND_ORDER)}, in this order"
    if table.values.shape != (dates, len(table.bands)) or table.offsets.shape != (rows + 1,):
        return f"values {table.values.shape} and offsets {table.offsets.shape} for {rows} rows and {dates} dates"
    if table.offsets[0] != 0 or table.offsets[-1] != dates or (np.diff(table.offsets) < 0).any():
        return f"offsets {table.offsets[0]} to {table.offsets[-1]} don't rise from 0 to the {dates} dates"
    return _wrong_row(table)


def _wrong_row(table: SeriesTable) -> str:
    first: dict[str, int] = {}
    for row, name in enumerate(table.ids):
        if not name:
            return f"row {row}: id is empty"
        if name in first:
            return f"row {row}: id {name!r} is that of row {first[name]}, too"
        first[name] = row
    for column, limit in _PLACE.items():
        degrees = getattr(table, column)
        for place in np.flatnonzero(~(np.abs(degrees) <= limit)):
            return f"row {place}: {column} is {degrees[place]}, not within {-limit:g} to {limit:g} degrees"
    for place in np.flatnonzero((table.year < _YEARS[0]) | (table.year > _YEARS[1])):
        return f"row {place}: year is {table.year[place]}, not {_YEARS[0]} to {_YEARS[1]}"
    for date in np.flatnonzero((table.days < _DAYS[0]) | (table.days > _DAYS[1])):
        return f"row {_row_of(table, date)}: days hold {table.days[date]}, not within {_DAYS[0]} to {_DAYS[1]}"
    falls = np.diff(table.days.astype(np.int64)) <= 0
    starts = table.offsets[1:-1]
    falls[starts[(starts > 0) & (starts < len(table.days))] - 1] = False  # from one row to the next
    for date in np.flatnonzero(falls):
        return f"row {_row_of(table, date)}: days don't rise: {table.days[date]}, then {table.days[date + 1]}"
    return ""


def _row_of(table: SeriesTable, date: int | np.intp) -> int:
    return int(np.searchsorted(table.offsets, date, side="right")) - 1
