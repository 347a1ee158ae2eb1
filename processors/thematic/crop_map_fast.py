"""The crop map in a faster configuration: the same checkpoints, patches that don't overlap, half the precision."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from processors.thematic.crop_map import CROP_MAP, CropMap, CropMapParameters
from processors.thematic.declaration import Declaration
from processors.thematic.protocol import Job


class FastCropMapParameters(CropMapParameters):
    """What a request may set: what a crop map may, with faster defaults."""

    overlap: Annotated[int | None, Field(ge=0, description="overlap of neighbouring patches, pixels")] = 0
    precision: Annotated[
        Literal["fp32", "bf16"], Field(description="arithmetic of the network; fp32 is slower and nearly the same")
    ] = "bf16"


class FastCropMap(CropMap):
    """Crop map of single patches in bf16: fewer of them, each in less time; at their edges pixels see less of what is around them."""

    name: ClassVar[str] = "crop-map-fast"
    title: ClassVar[str] = "Crop map, faster"
    version: ClassVar[str] = "1"
    Parameters: ClassVar[type[BaseModel]] = FastCropMapParameters
    declares: ClassVar[Declaration] = Declaration(
        product=CROP_MAP,
        evidence="The model was scored in fp32; what bf16 and patches without overlap change was not measured on its fields.",
    )

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.notes = (
            *self.notes,
            "Mapped in the faster configuration: patches without overlap, in bf16, unless set otherwise.",
        )

    def _asked(self, parameters: dict[str, Any]) -> CropMapParameters:
        return FastCropMapParameters.model_validate(parameters)
