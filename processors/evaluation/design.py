"""The design of a sample: from which pixels it was drawn, how, and where each of its points lies.

It lies in the sample's file beside the points, so that whoever evaluates a map with it knows with what probability each pixel came in.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from catalog.grid import PIXEL, Window
from catalog.guards.numbers import Identifier, Name
from catalog.products import Frozen

Count = Annotated[int, Field(ge=0, lt=2**53)]
Value = Annotated[int, Field(ge=0, le=254)]


class Stratum(Frozen):
    """The pixels of a map that show one class."""

    value: Annotated[Value, Field(description="map value")]
    name: Name
    pixels: Annotated[Count, Field(description="in the area")]
    points: Annotated[Count, Field(description="drawn, without replacement")]


class Point(Frozen):
    """A pixel that was drawn; its place is counted from the upper left corner of the ground."""

    id: Annotated[int, Field(ge=1, lt=2**53)]
    value: Annotated[Value, Field(description="of its stratum")]
    column: Count
    row: Count


class Ground(Frozen):
    """The pixels that a sample is drawn from: those of a map's window that say something."""

    epsg: Annotated[int, Field(ge=1024, le=32767)]
    left: Annotated[int, Field(gt=-(2**31), lt=2**31)]
    top: Annotated[int, Field(gt=-(2**31), lt=2**31)]
    width: Annotated[int, Field(ge=1, lt=2**31)]
    height: Annotated[int, Field(ge=1, lt=2**31)]
    mapped: Annotated[Count, Field(description="pixels that show a class")]

    @classmethod
    def of(cls, window: Window, mapped: int) -> Ground:
        return cls(
            epsg=window.epsg,
            left=window.left,
            top=window.top,
            width=window.width,
            height=window.height,
            mapped=mapped,
        )

    def place(self, point: Point) -> tuple[float, float]:
        """Easting and northing of a point's pixel's centre, m."""
        return (self.left + point.column + 0.5) * PIXEL, (self.top - point.row - 0.5) * PIXEL


class SampleDesign(Frozen):
    """A stratified random sample of the pixels of a map."""

    version: Literal[1] = 1
    map: Annotated[Identifier, Field(description="id of the map's item")]
    map_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="of the map's file")]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    ground: Ground
    strata: Annotated[tuple[Stratum, ...], Field(min_length=1, max_length=255)]
    points: tuple[Point, ...]

    @model_validator(mode="after")
    def _consistent(self) -> SampleDesign:
        values = [stratum.value for stratum in self.strata]
        if len(set(values)) != len(values):
            raise ValueError("two strata have one value")
        if len({point.id for point in self.points}) != len(self.points):
            raise ValueError("two points have one id")
        if sum(stratum.pixels for stratum in self.strata) != self.ground.mapped:
            raise ValueError("the strata's pixels are not those of the ground")
        drawn = dict.fromkeys(values, 0)
        for point in self.points:
            if point.value not in drawn:
                raise ValueError(f"point {point.id} is of no stratum")
            if point.column >= self.ground.width or point.row >= self.ground.height:
                raise ValueError(f"point {point.id} lies beyond the ground")
            drawn[point.value] += 1
        if any(drawn[stratum.value] != stratum.points or stratum.points > stratum.pixels for stratum in self.strata):
            raise ValueError("the strata's points are not those that are listed")
        return self
