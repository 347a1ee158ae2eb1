"""`cropline extract`: the series of points or parcels as a table, for whoever works on series."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson, RequestFile, tell

if TYPE_CHECKING:
    from flows.reporting.extracted import Extracted

_SUFFIXES = (".parquet", ".geoparquet")


def extract(
    file: RequestFile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Parquet file to write; by default <FILE>-<year>.parquet here."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take what the cubes hold already, and ask no source.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what it would read, cost and take; download nothing, write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the series of a request's points or parcels as a Parquet table: one row each, with its label, dates and bands.

    The request is one as `cropline run` takes it, whose labels are points or parcels; they may have no class. Without an area the
    squares around the points, or the parcels, are it. pandas and training read the table: a column of days of the year, and one of
    reflectance x 10,000 for each band, 0 where it isn't clear.

    Example: cropline extract survey.json --output survey.parquet
    """
    if dry_run:
        _foresee(file, as_json)
        return
    from flows.prefect_process.temporary_server import temporary_server

    with temporary_server() as server:  # it starts while the request is checked
        from catalog.errors import RequestError
        from catalog.guards.paths import user_path
        from flows.checked_request import check_extraction
        from flows.checks import check_writable
        from flows.commands.local import extract_in_process
        from flows.request import read_parameters
        from flows.settings import load_settings

        settings = load_settings()
        request = check_extraction(read_parameters(file), settings.folder, settings)
        named = output if output is not None else Path(f"{file.stem}-{request.year}.parquet")
        table = user_path(
            named, lambda why: RequestError(f"output: {why}. Name a file: --output FILE.parquet."), base=settings.folder
        )
        if table.suffix.lower() not in _SUFFIXES:
            raise RequestError(f"output: {table} is not called so. Name a Parquet file: --output FILE.parquet.")
        if table.exists() and not replace:
            raise RequestError(f"output: {table} is there already. Name another, or give --replace.")
        check_writable(table)
        extracted = extract_in_process(request, table, settings, server, offline=offline)
    _show(extracted, as_json)


def _foresee(file: Path, as_json: bool) -> None:
    import sys

    from rich.console import Console

    from flows.checked_request import check_extraction
    from flows.commands.dry_run import foresee_request, show
    from flows.request import read_parameters
    from flows.settings import load_settings

    settings = load_settings()
    request = check_extraction(read_parameters(file), settings.folder, settings)
    foreseen = foresee_request(request, settings).of_stages("order", "extend", "ingest", "mask", "season")
    if as_json:
        typer.echo(foreseen.model_dump_json())
    else:
        show(foreseen, Console(width=None if sys.stdout.isatty() else 120))


def _show(extracted: Extracted, as_json: bool) -> None:
    if as_json:
        typer.echo(extracted.model_dump_json())
        return
    for line in extracted.lines():
        typer.echo(line)
    if len(extracted.classes) > 1:
        model = shlex.quote(str(Path(extracted.table).with_suffix("")))
        series = shlex.quote(f"series:{extracted.table}")
        tell(f"next       python -m agrunet train --data {series} --output {model}")
    else:
        tell(f"next       pandas.read_parquet({extracted.table!r})")
