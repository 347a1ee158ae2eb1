"""What a set of labelled patches is: all that a checkpoint must remember of its training data."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from agrunet.settings import Frozen

SPLITS: dict[str, int] = {
    "train": 0,
    "stop": 1,
    "within-field": 2,
    "field-disjoint": 3,
    "test-fold": 4,
    "none": 255,
}
"""What each pixel is for: to learn from, to stop and fit the temperature on, to score on (three kinds, never mixed), nothing."""

TEST_SPLITS = ("within-field", "field-disjoint", "test-fold")


class FolderHeader(Frozen):
    """What the patches are; all that a checkpoint must remember of its training data."""

    count: Annotated[int, Field(ge=1, description="number of patches")]
    patch_size: Annotated[int, Field(ge=1, description="height and width, pixels")]
    bands: Annotated[tuple[str, ...], Field(min_length=1, description="names, in the order of the arrays")]
    classes: Annotated[tuple[str, ...], Field(min_length=2, description="names, by the index that labels hold")]
    legend: Annotated[
        list[dict[str, Any]], Field(description="of the labels; carried into the checkpoint, not interpreted")
    ] = []
    level: str
    years: Annotated[tuple[int, ...], Field(min_length=1)]
    months: Annotated[
        tuple[int, int], Field(description="first and last month of the season; days count from its start")
    ]
    synthetic: bool
    footprint: Annotated[dict[str, Any] | None, Field(description="GeoJSON geometry, longitude and latitude")] = None
    patch_footprints: Annotated[
        tuple[dict[str, Any], ...] | None, Field(description="the same for each patch, where known")
    ] = None
    folds: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None, Field(description="fold of each patch, for cross-validation")
    ] = None
    resampling: Annotated[str, Field(description="of bands coarser than 10 m")] = "nearest"
    baselines: Annotated[tuple[str, ...], Field(description="processing baselines of the products")] = ()
    atmospheric_processor: str = "unknown"
    min_clear: Annotated[
        float, Field(ge=0, le=1, description="clear part of the area that an acquisition must have")
    ] = 0.5
    min_acquisitions: Annotated[int, Field(ge=1, description="clear dates that a pixel needs to be mapped")] = 1
    max_dates: Annotated[int, Field(ge=1, description="longest series the model may be given")] = 70
    hold_out: Annotated[str, Field(description="how the scored pixels were chosen, in one sentence")] = ""

    @property
    def background(self) -> int | None:
        """Index of the class that the legend calls background (known, but no crop); None where it has none."""
        names = [entry.get("name") for entry in self.legend if entry.get("role") == "background"]
        return next((index for index, name in enumerate(self.classes) if name in names), None)

    @model_validator(mode="after")
    def _consistent(self) -> FolderHeader:
        if self.patch_footprints is not None and len(self.patch_footprints) != self.count:
            raise ValueError(f"{len(self.patch_footprints)} patch footprints for {self.count} patches")
        if self.folds is not None and len(self.folds) != self.count:
            raise ValueError(f"{len(self.folds)} folds for {self.count} patches")
        return self
