"""Summaries of the cells that a store holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from catalog.errors import StoreError
from catalog.products import Frozen, Level
from catalog.storage.store import CellPath, Store
from processors.cube.cell import Cube


class CellSummary(Frozen):
    """One cell of a store."""

    cell: str
    level: str
    source: Annotated[str, Field(description="id of the source: its folder among the cubes")]
    address: str
    synthetic: bool | None = None
    dates: int = 0
    ingested: Annotated[int, Field(description="dates whose pixels are whole")] = 0
    masked: Annotated[int, Field(description="dates that know where they are clear")] = 0
    first: Annotated[datetime | None, Field(description="sensing time of the first date, UTC")] = None
    last: Annotated[datetime | None, Field(description="sensing time of the last date, UTC")] = None
    size: Annotated[int, Field(description="bytes stored")] = 0
    problem: Annotated[str, Field(description="why it can't be read; empty where it can")] = ""


def cell_paths(store: Store) -> Iterator[CellPath]:
    """The cells of a store, sorted as `summaries` has them. Raises `StoreError` where its bucket can't be reached."""
    for _, _, path in _cells(store):
        yield path


def summaries(store: Store) -> Iterator[CellSummary]:
    """The cells of a store, sorted by source, level and name. Raises `StoreError` where its bucket can't be reached."""
    for source, level, path in _cells(store):
        named = {
            "cell": cell_name(path),
            "level": level,
            "source": source,
            "address": str(path),
            "size": cell_state(path)[0],
        }
        try:
            cube = Cube(path)
            times = sorted(cube.times)
            yield CellSummary(
                **named,
                synthetic=cube.synthetic,
                dates=len(cube),
                ingested=int(cube.flags("ingested").sum()),
                masked=int(cube.flags("masked").sum()),
                first=times[0] if times else None,
                last=times[-1] if times else None,
            )
        except StoreError as error:
            yield CellSummary(**named, problem=str(error))


def find_cell(store: Store, name: str, source: str | None = None, level: Level | None = None) -> CellPath:
    """The one cell of that name, source and level. Raises `StoreError` where there is none, or several."""
    there = list(_cells(store))
    found = [
        (of, at, path)
        for of, at, path in there
        if cell_name(path) == name and source in (None, of) and level in (None, at)
    ]
    if len(found) == 1:
        return found[0][2]
    if found:
        lines = [f"  --source {of} --level {at}" for of, at, _ in found]
        raise StoreError("\n".join([f"cell {name} is there {len(found)} times; say which is meant:", *lines]))
    asked = " ".join(filter(None, [f"cell {name}", source and f"of source {source}", level and f"at level {level}"]))
    names = sorted({cell_name(path) for _, _, path in there})
    some = f" There are {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}." if names else ""
    raise StoreError(f"no {asked} in {store.cubes}.{some} `cropline cells` lists all.")


def _cells(store: Store) -> Iterator[tuple[str, str, CellPath]]:
    for source in _folders(store.cubes):
        for level in _folders(source):
            for path in _folders(level):
                if path.name.endswith(".zarr") and path.exists():
                    yield source.name, level.name, path


def _folders(path: CellPath) -> Sequence[CellPath]:
    if not isinstance(path, Path):
        return path.folders()
    # hidden ones are cells in the making
    found = path.iterdir() if path.is_dir() else iter(())
    return sorted(one for one in found if one.is_dir() and not one.name.startswith("."))


def cell_name(path: CellPath) -> str:
    """Name of the cell at an address."""
    return path.name.removesuffix(".zarr")


def cell_state(path: CellPath) -> tuple[int, datetime | None]:
    """Bytes stored of a cell, and when it was written last; None where nothing is. Raises `StoreError`."""
    if isinstance(path, Path):
        stats = [file.stat() for file in path.rglob("*") if file.is_file()]
        states = [(stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)) for stat in stats]
    else:
        states = list(path.states().values())
    return sum(size for size, _ in states), max((written for _, written in states), default=None)
