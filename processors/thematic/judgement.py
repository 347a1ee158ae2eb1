"""What a processor that judges declared parcels says of how: the columns to read, the rates and sizes asked for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from catalog.legend import Legend
from catalog.products import Frozen


class DeclaredAs(StrEnum):
    """The kinds of what a column of declared crops can hold."""

    ANY = "any"
    """The only one of the others that fits."""
    CODES = "codes"
    """Codes of the labels that the model learnt from, as its legend has them."""
    NAMES = "names"
    """Names of the model's classes."""
    HCAT = "hcat"
    """Codes of the EuroCrops taxonomy (HCAT), of a class, of a kind of it, or of a group of classes."""


class Judgement(Frozen):
    """How declared parcels are judged; its fields are those of the request's parameters, and of the model."""

    column: str | None
    """Of the declared crops; None takes the first of the usual ones."""
    id_column: str | None
    """Of the parcels' own ids; None takes the first of the usual ones."""
    classes: DeclaredAs
    false_alarms: float
    """Share of rightly declared parcels that may be called not conform."""
    least_pixels: int
    least_dates: int
    legend: Legend
    model: Path
    """Folder of the checkpoint, which may hold what its held-out fields said."""
