"""`cropline simulate`: what the simulated mission writes to disk. All of it is synthetic."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from catalog.products import Level

simulate = typer.Typer(help="Write simulated data: training sets and product archives.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="New, empty, or with part of the same in it.")]
Seed = Annotated[int, typer.Option(min=0, max=10**9, help="Another one makes other lands, weather and skies.")]
Farming = Annotated[str, typer.Option(help="What is grown: france (the shares of PASTIS) or flanders.")]


@simulate.command()
def patches(
    folder: Folder,
    count: Annotated[int, typer.Option(min=5, help="Number of patches.")],
    size: Annotated[int, typer.Option(min=16, max=1024, help="Edge of a patch, pixels of 10 m.")] = 128,
    months: Annotated[
        tuple[int, int], typer.Option(help="First and last month; 9 8 is September 2018 to August 2019.")
    ] = (9, 8),
    min_clear: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out dates with less clear sky over the patch.")
    ] = 0.0,
    seed: Seed = 0,
    farming: Farming = "france",
    processes: Annotated[int | None, typer.Option(min=1, help="Processes of one thread each; all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Write a training set in the layout of PASTIS; run again, it goes on from the patches that are there."""
    from catalog.mission.crops import CROPS
    from flows.progress import terminal
    from flows.settings import load_settings
    from processors.simulate import checked_settings, write_patches

    settings = checked_settings(count=count, size=size, months=months, min_clear=min_clear, seed=seed, farming=farming)
    workers, start = processes or load_settings().workers, time.monotonic()
    with terminal() as reporter:
        reporter.stage("simulate", count, "patches")
        made = write_patches(folder, settings, workers, reporter.advance)
        spent = time.monotonic() - start
        reporter.finish(spent, f"{made.made} patches made, {made.patches} in all")
    rate = 60 * made.made / spent / min(workers, max(1, made.made))
    if as_json:
        typer.echo(json.dumps(made.model_dump(mode="json") | {"patches_per_minute_and_core": round(rate, 2)}))
        return
    total = sum(made.pixels.values())
    for code, pixels in made.pixels.items():
        typer.echo(f"{CROPS[code].name if code else 'background':<28} {pixels:>12,} pixels  {pixels / total:6.1%}")
    typer.echo(f"{made.patches} patches of {made.dates:g} dates in the mean; read them as pastis:{folder}")
    if made.made:
        typer.echo(f"{rate:.1f} patches per minute and core, {workers} at work. All of it is synthetic.")


_LEVELS: tuple[Level, ...] = ("L1C", "L2A")


class Form(StrEnum):
    safe = "safe"
    stac = "stac"


class Levels(StrEnum):
    L1C = "L1C"
    L2A = "L2A"
    both = "both"


@simulate.command()
def products(
    folder: Folder,
    area: Annotated[Path, typer.Option(metavar="FILE", help="A request, or any GeoJSON: a point will do.")],
    start: Annotated[str, typer.Option(metavar="DATE", help="First day or time, UTC.")],
    end: Annotated[str, typer.Option(metavar="DATE", help="The first one after it.")],
    level: Annotated[Levels, typer.Option(help="Of the products.")] = Levels.L2A,
    form: Annotated[
        Form, typer.Option("--format", help="SAFE products as large as real ones, or STAC + COG over the area.")
    ] = Form.stac,
    seed: Seed = 0,
    farming: Farming = "france",
) -> None:
    """Write the products of an area and a period, with the truth beside them; run again, it goes on."""
    from catalog.area import parse_place
    from catalog.mission.archive import write_archive
    from catalog.sources.mission import parse_mission
    from flows.passes import parse_start
    from flows.progress import terminal
    from flows.request import read_parameters

    parameters = read_parameters(area)
    place = parse_place(parameters.get("area", parameters))
    mission = parse_mission(f"seed={seed},farming={farming}")
    began = time.monotonic()
    with terminal() as reporter:
        reporter.stage("simulate", 1, "overpasses")
        made = write_archive(
            folder,
            mission,
            place,
            (parse_start(start), parse_start(end)),
            levels=[one for one in _LEVELS if level.value in (one, "both")],
            form=form.value,
            progress=reporter.advance,
        )
        reporter.finish(time.monotonic() - began, f"{len(made.products)} products")
    typer.echo(f"source     {made.source}")
    typer.echo(f"labels     {made.labels}")
    typer.echo(f"parcels    {made.parcels}")
    typer.echo("All of it is synthetic.")
