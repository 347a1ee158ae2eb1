"""Declared crops against the season: the crop map, and what it says of each parcel of the request."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from catalog.errors import ModelError
from catalog.guards.numbers import Name
from processors.thematic.crop_map import CropMap, CropMapParameters
from processors.thematic.judgement import DeclaredAs, Judgement
from processors.thematic.protocol import Job


class ConformityParameters(CropMapParameters):
    """What a request may set: what a crop map may, and how its parcels are judged."""

    column: Annotated[
        Name | None,
        Field(description="column of the parcels' file with the declared crop; by default the first of the usual ones"),
    ] = None
    id: Annotated[
        Name | None,
        Field(description="column with the parcels' own ids, by which earlier verdicts are kept; by default id"),
    ] = None
    classes: Annotated[
        DeclaredAs,
        Field(
            description="what the column holds: codes or names of the model's legend, or hcat; any takes the one that fits"
        ),
    ] = DeclaredAs.ANY
    false_alarms: Annotated[
        float, Field(gt=0, lt=0.5, description="share of rightly declared parcels that may be called not conform")
    ] = 0.05
    least_pixels: Annotated[
        int,
        Field(ge=1, le=10_000, description="pixels inside a parcel, 10 m off its border, below which it is too small"),
    ] = 8
    least_dates: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="clear dates below which nothing is concluded; by default what the model asks for",
        ),
    ] = None


class Conformity(CropMap):
    """Processor that judges declared parcels by the crop map's probabilities; its rasters are those of the crop map."""

    name: ClassVar[str] = "conformity"
    title: ClassVar[str] = "Declared crops against the season"
    version: ClassVar[str] = "1"
    Parameters: ClassVar[type[BaseModel]] = ConformityParameters

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if self._config.synthetic and not job.synthetic:
            raise ModelError(
                f"conformity: model {self._folder.name} learnt from simulated land alone, and its thresholds don't hold on real parcels: "
                "far more right declarations would be called wrong than asked for. Train one from labels of the region."
            )
        self._judged_by = ConformityParameters.model_validate(job.parameters)

    def _asked(self, parameters: dict[str, Any]) -> CropMapParameters:
        return ConformityParameters.model_validate(parameters)

    def judgement(self) -> Judgement:
        """How the request's parcels are judged."""
        asked = self._judged_by
        return Judgement(
            column=asked.column,
            id_column=asked.id,
            classes=asked.classes,
            false_alarms=asked.false_alarms,
            least_pixels=asked.least_pixels,
            least_dates=asked.least_dates or self._config.min_acquisitions,
            legend=self.legend,
            model=self._folder,
        )
