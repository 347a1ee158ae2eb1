"""The training contract: what a network learnt from, and so what it must be fed again.

It stands here once. The header of a folder of patches and the configuration of a checkpoint extend it, and who writes patches fills it in.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agrunet.networks.series_shape import MAX_DATES
from agrunet.settings import Frozen

EvidenceKind = Literal["hold-out", "grouped k-fold"]
"""Kind of scores of whole fields: of fields on ground that no model learns from, or each by a network that didn't learn from it."""


class SeriesContract(Frozen):
    """The contract of time series: their bands and season, and how their acquisitions are chosen."""

    bands: Annotated[tuple[str, ...], Field(min_length=1, description="what patches hold, in this order")]
    resampling: Annotated[str, Field(description="of bands coarser than 10 m")] = "nearest"
    months: Annotated[
        tuple[int, int], Field(description="first and last month of the season; days count from its start")
    ]
    min_clear: Annotated[float, Field(ge=0, le=1, description="clear part of the area that an acquisition must have")]
    min_acquisitions: Annotated[
        int, Field(ge=1, description="clear dates that a pixel needs; with fewer it is no-data")
    ]
    max_dates: Annotated[int, Field(ge=1, le=MAX_DATES, description="longest series that may be fed")] = MAX_DATES
    level: Annotated[str, Field(description="L1C or L2A")]
    baselines: Annotated[tuple[str, ...], Field(description="processing baselines of the products")] = ()
    atmospheric_processor: str = "unknown"
    years: Annotated[tuple[int, ...], Field(min_length=1, description="in which the season ends")]
    synthetic: Annotated[bool, Field(description="simulated images")]

    def shared(self, kind: type[SeriesContract]) -> dict[str, Any]:
        """Values by name of the fields that ``kind`` has as well, so that one can be made of this."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in kind.model_fields}

    def differences(self, other: SeriesContract) -> str:
        """In what another contract differs so that what serves the one doesn't serve the other, in words; nothing where it doesn't."""
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in ("level", "months", "bands"))
        return "; ".join(
            f"{name} {_shown(ours)}, not {_shown(theirs)}" for name, ours, theirs in pairs if ours != theirs
        )


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class TrainingContract(SeriesContract):
    """The contract of labelled series: also the classes, and where the patches lie."""

    classes: Annotated[tuple[str, ...], Field(description="names, by the index that labels hold")]
    legend: Annotated[list[dict[str, Any]], Field(description="of the labels; carried, not interpreted")] = []
    patch_size: Annotated[int, Field(ge=1, description="height and width of a patch, pixels")]
    footprint: Annotated[
        dict[str, Any] | None, Field(description="GeoJSON geometry of the patches, longitude and latitude")
    ] = None
    hold_out: Annotated[str, Field(description="how the scored pixels were chosen, in one sentence")] = ""
    measured: Annotated[
        str,
        Field(
            description="what such a model reached on real fields that it never saw, in one sentence",
            exclude_if=lambda measured: not measured,
        ),
    ] = ""
    evidence: Annotated[
        EvidenceKind | None,
        Field(
            description="what the scores of fields rest on; without hold-out a model is unproven",
            exclude_if=lambda kind: kind is None,
        ),
    ] = None
    training_data: Annotated[
        dict[str, str],
        Field(
            description="digests (sha256) of what was learnt from, by what it is",
            exclude_if=lambda digests: not digests,
        ),
    ] = {}

    @property
    def background(self) -> int | None:
        """Index of the class that the legend calls background (known, but no crop); None where it has none."""
        names = [entry.get("name") for entry in self.legend if entry.get("role") == "background"]
        return next((index for index, name in enumerate(self.classes) if name in names), None)
