"""The header of a set of labelled patches, and the splits that their pixels belong to."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from agrunet.data.contract import TrainingContract

SPLITS: dict[str, int] = {
    "train": 0,
    "stop": 1,
    "within-field": 2,
    "field-disjoint": 3,
    "test-fold": 4,
    "none": 255,
}
"""Uses of a pixel: to learn from, to stop and fit the temperature on, to score on (three kinds, never mixed), none."""

TEST_SPLITS = ("within-field", "field-disjoint", "test-fold")


class FolderHeader(TrainingContract):
    """The training contract of a set of patches, and how many they are."""

    count: Annotated[int, Field(ge=1, description="number of patches")]
    patch_footprints: Annotated[
        tuple[dict[str, Any], ...] | None, Field(description="GeoJSON geometry of each patch, where known")
    ] = None
    folds: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None, Field(description="fold of each patch, for cross-validation")
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> FolderHeader:
        if len(self.classes) < 2:
            raise ValueError(f"{len(self.classes)} classes; at least 2 are there to tell apart")
        if self.patch_footprints is not None and len(self.patch_footprints) != self.count:
            raise ValueError(f"{len(self.patch_footprints)} patch footprints for {self.count} patches")
        if self.folds is not None and len(self.folds) != self.count:
            raise ValueError(f"{len(self.folds)} folds for {self.count} patches")
        return self
