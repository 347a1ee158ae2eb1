"""News of a season as lines and rows of tables: what changed since the map before, and which passes are to come."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from processors.delivery.changes import Changes
from processors.delivery.coming_passes import ComingPasses


def read_changes(file: Path) -> Changes:
    """The changes that a delivery's file tells."""
    return Changes.model_validate_json(file.read_bytes())


def changes_text(files: Iterable[str]) -> str:
    """What changed, on one line, as a delivery's files tell; empty where there was nothing to compare with."""
    file = next((Path(file) for file in files if Path(file).name == "changes.json"), None)
    return "" if file is None else changes_line(read_changes(file))


def changes_line(changes: Changes) -> str:
    """Sentence on what is different from the map before."""
    if changes.not_comparable:
        return f"Not comparable with the map before: {changes.not_comparable}."
    if changes.matrix:
        share = "" if changes.share is None else f" ({100 * changes.share:.1f} %)"
        return f"{changes.changed} of {changes.compared} pixels changed class{share} since the {changes.before.status} map before."
    known = [band for band in changes.bands if band.absolute is not None]
    if not known:
        return "No band has values in both this map and the one before."
    most = max(known, key=lambda band: band.absolute or 0.0)
    return f"Most different from the map before: {most.variable} {most.band}, by {most.absolute:.3f} on average."


def change_rows(changes: Changes) -> list[dict[str, str]]:
    """One row per class with its hectares, or per band with its means; none where nothing can be compared."""
    if changes.hectares:
        return [
            {
                "class": row.name,
                "ha before": f"{row.before:.2f}",
                "ha now": f"{row.after:.2f}",
                "difference": f"{row.difference:+.2f}",
                "mostly": _moved(changes, row.name),
            }
            for row in changes.hectares
        ]
    return [
        {
            "variable": row.variable,
            "band": row.band,
            **{
                name: "" if figure is None else f"{figure:.3f}"
                for name, figure in (
                    ("mean before", row.before),
                    ("mean now", row.after),
                    ("difference", row.difference),
                )
            },
        }
        for row in changes.bands
    ]


def _moved(changes: Changes, name: str) -> str:
    """Largest change that a class takes part in."""
    pair = next((pair for pair in changes.moved if name in (pair.before, pair.after)), None)
    if pair is None:
        return "unchanged"
    return f"{pair.hectares:.2f} ha " + (f"to {pair.after}" if pair.before == name else f"from {pair.before}")


def pass_rows(coming: ComingPasses) -> list[dict[str, str]]:
    """One row per pass."""
    return [
        {
            "time (UTC)": f"{one.time:%Y-%m-%d %H:%M}",
            "platform": one.platform,
            "orbit": one.relative_orbit,
            "seen": f"{100 * one.covered:.0f} %",
            "L2A ready": "lost on board" if one.l2a_ready is None else f"{one.l2a_ready:%Y-%m-%d %H:%M}",
        }
        for one in coming.passes
    ]
