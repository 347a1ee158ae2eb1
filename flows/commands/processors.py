"""`cropline processors`: the thematic processors that are installed."""

from __future__ import annotations

import json

import typer

from flows.commands.options import AsJson


def processors(as_json: AsJson = False) -> None:
    """List the thematic processors that are installed, with their parameters.

    Example: cropline processors
    """
    from processors.thematic.registry import describe_processors

    descriptions = describe_processors()
    if as_json:
        typer.echo(json.dumps([description.model_dump(mode="json") for description in descriptions]))
        return
    for description in descriptions:
        typer.echo(f"{description.name}  {description.error or description.title}  ({description.package})")
        for parameter, field in description.parameters.get("properties", {}).items():
            typer.echo(f"    {parameter} = {json.dumps(field.get('default'))}  {field.get('description', '')}")
