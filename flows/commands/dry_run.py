"""`cropline run --dry-run`: what a request would take, without a server and without a download."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.reporting.foreseen import Estimate, candidate_rows, estimate_rows, foreseen_rows
from flows.reporting.progress import counted, terminal_step
from flows.request import MapRequest
from flows.settings import Settings


def foresee_request(request: MapRequest, settings: Settings) -> Estimate:
    """Search the source, and tell what the request would take. Raises what the search raises."""
    from flows.estimate import estimate_request  # brings Prefect, whose stages it shares

    with terminal_step("estimate", "the source's catalogue") as step:
        foreseen = estimate_request(request, settings)
        step.outcome = counted(len(foreseen.acquisitions), "acquisition")
    return foreseen


def show(foreseen: Estimate, console: Console) -> None:
    """Print an estimate: what it takes, the acquisitions, and by kind what is left out."""
    console.print(_table(foreseen_rows(foreseen)))
    if foreseen.left_out:
        kinds = Counter(left.kind.words for left in foreseen.left_out)
        console.print(Text(f"left out: {', '.join(f'{count} {words}' for words, count in kinds.most_common())}"))
        for kind in kinds:
            first = next(left for left in foreseen.left_out if left.kind.words == kind)
            console.print(Text(f"  {first.product}: {first.reason}"))
    console.print(_table(estimate_rows(foreseen)))
    if len(foreseen.candidates) > 1:
        console.print(_table(candidate_rows(foreseen.candidates)))
    for note in foreseen.remarks:
        console.print(Text(note))
    console.print(Text("All of it is an estimate; nothing was downloaded."))


_NUMBERS = ("about", "cloud (tile, %)", "cells to read", "there", "MB", "processing units", "seconds")
"""Columns whose values stand to the right."""


def _table(rows: Sequence[dict[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name, justify="left" if name not in _NUMBERS else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    return table
