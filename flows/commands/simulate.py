"""`cropline simulate`: what the simulated mission writes to disk. All of it is synthetic."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson

simulate = typer.Typer(help="Write simulated data: training sets and product archives.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="New, empty, or with part of the same in it.")]
Seed = Annotated[int, typer.Option(min=0, max=10**9 - 1, help="Another one makes other lands, weather and skies.")]
Farming = Annotated[str, typer.Option(help="What is grown: france (the shares of PASTIS), flanders, corn-belt, ...")]

Processes = Annotated[int | None, typer.Option(min=1, help="Processes of one thread each; all cores.")]


class Levels(StrEnum):
    """Levels of products."""

    l1c = "L1C"
    l2a = "L2A"
    both = "both"


class Format(StrEnum):
    """Format of products."""

    safe = "safe"
    stac = "stac"


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
    farming: Annotated[
        str, typer.Option(help="As of products; world: several regions, each farmed as it is.")
    ] = "france",
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Write a training set in the layout of PASTIS; run again, it goes on from the patches that are there.

    Example: cropline simulate patches training --count 400 --months 1 7 --min-clear 0.5
    """
    from flows.reporting.progress import terminal_step
    from flows.settings import load_settings
    from processors.simulation.claimed_folder import checked
    from processors.simulation.land.crops import CROPS
    from processors.simulation.training_patches import PatchSettings, write_patches

    settings = checked(
        PatchSettings, count=count, size=size, months=months, min_clear=min_clear, seed=seed, farming=farming
    )
    workers = processes or load_settings().workers
    with terminal_step("simulate", "patches", count) as step:
        made = write_patches(folder, settings, workers, step.advance)
        step.outcome = f"{made.made} patches made, {made.patches} in all"
    rate = 60 * made.made / step.seconds / min(workers, max(1, made.made))
    if as_json:
        typer.echo(json.dumps(made.model_dump(mode="json") | {"patches_per_minute_and_core": round(rate, 2)}))
        return
    total = sum(made.pixels.values())
    for code, pixels in made.pixels.items():
        typer.echo(f"{CROPS[code].name if code else 'background':<28} {pixels:>12,} pixels  {pixels / total:6.1%}")
    typer.echo(f"{made.patches} patches of {made.dates:g} dates in the mean; read them as pastis:{folder}")
    if made.made:
        typer.echo(f"{rate:.1f} patches per minute and core, {workers} at work. All of it is synthetic.")


@simulate.command()
def series(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet file to write.")],
    count: Annotated[int, typer.Option(min=25, help="Number of series.")],
    months: Annotated[tuple[int, int], typer.Option(help="First and last month, of one year.")] = (1, 12),
    timing: Annotated[str, typer.Option(help="ten-day or monthly composites, single dates, or mixed.")] = "mixed",
    seed: Seed = 0,
    farming: Annotated[str, typer.Option(help="Where: world, or one of the farmings of patches.")] = "world",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a table of simulated series without images, which trains pixel networks and forests (--data series:FILE).

    Example: cropline simulate series training.parquet --count 20000 --months 1 12 --seed 7
    """
    from catalog.errors import RequestError
    from processors.simulation.claimed_folder import checked
    from processors.simulation.training_series import SeriesSettings, write_training_series

    settings = checked(SeriesSettings, count=count, months=months, timing=timing, seed=seed, farming=farming)
    if file.exists() and not replace:
        raise RequestError(f"{file} is there already. Name another, or give --replace.")
    made = write_training_series(file, settings)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "series": made}))
        return
    for name, number in made.items():
        typer.echo(f"{name:<28} {number:>9,} series")
    typer.echo(f"{sum(made.values()):,} series in {file}; read them as series:{file}. All of it is synthetic.")


@simulate.command()
def products(
    folder: Folder,
    area: Annotated[Path, typer.Option(metavar="FILE", help="A request, or any GeoJSON: what is to be seen.")],
    start: Annotated[str, typer.Option(metavar="DATE", help="First day or time, UTC.")],
    end: Annotated[str, typer.Option(metavar="DATE", help="Day or time, UTC, from which on nothing is wanted.")],
    level: Annotated[Levels, typer.Option(help="Of the products.")] = Levels.l2a,
    form: Annotated[
        Format, typer.Option("--format", help="SAFE of whole tiles, or STAC + COG over the area.")
    ] = Format.stac,
    seed: Seed = 0,
    farming: Farming = "france",
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Write the products of an area, and the truth beside them; run again, it goes on from those that are there.

    Example: cropline simulate products archive --area aoi.json --start 2024-01-01 --end 2024-08-01
    """
    from catalog.area import as_geojson, parse_geometry
    from flows.commands.passes import parse_time
    from flows.reporting.progress import terminal_step
    from flows.request import read_parameters
    from flows.settings import load_settings
    from processors.simulation.claimed_folder import checked
    from processors.simulation.products.archive import TRUTH, ProductSettings, write_products

    parameters = read_parameters(area)
    settings = checked(
        ProductSettings,
        area=as_geojson(parse_geometry(parameters.get("area", parameters))),
        start=parse_time(start, "start"),
        end=parse_time(end, "end"),
        levels=("L1C", "L2A") if level == Levels.both else (level.value,),
        format=form.value,
        seed=seed,
        farming=farming,
    )
    with terminal_step("simulate", "acquisitions", 0) as step:
        made = write_products(folder, settings, processes or load_settings().workers, step.advance)
        step.outcome = f"acquisitions made {made.made}, in all {made.acquisitions}"
    if as_json:
        typer.echo(made.model_dump_json())
        return
    typer.echo(f"acquisitions  {made.acquisitions}{f', and {made.lost} lost on board' if made.lost else ''}")
    typer.echo(f"products      {made.products}")
    typer.echo(f"source        {made.source}")
    for labels in made.labels:
        typer.echo(f"labels        {labels}")
    typer.echo(f"truth         {folder / TRUTH}")
    typer.echo("All of it is synthetic.")
