"""Protocol of a thematic processor: the plug that `cropline.processors` entry points fit into.

A processor turns patches of the season into *fields* (layers that can be blended where patches overlap, such as class
probabilities), and blended fields into the *variables* that are delivered. It knows nothing of cells, files or flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, model_validator

from agrunet.data.patches import PatchSource
from catalog.products import UNKNOWN, Frozen, Level
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable

__all__ = ["Fields", "Job", "PatchGrid", "Processor", "Variable"]

Fields = npt.NDArray[np.float32]
"""(K, H, W); NaN where a field says nothing."""


class Job(Frozen):
    """Job of a processor: all that it knows. Travels to other processes as JSON."""

    level: Level
    year: int
    months: tuple[int, int]
    days: Annotated[
        tuple[int, ...], Field(description="of the acquisitions, since the season's start, sorted; other years' too")
    ]
    relative_orbits: Annotated[
        tuple[str, ...],
        Field(
            default_factory=lambda given: (UNKNOWN,) * len(given["days"]),
            description="of the same acquisitions, such as R051: those of one were seen from the same place; 'unknown' where nothing says",
        ),
    ]
    bands: Annotated[tuple[str, ...], Field(description="bands present in every acquisition")]
    synthetic: bool
    parameters: Annotated[dict[str, Any], Field(description="validated by the processor's `Parameters`")] = {}
    model: Annotated[Path | None, Field(description="folder of the checkpoint, for processors that need one")] = None
    crops: Annotated[
        dict[str, float],
        Field(description="weight of each crop that may be named, by name or HCAT code; empty: all may"),
    ] = {}
    crop_mask: Annotated[bool, Field(description="a crop mask will be laid over the result")] = False

    @model_validator(mode="after")
    def _as_many_orbits_as_days(self) -> Job:
        if len(self.relative_orbits) != len(self.days):
            raise ValueError(
                f"{len(self.relative_orbits)} relative orbits of {len(self.days)} days: one belongs to each"
            )
        return self


class Processor(Protocol):
    """Thematic processor, as `crop_map.CropMap`, `vegetation.Vegetation` and other packages implement it."""

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    needs_model: ClassVar[bool]
    Parameters: ClassVar[type[BaseModel]]

    grid: PatchGrid
    bands: tuple[str, ...]
    """Bands that patches must hold, in this order."""
    fields: tuple[str, ...]
    """Names of the K fields."""
    variables: tuple[Variable, ...]
    notes: tuple[str, ...]
    """Sentences that the report and the picture must show, such as "not masked to cropland"."""

    def __init__(self, job: Job) -> None:
        """Prepare for a job. Raises `CroplineError` where it can't be done: a band missing, a model that doesn't fit."""

    # A processor that compares a season with the same months of other years has one method more:
    # ``other_years(parameters, year) -> tuple[int, ...]``, a static method that names them by its own parameters. What the source
    # has of them is then read, masked and judged like the season's own acquisitions; the job's days lie before 0, or after the season.
    #
    # One that may stand in for others, or others for it, has the class attribute ``declares``, a
    # `processors.thematic.declaration.Declaration`: what it delivers, from what, how well, and where it may run. A class that goes on from
    # another one makes its own.
    #
    # One that names crops of a legend sets the class attribute ``names_crops``, and then heeds the job's `crops`.
    #
    # One whose fields are class probabilities, in the order of its legend's mapped classes, and that judges declared parcels by them
    # has a method ``judgement() -> processors.thematic.judgement.Judgement``; requests for it must name `parcels`,
    # and its parameters may name their columns, ``column`` of the crops and ``id`` of their own ids.

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """Fields of the patches asked for, in the order asked. ``indices`` may block until there is more to do."""

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        """Summarise what `finish` needs to know of the whole area (JSON); ``blocks`` are blended, NaN outside the area."""

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """The delivered variables of one blended block: name -> (H, W), or (bands, H, W) where there are several."""
