"""`cropline prune`: free the space of what no run needs any more."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

import typer

from flows.commands.options import AsJson, finite

LONGEST = 1_000_000
"""Days that may be asked for: longer ago than any satellite."""


def prune(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[runs] [cubes] [scratch]", help="What may go; runs and scratch.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, max=LONGEST, metavar="DAYS", help="Goes when it was last used longer ago."),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            min=0, callback=finite, metavar="GB", help="Least recently used first, until this much is left of each."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove intermediate files of runs, cells of the cubes, and scratch of killed processes. A run that needs them makes them anew.

    Models, deliveries and subscriptions are never removed, nor what a run uses now. Without --older-than and --keep, scratch alone goes.

    Example: cropline prune runs --older-than 30 --dry-run
    """
    from catalog.errors import RequestError
    from flows.pruning import Kind
    from flows.pruning import prune as remove
    from flows.settings import load_settings

    try:
        kinds = [Kind(name) for name in what or ("runs", "scratch")]
    except ValueError as error:
        raise RequestError(f"{error}. What can be removed is runs, cubes and scratch.") from None
    if older_than is None and keep is None and Kind.CUBES in kinds:
        raise RequestError("cubes: say which cells may go: --older-than DAYS, --keep GB, or both.")
    store = load_settings().open_store(create=False)
    limit = None if older_than is None else timedelta(days=older_than)
    removed, used = remove(store, kinds, limit, None if keep is None else int(keep * 1e9), dry_run=dry_run)
    if as_json:
        shown = {
            "removed" if not dry_run else "would_remove": [item.model_dump(mode="json") for item in removed],
            "in_use": [item.model_dump(mode="json") for item in used],
        }
        typer.echo(json.dumps(shown))
        return
    for item in removed:
        typer.echo(f"{item.kind.value:<8} {item.size / 1e6:9.1f} MB  last used {item.last_used:%Y-%m-%d}  {item.name}")
    for item in used:
        typer.echo(f"{item.kind.value:<8} {item.size / 1e6:9.1f} MB  in use now, left  {item.name}", err=True)
    freed = sum(item.size for item in removed) / 1e6
    typer.echo(f"{'Would free' if dry_run else 'Freed'} {freed:,.1f} MB in {len(removed)} places.")
