"""Arguments and options that several commands have, and how all of them speak beside their result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RequestFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON file with the request's parameters.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]


def tell(text: str) -> None:
    """Say something beside the result: standard output is for results."""
    typer.echo(text, err=True)
