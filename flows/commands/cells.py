"""`cropline cells` and `cropline export`: what the cubes hold, and copies of it that any software reads."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson

if TYPE_CHECKING:
    from catalog.storage.store import Store


def cells(
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read all that the cells hold, and name what is damaged.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="The same, and make it so that the next run reads it from the source again."),
    ] = False,
) -> None:
    """List the cells of the cubes: their dates and their size; or look for damage in them.

    Example: cropline cells --check
    """
    from flows.settings import load_settings
    from processors.cube.listing import summaries

    store = load_settings().open_store(create=False)
    if check or repair:
        _look_for_damage(store, as_json, repair)
        return
    summarised = list(summaries(store))
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in summarised]))
        return
    for entry in summarised:
        period = f"{entry.first:%Y-%m-%d} to {entry.last:%Y-%m-%d}" if entry.first and entry.last else "no dates"
        typer.echo(
            f"{entry.cell}  {entry.level}  {entry.source}{'  synthetic' if entry.synthetic else ''}  "
            + (entry.problem or f"{period}, {entry.ingested} of {entry.dates} dates ingested, {entry.masked} masked")
            + f"  {entry.size / 1e6:.1f} MB"
        )
    if not summarised:
        typer.echo(f"No cells in {store.cubes} yet. `cropline run aoi.json` makes them.", err=True)


def _look_for_damage(store: Store, as_json: bool, repair: bool) -> None:
    """Name what is damaged; exit code 1 where something is and stays so."""
    from flows.reporting.progress import terminal_step
    from processors.cube.healing import find_damage
    from processors.cube.healing import repair as repair_cell
    from processors.cube.listing import cell_paths

    found = {}
    paths = list(cell_paths(store))
    with terminal_step("check", "the cells' bytes", len(paths)) as step:
        for number, path in enumerate(paths, start=1):
            if damage := find_damage(path)[1]:
                found[str(path)] = (path, damage)
            step.advance(number, len(paths))
        step.outcome = f"{len(found)} of {len(paths)} cells are damaged"
    done = {address: repair_cell(path) for address, (path, _) in found.items()} if repair else {}
    if as_json:
        listed = [
            {"cell": name, "damage": damage, "repaired": done.get(name, "")} for name, (_, damage) in found.items()
        ]
        typer.echo(json.dumps(listed))
    else:
        for address, (_, damage) in found.items():
            for entry in damage:
                typer.echo(f"{address}: {entry}")
            if address in done:
                typer.echo(f"{address}: {done[address]}")
        if not found:
            typer.echo("No damage found.", err=True)
    if found and not repair:
        raise typer.Exit(1)


class ExportFormat(StrEnum):
    cog = "cog"
    zarr = "zarr"


class CellLevel(StrEnum):
    L1C = "L1C"
    L2A = "L2A"


def export(
    cell: Annotated[str, typer.Argument(help="Name of a cell, as `cropline cells` lists it.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the files; one .tif for one date; or the Zarr copy.")
    ],
    form: Annotated[
        ExportFormat,
        typer.Option("--format", help="One Cloud Optimized GeoTIFF a date, or a Zarr copy without shards."),
    ] = ExportFormat.cog,
    dates: Annotated[
        list[datetime] | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="UTC day; may be given repeatedly; all."),
    ] = None,
    bands: Annotated[str | None, typer.Option(metavar="NAMES", help="Separated by commas; all that are there.")] = None,
    source: Annotated[str | None, typer.Option(help="Id of the source, where several hold the cell.")] = None,
    level: Annotated[CellLevel | None, typer.Option(help="Where both levels hold the cell.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a cell's dates in forms that any software reads.

    Example: cropline export 32631_0056_0549 --output exported
    """
    from flows.reporting.progress import counted, terminal_step
    from flows.settings import load_settings
    from processors.cube.export import export_cell
    from processors.cube.listing import find_cell

    path = find_cell(load_settings().open_store(create=False), cell, source, None if level is None else level.value)
    with terminal_step("export", f"the dates of {cell}") as step:
        files = export_cell(
            path,
            output,
            form.value,
            [day.date() for day in dates or ()],
            [band.strip() for band in bands.split(",")] if bands else (),
            step.advance,
        )
        step.outcome = counted(len(files), "file")
    if as_json:
        typer.echo(json.dumps({"files": [str(file) for file in files]}))
        return
    for file in files:
        typer.echo(str(file))
