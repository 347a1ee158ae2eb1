"""`cropline sample` and `cropline evaluate`: how good a delivered map is, from points drawn of it or from any reference data."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson

if TYPE_CHECKING:
    from flows.reporting.evaluation import Evaluated

MapName = Annotated[
    str, typer.Argument(metavar="MAP", help="Folder of a delivery, or the name of a map of this installation.")
]


class Classes(StrEnum):
    """The kinds of what the reference's column can hold."""

    ANY = "any"
    CODES = "codes"
    VALUES = "values"
    NAMES = "names"


def sample(
    delivery: MapName,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="GeoPackage to write; by default <MAP>-sample.gpkg here.")
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(min=2, max=100_000, help="Points in all; by default as many as the standard error takes."),
    ] = None,
    standard_error: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.5, help="Of the overall accuracy that is aimed at; its interval is ± 1.96 times that."
        ),
    ] = 0.02,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=ACCURACY", help="User's accuracy that you expect of a class; 0.8 of the others."),
    ] = None,
    minimum: Annotated[int, typer.Option(min=2, max=10_000, help="Points of a rare class at least.")] = 50,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="The same seed draws the same points.")] = 0,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a file that is there, and what was filled in.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a stratified random sample of a map's pixels, to be interpreted in QGIS.

    The field `reference` of each point is filled in there from a list; what the map shows is not told. Then `cropline evaluate MAP
    SAMPLE` gives accuracies and areas with confidence intervals.

    Example: cropline sample deliveries/flanders-2019 --standard-error 0.02 --expect "Sugar beet=0.6"
    """
    from flows.evaluation import sample_map
    from flows.reporting.progress import terminal
    from flows.settings import load_settings
    from processors.evaluation.drawing import SampleWish

    wish = SampleWish(points, standard_error, _expected(expect or []), minimum, seed)
    with terminal() as reporter:
        drawn = sample_map(
            load_settings(), reporter, delivery, None if output is None else str(output), wish, replace=replace
        )
    if as_json:
        typer.echo(drawn.model_dump_json(exclude={"design": {"points"}}))
        return
    width = max(len(stratum.name) for stratum in drawn.design.strata)
    for stratum in drawn.design.strata:
        typer.echo(f"{stratum.name:<{width}}  {stratum.points:>6} points of {stratum.pixels:>12,} pixels")
    typer.echo(f"sample     {drawn.sample}")
    command = shlex.join(("cropline", "evaluate", delivery, str(drawn.sample)))  # names may hold blanks
    typer.echo(f"next       fill in `reference` in QGIS, then: {command}")


def evaluate(
    delivery: MapName,
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCE",
            help="A filled-in sample; or points or parcels as GeoPackage, GeoParquet, shapefile, FlatGeobuf, GeoJSON, or CSV (lon, lat).",
        ),
    ],
    column: Annotated[
        str | None, typer.Option(help="Column of the classes; by default the only one that fits.")
    ] = None,
    classes: Annotated[
        Classes, typer.Option(help="What it holds: codes of the labels, values of the map, or names.")
    ] = Classes.ANY,
    layer: Annotated[str | None, typer.Option(help="Layer of the reference, where its file holds several.")] = None,
    legend: Annotated[
        Path | None,
        typer.Option(help="CSV that says what the reference's codes mean; by default the map's own legend."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell how good a delivered map is: confusion matrix, accuracies, and areas with intervals.

    The result is laid into the delivery: its report shows it. Intervals and areas need a sample of known design, as `cropline sample`
    draws it; any other points and parcels give accuracies without, and it is said why.

    Example: cropline evaluate deliveries/flanders-2019 fields.geojson --column crop
    """
    from flows.evaluation import evaluate_map
    from flows.reporting.progress import terminal
    from flows.settings import load_settings

    with terminal() as reporter:
        evaluated = evaluate_map(
            load_settings(), reporter, delivery, str(reference), column=column, classes=classes.value, layer=layer,
            legend=None if legend is None else str(legend),
        )  # fmt: skip
    if as_json:
        typer.echo(evaluated.model_dump_json())
        return
    _show(evaluated)


def _show(evaluated: Evaluated) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    from flows.reporting.evaluation import accuracy_rows, headlines

    rows = accuracy_rows(evaluated.evaluation)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in rows[0]:
        table.add_column(name, justify="left" if name == "class" else "right", no_wrap=name != "class")
    for row in rows:
        table.add_row(*row.values())
    Console(width=None if sys.stdout.isatty() else 140, markup=False, highlight=False).print(table)
    for line in headlines(evaluated.evaluation):
        typer.echo(line)
    typer.echo(f"record     {evaluated.files[0]}")
    typer.echo(f"picture    {evaluated.files[1]}")
    typer.echo(f"report     {Path(evaluated.delivery) / 'report.html'}")


def _expected(options: list[str]) -> dict[str, float]:
    from catalog.errors import RequestError
    from catalog.guards.numbers import finite
    from catalog.quoting import shown

    expected = {}
    for option in options:
        name, _, text = option.rpartition("=")
        accuracy = finite(text)
        if not name.strip() or accuracy is None or not 0 < accuracy < 1:
            raise RequestError(f"expect: {shown(option)} is no CLASS=ACCURACY, such as maize=0.9, between 0 and 1.")
        expected[name] = accuracy
    return expected
