"""`cropline backup` and `cropline restore`: the server's database and the store, put away and put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.interruption import ended_in_order
from flows.commands.options import AsJson, finite, tell


def backup(
    folder: Annotated[str, typer.Argument(help="Where backups are kept, each in a folder named by its time.")],
    keep: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Remove the oldest until this many are left; all stay.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, callback=finite, metavar="MINUTES", help="Longest time to wait for runs that go on.")
    ] = 120,
    as_json: AsJson = False,
) -> None:
    """Copy the server's database, the store and the deliveries, as they are while no run goes on: runs are waited for, new ones wait.

    The server's secret is in it: keep it as you keep a password. Cubes in a bucket are not.

    Example: cropline backup /var/backups/cropline --keep 14
    """
    from flows.prefect_process.backup import back_up
    from flows.settings import load_settings

    with ended_in_order():
        made = back_up(load_settings(), _folder(folder), keep, wait * 60, tell)
    typer.echo(json.dumps({"backup": str(made)}) if as_json else str(made))


def restore(
    backup: Annotated[str, typer.Argument(help="A folder that `cropline backup` made.")],
    as_json: AsJson = False,
) -> None:
    """Put a backup back: into an empty store and an empty database, where they were. Nothing is overwritten.

    Example: cropline restore /var/backups/cropline/2026-05-01T02-00-00Z
    """
    from flows.prefect_process.backup import restore as put_back
    from flows.settings import load_settings

    with ended_in_order():
        record = put_back(load_settings(), _folder(backup), tell)
    typer.echo(
        record.model_dump_json()
        if as_json
        else f"restored {record.store}, as it was at {record.made:%Y-%m-%d %H:%M} UTC"
    )


def _folder(given: str) -> Path:
    from catalog.guards.paths import user_path

    return user_path(given, lambda why: typer.BadParameter(f"{why}. Give the path of a folder."))
