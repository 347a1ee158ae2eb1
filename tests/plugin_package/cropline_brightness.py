"""Mean reflectance over the season: a processor that the project knows nothing of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from agrunet.data.patches import PatchSource
from catalog.products import REFLECTANCE_SCALE
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable
from processors.thematic.protocol import Fields, Job


class BrightnessParameters(BaseModel):
    """What a request may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_dates: Annotated[int, Field(ge=1, description="clear dates that a pixel needs")] = 1


class Brightness:
    """Mean of all bands and clear dates, reflectance."""

    name: ClassVar[str] = "brightness"
    title: ClassVar[str] = "Mean reflectance of the season"
    version: ClassVar[str] = "0.3.0"
    needs_model: ClassVar[bool] = False
    Parameters: ClassVar[type[BaseModel]] = BrightnessParameters

    def __init__(self, job: Job) -> None:
        self.parameters = BrightnessParameters.model_validate(job.parameters)
        self.grid = PatchGrid(size=8, overlap=2)
        self.bands: tuple[str, ...] = job.bands
        self.fields: tuple[str, ...] = ("brightness",)
        self.variables: tuple[Variable, ...] = (
            Variable(name="brightness", title=self.title, dtype="float32", nodata=float("nan"), limits=(0.0, 0.5)),
        )
        self.notes: tuple[str, ...] = ()

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """Mean reflectance (1, H, W) of each patch; NaN below `min_dates` clear dates."""
        for index in indices:
            patch = patches.read(index)
            dates = patch.clear.sum(axis=0)
            total = np.where(patch.clear, patch.values.mean(axis=1), 0).sum(axis=0) * REFLECTANCE_SCALE
            mean = total / np.maximum(dates, 1)
            yield index, np.where(dates >= self.parameters.min_dates, mean, np.nan).astype(np.float32)[None]

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        """The brightest pixel of the area."""
        return {"brightest": max((float(np.nanmax(block, initial=0.0)) for block in blocks), default=0.0)}

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:  # noqa: ARG002
        """The field as it is."""
        return {"brightness": fields[0]}
