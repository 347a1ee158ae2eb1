"""Arguments and options that several commands have, and how all of them speak beside their result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass
class Asked:
    """What the command line asked for that still counts after its command has failed."""

    as_json: bool = False


def _remembered(ctx: typer.Context, as_json: bool) -> bool:
    if as_json and isinstance(ctx.obj, Asked):
        ctx.obj.as_json = True
    return as_json


def finite(value: float | None) -> float | None:
    """The number of an option. Raises `typer.BadParameter` for infinity, which is no amount of anything."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value:g} is no amount. Give a number.")
    return value


RequestFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON file with the request's parameters.")]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=_remembered,
        help='Print JSON, one line, as the last of standard output; {"error": …} where the command fails.',
    ),
]


def tell(text: str) -> None:
    """Say something beside the result: standard output is for results."""
    typer.echo(text, err=True)
