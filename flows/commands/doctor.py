"""`cropline doctor`: what of an installation works, what doesn't, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson

if TYPE_CHECKING:
    from flows.doctor import Finding


def doctor(
    source: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Ask this source, too; CROPLINE_SOURCE is always asked.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the installation: software, machine, disk, credentials, server, worker, sources. Exit code 1 where something is at fault.

    No pixel is read, nothing is written but an empty file in the store that goes at once.

    Example: cropline doctor --source mission:
    """
    from flows.doctor import findings

    found = []
    for finding in findings(tuple(source or ())):
        found.append(finding)
        if not as_json:
            typer.echo(_line(finding))
    faults = [finding for finding in found if finding.state == "fault"]
    if as_json:
        typer.echo(json.dumps([finding.model_dump(mode="json") for finding in found]))
    elif not faults:
        typer.echo("Nothing is at fault.")
    if faults:
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    mark = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  "}[finding.state]
    text = finding.text if finding.text.startswith(finding.check) else f"{finding.check}: {finding.text}"
    return f"{mark}  {text}" + (f" {finding.remedy}" if finding.remedy else "")
