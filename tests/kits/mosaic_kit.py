"""A processor made for tests of the mosaic; a module, so that worker processes can import it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from agrunet.data.patches import PatchSource
from catalog.legend import Legend, LegendClass
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable
from processors.thematic.protocol import Fields, Job

LEGEND = Legend(
    entries=(
        LegendClass(value=1, name="wheat", colour="#e0b040"),
        LegendClass(value=7, name="maize", colour="#d04060"),
    )
)


class PlainParameters(BaseModel):
    size: int = 8
    overlap: int = 2
    broken: bool = False


class Plain:
    """Delivers its two fields as they are: the larger as a class, both as bands, the first less its mean, and a count."""

    name: ClassVar[str] = "plain"
    title: ClassVar[str] = "Plain"
    version: ClassVar[str] = "3"
    needs_model: ClassVar[bool] = False
    Parameters: ClassVar[type[BaseModel]] = PlainParameters

    def __init__(self, job: Job) -> None:
        self._parameters = PlainParameters.model_validate(job.parameters)
        self.grid = PatchGrid(self._parameters.size, self._parameters.overlap)
        self.bands: tuple[str, ...] = ("B04",)
        self.fields: tuple[str, ...] = ("wheat", "maize")
        nan = float("nan")
        self.variables: tuple[Variable, ...] = (
            Variable(name="kind", title="Kind", dtype="uint8", nodata=255, legend=LEGEND),
            Variable(name="both", title="Both", dtype="float32", nodata=nan, bands=("wheat", "maize")),
            Variable(name="deviation", title="Deviation", dtype="float32", nodata=nan),
            Variable(name="count", title="Count", dtype="int16", nodata=-1, unit="dates"),
        )
        self.notes: tuple[str, ...] = ()

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        raise NotImplementedError("results are written by the tests")

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:
        total, count = 0.0, 0
        for block in blocks:
            total += float(np.nansum(block[0], dtype=np.float64))
            count += int((~np.isnan(block[0])).sum())
        return {"mean": total / count if count else 0.0, "pixels": count}

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, Any]:
        said = ~np.isnan(fields).any(axis=0)
        kind = np.where(said, np.array([1, 7], np.uint8)[np.nan_to_num(fields).argmax(axis=0)], np.uint8(255))
        finished = {
            "kind": kind.astype(np.uint8),
            "both": fields,
            "deviation": (fields[0] - np.float32(summary["mean"])).astype(np.float32),
            "count": np.where(said, summary["pixels"], -1).astype(np.int16),
        }
        if self._parameters.broken:
            finished["count"] = finished["count"][1:]
        return finished
