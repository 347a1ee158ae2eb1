"""The problems that are measured: the talk's two configurations, their seasons, and the cases of each network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from agrunet.networks.registry import NetworkConfig
from agrunet.settings import Frozen

Season = Literal["year", "jan-jul"]
Purpose = Literal["inference", "training"]
Precision = Literal["fp32", "tf32", "bf16"]
Device = Literal["cpu", "cuda"]

NETWORKS = ("agrunet", "unet3d", "utae", "fpn3d", "conv_rnn", "tsvit")
SEASONS: tuple[Season, ...] = ("year", "jan-jul")
PURPOSES: tuple[Purpose, ...] = ("inference", "training")
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16")

_CONFIG: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)

_QUICK_SIZE = 16
_QUICK_SHARE = 12
"""Dates of the problem for each date of a quick run."""


class Problem(Frozen):
    """A configuration of the talk: input and output of a network."""

    name: str
    size: Annotated[int, Field(ge=1, description="edge of an image, pixels")]
    bands: Annotated[int, Field(ge=1)]
    classes: Annotated[int, Field(ge=2)]
    filters: Annotated[tuple[int, ...], Field(description="channels per level of AgrUNet")]
    year: Annotated[int, Field(ge=1, description="dates of a whole year; assumed, the talk gives ranges only")]
    jan_jul: Annotated[int, Field(ge=1, description="dates from January to July; assumed, the talk does not give them")]
    training_batch: Annotated[int, Field(ge=1, description="images a step on a GPU: the talk's")]
    inference_batch: Annotated[int, Field(ge=1, description="images at once on a GPU; the talk does not give it")]

    def dates(self, season: Season) -> int:
        return self.year if season == "year" else self.jan_jul

    def quick(self) -> Problem:
        """Shrink the problem: it then shows that everything runs, and little about speed."""
        return self.model_copy(
            update={
                "size": min(self.size, _QUICK_SIZE),
                "year": -(-self.year // _QUICK_SHARE),
                "jan_jul": -(-self.jan_jul // _QUICK_SHARE),
                "training_batch": 1,
                "inference_batch": 1,
            }
        )


PROBLEMS: dict[str, Problem] = {
    "orthopastis": Problem(
        name="orthopastis",
        size=128,
        bands=10,
        classes=19,
        filters=(64, 128),
        year=46,
        jan_jul=27,
        training_batch=4,
        inference_batch=16,
    ),
    "munich": Problem(
        name="munich",
        size=48,
        bands=7,
        classes=18,
        filters=(64, 128, 256),
        year=52,
        jan_jul=30,
        training_batch=32,
        inference_batch=64,
    ),
}


class Case(Frozen):
    """A network at a problem, in one kind of step and arithmetic. It is small and plain, as it travels to other processes."""

    network: str
    problem: Problem
    season: Season
    purpose: Purpose
    precision: Precision = "fp32"
    compiled: bool = False
    batch: Annotated[int, Field(ge=1)] = 1
    device: Device = "cpu"

    @property
    def dates(self) -> int:
        return self.problem.dates(self.season)

    @property
    def mode(self) -> str:
        """The kind of step and how it runs: "inference", "inference-compiled", "training", "training-compiled"."""
        return f"{self.purpose}-compiled" if self.compiled else self.purpose

    def network_config(self) -> NetworkConfig:
        """The published network for this problem's bands and classes; AgrUNet with the talk's filters."""
        shape: dict[str, Any] = {
            "kind": self.network,
            "bands": self.problem.bands,
            "classes": self.problem.classes,
        }
        if self.network == "agrunet":
            shape["filters"] = self.problem.filters
        return _CONFIG.validate_python(shape)
