"""Evaluation of a map as the Prefect UI and the terminal show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from catalog.products import Frozen
from processors.delivery.evaluation_section import area_text, figure_text
from processors.delivery.evaluations import ClassFigures, Evaluation


class Evaluated(Frozen):
    """What an evaluation came to; the object that `cropline evaluate --json` prints."""

    delivery: Annotated[str, Field(description="folder")]
    files: Annotated[tuple[str, ...], Field(description="absolute paths: record and picture")]
    evaluation: Evaluation


def headlines(made: Evaluation) -> Iterator[str]:
    """What a person looks for, and what has to be known of it."""
    if made.synthetic:
        yield "Synthetic data: the figures say that the parts work together, and nothing about real fields."
    interval = ", 95 % interval" if made.intervals else ""
    yield f"Overall accuracy {figure_text(made.overall)}{interval}, {made.used:,} {made.unit}s of {made.reference}."
    if made.no_intervals is not None:
        yield made.no_intervals.words
    yield from made.notes
    if made.unused:
        listed = ", ".join(f"{count} {kind.words}" for kind, count in made.unused.items())
        names = f" ({', '.join(made.unknown_classes)})" if made.unknown_classes else ""
        yield f"Not used: {listed}{names}."


def accuracy_rows(made: Evaluation) -> list[dict[str, str]]:
    """One row per class that the map or the reference shows."""
    return [
        {
            "class": row.name,
            "user's accuracy": figure_text(row.users),
            "producer's accuracy": figure_text(row.producers),
            "F1": figure_text(row.f1),
            "IoU": figure_text(row.iou),
            "mapped, ha": f"{row.mapped_hectares:,.1f}",
        }
        | ({"estimated area, ha": area_text(row.hectares)} if made.intervals else {})
        for row in made.classes
        if row.present
    ]


def matrix_rows(made: Evaluation) -> list[dict[str, str]]:
    """One row per class of the map, one column per class of the reference."""
    shown = [number for number, row in enumerate(made.classes) if row.mapped_units or row.reference_units]
    names = _columns([made.classes[number] for number in shown])
    return [
        {"map": made.classes[row].name}
        | {name: str(made.matrix[row][column]) for name, column in zip(names, shown, strict=True)}
        for row in shown
    ]


def _columns(classes: list[ClassFigures]) -> list[str]:
    """Names of columns; two classes of one name are told apart by their values."""
    names = [entry.name for entry in classes]
    taken = {"map"}
    return [
        entry.name if names.count(entry.name) == 1 and entry.name not in taken else f"{entry.name} ({entry.value})"
        for entry in classes
    ]
