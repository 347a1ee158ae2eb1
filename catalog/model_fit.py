"""The rule that says whether a model fits what a request needs, for the registry when it chooses and the processor before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from shapely import GEOSException, make_valid

from catalog.area import Area
from catalog.guards.geometry import parse_shape
from catalog.legend import Legend
from catalog.products import Level

HOLD_OUT = "hold-out"
"""Evidence of a proven model, and the split that it is scored on."""

Month = Annotated[int, Field(ge=1, le=12)]


class ModelContract(BaseModel):
    """Purpose that a model was trained for: the part of a checkpoint's ``config.json`` that decides; the rest is the network's."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    level: Level
    bands: tuple[Annotated[str, Field(pattern=r"^\w{1,10}$")], ...]
    months: Annotated[tuple[Month, Month], Field(description="first and last month of the season it was trained on")]
    synthetic: bool
    years: Annotated[tuple[int, ...], Field(description="in which its seasons end, where it says so")] = ()
    max_dates: Annotated[int | None, Field(ge=1, le=10_000, description="longest series that it takes; None: any")] = (
        None
    )
    footprint: Annotated[
        dict[str, Any] | None, Field(description="GeoJSON of where it was trained, longitude and latitude")
    ] = None
    legend: Legend
    measured: Annotated[
        str, Field(max_length=1000, description="what it reached on real fields that it never saw, in one sentence")
    ] = ""
    evidence: Annotated[
        str | None, Field(description="what its scores of fields rest on; models of before there was a gate don't say")
    ] = None

    @property
    def proven(self) -> bool:
        """True where it is scored on fields on ground that no model learns from."""
        return self.evidence == HOLD_OUT

    @field_validator("legend", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return {"entries": value} if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class Need:
    """Requirements of a request on a model; a field that is None is not asked for."""

    level: Level
    bands: frozenset[str]
    synthetic: bool
    named: bool = False
    """Whether a person names the model: one that learnt from simulated land serves real products only then."""
    months: tuple[int, int] | None = None
    dates: int | None = None
    legend: Legend | None = None
    area: Area | None = None


class MisfitKind(StrEnum):
    """Kind of property in which a model doesn't fit."""

    LEVEL = "level"
    BANDS = "bands"
    SYNTHETIC = "synthetic"
    MONTHS = "months"
    DATES = "dates"
    LEGEND = "legend"
    AREA = "area"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One reason why a model can't be used; the text is for people."""

    kind: MisfitKind
    text: str


def misfits(model: ModelContract, need: Need) -> tuple[Misfit, ...]:
    """Every reason why a model can't be used; none where it fits."""
    return tuple(_misfits(model, need))


def _misfits(model: ModelContract, need: Need) -> Iterator[Misfit]:
    if model.level != need.level:
        yield Misfit(MisfitKind.LEVEL, f"trained on {model.level}, not {need.level}")
    if missing := [band for band in model.bands if band not in need.bands]:
        yield Misfit(MisfitKind.BANDS, f"needs {', '.join(missing)}, which the products don't have")
    if model.synthetic != need.synthetic and not (need.named and model.synthetic):
        kinds = ("real", "synthetic")
        text = f"trained on {kinds[model.synthetic]} data, the source is {kinds[need.synthetic]}"
        yield Misfit(MisfitKind.SYNTHETIC, text)
    if need.months is not None and model.months != need.months:
        yield Misfit(MisfitKind.MONTHS, f"trained on months {list(model.months)}, not {list(need.months)}")
    if need.dates is not None and model.max_dates is not None and need.dates > model.max_dates:
        yield Misfit(MisfitKind.DATES, f"takes {model.max_dates} dates at most, the season has {need.dates}")
    if need.legend is not None and not model.legend.same_classes(need.legend):
        text = f"its classes are {_classes(model.legend)}, the labels' {_classes(need.legend)}"
        yield Misfit(MisfitKind.LEGEND, text)
    if need.area is not None and (text := _outside(model, need.area)):
        yield Misfit(MisfitKind.AREA, text)


def _classes(legend: Legend) -> str:
    named = [f"{entry.value} {entry.name}" for entry in legend.mapped]
    return ", ".join(named) if len(named) <= 12 else f"{', '.join(named[:12])} and {len(named) - 12} more"


def training_ground(model: ModelContract) -> Area | None:
    """Where a model was trained, longitude and latitude; None where it doesn't say so in GeoJSON."""
    if model.footprint is None:
        return None
    try:
        ground: Area = make_valid(parse_shape(model.footprint, ValueError))  # type: ignore[assignment]  # only its surface counts
    except (GEOSException, ValueError):
        return None
    return ground


def _outside(model: ModelContract, area: Area) -> str:
    """Reason why a training footprint is none for an area; empty where they meet."""
    if model.footprint is None:
        return "doesn't say where it was trained"
    ground = training_ground(model)
    if ground is None:
        return "its training footprint is not GeoJSON"
    try:
        meets = ground.intersection(area).area > 0
    except GEOSException:
        return "its training footprint is not GeoJSON"
    return "" if meets else "trained elsewhere: its training footprint doesn't meet the area"
