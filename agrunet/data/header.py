"""The header of a set of labelled patches, and the splits that their pixels belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from agrunet.data.contract import TrainingContract
from agrunet.settings import Frozen

SPLITS: dict[str, int] = {
    "train": 0,
    "stop": 1,
    "hold-out": 3,
    "test-fold": 4,
    "none": 255,
}
"""Uses of a pixel: to learn from, to stop and fit the temperature on, to score on (two kinds, never mixed), none."""

TEST_SPLITS = ("hold-out", "test-fold")


class LabelledField(Frozen):
    """A field of the labels: pixels of one class that are held out, or learnt from, together."""

    name: Annotated[str, Field(min_length=1, description="by its place on the ground")]
    label: Annotated[int, Field(ge=0, description="index of its class")]
    fold: Annotated[int | None, Field(ge=1, description="fold of an estimate by folds of fields")] = None


FOLDS = 3
"""Folds of an estimate: few, for each is a training."""


def foldable(fields: Sequence[LabelledField]) -> bool:
    """True where there are two folds or more, and each leaves two classes to learn from."""
    folds = {field.fold for field in fields}
    left = [{field.label for field in fields if field.fold != fold} for fold in folds]
    return len(folds) > 1 and all(len(labels) > 1 for labels in left)


class FolderHeader(TrainingContract):
    """The training contract of a set of patches, and how many they are."""

    count: Annotated[int, Field(ge=1, description="number of patches")]
    patch_footprints: Annotated[
        tuple[dict[str, Any], ...] | None, Field(description="GeoJSON geometry of each patch, where known")
    ] = None
    folds: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None, Field(description="fold of each patch, for cross-validation")
    ] = None
    mosaic: Annotated[
        bool,
        Field(
            description="pixels lie side by side that are no neighbours on the ground: only their series say something",
            exclude_if=lambda mosaic: not mosaic,
        ),
    ] = False
    fields: Annotated[
        tuple[LabelledField, ...],
        Field(description="fields that a score can rest on, by the number that patches give their pixels"),
    ] = ()

    @model_validator(mode="after")
    def _consistent(self) -> FolderHeader:
        if len(self.classes) < 2:
            raise ValueError(f"{len(self.classes)} classes; at least 2 are there to tell apart")
        if self.patch_footprints is not None and len(self.patch_footprints) != self.count:
            raise ValueError(f"{len(self.patch_footprints)} patch footprints for {self.count} patches")
        if self.folds is not None and len(self.folds) != self.count:
            raise ValueError(f"{len(self.folds)} folds for {self.count} patches")
        if any(field.label >= len(self.classes) for field in self.fields):
            raise ValueError(f"a field of class {max(field.label for field in self.fields)} of {len(self.classes)}")
        return self
