"""The evidence for a model: how each field that it didn't learn from was mapped. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.errors import AgrunetError
from agrunet.files import verify_listed, write_whole
from agrunet.json_text import read_model
from agrunet.settings import Frozen

EVIDENCE = "fields.json"
"""File of a checkpoint: how each field that was held out was mapped."""

_DIGITS = 5
"""Of a mean probability."""

Counts = npt.NDArray[np.int64]


class MappedField(Frozen):
    """A field and how its pixels were mapped."""

    name: Annotated[str, Field(description="by its place on the ground")]
    label: Annotated[int, Field(ge=0, description="index of its class")]
    mapped: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(description="pixels mapped as each class, and last those left out of the map"),
    ]
    probabilities: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...] | None,
        Field(
            description="of each class, the mean over the mapped pixels; none of models of earlier versions, or without such a pixel",
            exclude_if=lambda probabilities: probabilities is None,
        ),
    ] = None


class FieldEvidence(Frozen):
    """The mapped fields of one model, in the order of their patches' header."""

    kind: Annotated[str, Field(description="hold-out, or grouped k-fold")]
    classes: Annotated[tuple[str, ...], Field(min_length=2, description="names, by index")]
    fields: tuple[MappedField, ...]

    def counts(self) -> tuple[npt.NDArray[np.int64], Counts]:
        """Labels (F,) of the fields, and their pixels (F, K + 1) by class mapped; the last column is of those left out of the map."""
        labels = np.array([field.label for field in self.fields], np.int64)
        pixels = np.array([field.mapped for field in self.fields], np.int64)
        return labels, pixels.reshape(len(labels), len(self.classes) + 1)

    def of(self, names: Sequence[str]) -> FieldEvidence:
        """Keep the fields of these names, in this order. Raises `KeyError` where one isn't there."""
        by_name = {field.name: field for field in self.fields}
        return self.model_copy(update={"fields": tuple(by_name[name] for name in names)})


class FieldTally:
    """Counts of how the pixels of fields were mapped, and sums of their class probabilities, patch by patch."""

    def __init__(self, fields: int, classes: int) -> None:
        self.counts: Counts = np.zeros((fields, classes + 1), np.int64)
        self.sums = np.zeros((fields, classes))

    def add(
        self,
        field: npt.NDArray[np.int32],
        mapped: npt.NDArray[np.int16],
        probabilities: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Count pixels: ``field`` (H, W) number of its field or -1, ``mapped`` (H, W) index of the class or -1 where it is left out;
        ``probabilities``: (K, H, W) of the classes."""
        fields, columns = self.counts.shape
        scored = field >= 0
        column = np.where(mapped < 0, columns - 1, mapped)[scored].astype(np.int64)
        self.counts += np.bincount(field[scored] * columns + column, minlength=fields * columns).reshape(
            fields, columns
        )
        if probabilities is not None:
            known = scored & (mapped >= 0)
            for index, values in enumerate(probabilities):
                self.sums[:, index] += np.bincount(field[known], values[known].astype(np.float64), minlength=fields)

    def __iadd__(self, other: FieldTally) -> FieldTally:
        """Add what another tally of the same fields counted."""
        self.counts += other.counts
        self.sums += other.sums
        return self

    def mapped(self, fields: Sequence[tuple[str, int]]) -> tuple[MappedField, ...]:
        """The fields with these names and labels, in the order of their numbers."""
        pixels = self.counts[:, :-1].sum(axis=1)
        known = (pixels > 0) & (self.sums.sum(axis=1) > 0)
        means = np.clip(self.sums / np.maximum(pixels, 1)[:, None], 0, 1).round(_DIGITS)
        return tuple(
            MappedField(
                name=name,
                label=label,
                mapped=tuple(counts),
                probabilities=tuple(means[number].tolist()) if known[number] else None,
            )
            for number, ((name, label), counts) in enumerate(zip(fields, self.counts.tolist(), strict=True))
        )


def write_evidence(path: Path, evidence: FieldEvidence) -> None:
    """Write evidence as JSON, whole or not at all. Raises `AgrunetError`."""
    write_whole(path, evidence.model_dump_json() + "\n")


def load_evidence(folder: Path) -> FieldEvidence | None:
    """Read the evidence of a checkpoint; None where it holds none. Raises `AgrunetError` where the file isn't the one that was written."""
    if not (folder / EVIDENCE).is_file():
        return None
    verify_listed(folder, "fields", EVIDENCE)
    return read_evidence(folder / EVIDENCE)


def read_evidence(path: Path) -> FieldEvidence:
    """Read evidence. Raises `AgrunetError` where the file can't be read or holds something else."""
    evidence = read_model(path, FieldEvidence, lambda why: AgrunetError(f"{path}{why}. Train the model again."))
    columns = len(evidence.classes) + 1
    strange = next(
        (
            field
            for field in evidence.fields
            if len(field.mapped) != columns
            or field.label >= columns - 1
            or (field.probabilities is not None and len(field.probabilities) != columns - 1)
        ),
        None,
    )
    if strange is not None:
        raise AgrunetError(f"{path}: field {strange.name} doesn't fit {columns - 1} classes. Train the model again.")
    return evidence
