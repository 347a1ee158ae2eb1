"""What a thematic processor is: the plug that `cropline.processors` entry points fit into.

A processor turns patches of the season into *fields* (layers that can be blended where patches overlap, such as class
probabilities), and blended fields into the *variables* that are delivered. It knows nothing of cells, files or flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from agrunet.patches import PatchSource
from catalog.legend import Legend
from catalog.products import Frozen, Level

Fields = npt.NDArray[np.float32]
"""(K, H, W); NaN where a field says nothing."""


class Variable(Frozen):
    """One raster of the delivery."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="file name without .tif")]
    title: str
    dtype: Literal["uint8", "int16", "uint16", "float32"]
    bands: Annotated[tuple[str, ...], Field(description="description of each band; one band by default")] = ("",)
    nodata: Annotated[float, Field(description="value that means no data; NaN allowed for float32")]
    unit: str = "1"
    legend: Annotated[Legend | None, Field(description="for class values: colours and names")] = None
    limits: Annotated[tuple[float, float], Field(description="range shown in the picture")] = (0.0, 1.0)


class Job(Frozen):
    """All that a processor is told; travels to other processes as JSON."""

    level: Level
    year: int
    months: tuple[int, int]
    days: Annotated[tuple[int, ...], Field(description="of the acquisitions, since the season's start, sorted")]
    bands: Annotated[tuple[str, ...], Field(description="bands present in every acquisition")]
    synthetic: bool
    parameters: Annotated[dict[str, Any], Field(description="validated by the processor's `Parameters`")] = {}
    model: Annotated[Path | None, Field(description="folder of the checkpoint, for processors that need one")] = None
    crop_mask: Annotated[bool, Field(description="a crop mask will be laid over the result")] = False


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """How the area is cut for a processor: edge and overlap of patches, pixels."""

    size: int = 128
    overlap: int = 32


class Processor(Protocol):
    """Implemented by `crop_map.CropMap`, `vegetation.Vegetation`, and by other packages."""

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    needs_model: ClassVar[bool]
    Parameters: ClassVar[type[BaseModel]]

    grid: PatchGrid
    bands: tuple[str, ...]
    """What patches must hold, in this order."""
    fields: tuple[str, ...]
    """Names of the K fields."""
    variables: tuple[Variable, ...]
    notes: tuple[str, ...]
    """Sentences that the report and the picture must show, such as "not masked to cropland"."""

    def __init__(self, job: Job) -> None:
        """Raises `CroplineError` where the job can't be done: a band missing, a model that doesn't fit."""

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """Fields of the patches asked for, in the order asked. ``indices`` may block until there is more to do."""

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        """What `finish` needs to know of the whole area (JSON); ``blocks`` are blended, NaN outside the area."""

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """The delivered variables of one blended block: name -> (H, W), or (bands, H, W) where there are several."""
