"""`config.json` of a checkpoint: how its network was made and must be fed."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from agrunet.calibration import Calibration
from agrunet.data.header import FolderHeader
from agrunet.data.inputs import CloudInput, Normalisation, channels
from agrunet.metrics import Scores
from agrunet.networks.registry import NetworkConfig
from agrunet.networks.series_shape import MAX_DATES
from agrunet.settings import Frozen


def code_version() -> str:
    """Version of the installed software, for provenance."""
    try:
        return metadata.version("cropline")
    except metadata.PackageNotFoundError:
        return "unknown"


class CheckpointConfig(Frozen):
    """How the network was made and must be fed. Inference applies exactly this and refuses what it can't."""

    network: NetworkConfig
    bands: Annotated[tuple[str, ...], Field(min_length=1, description="what patches must hold, in this order")]
    resampling: Annotated[str, Field(description="of bands coarser than 10 m")] = "nearest"
    normalisation: Normalisation
    months: Annotated[tuple[int, int], Field(description="first and last month of the season")]
    date_encoding: Annotated[
        Literal["days-since-season-start"], Field(description="what the days fed to the network count")
    ] = "days-since-season-start"
    cloud_input: CloudInput = "interpolate"
    min_clear: Annotated[float, Field(ge=0, le=1, description="clear part of the area that an acquisition must have")]
    min_acquisitions: Annotated[
        int, Field(ge=1, description="clear dates that a pixel needs; with fewer it is no-data")
    ]
    max_dates: Annotated[int, Field(ge=1, le=MAX_DATES, description="longest series that may be fed")] = MAX_DATES
    level: str
    baselines: Annotated[tuple[str, ...], Field(description="processing baselines of the training products")] = ()
    atmospheric_processor: str = "unknown"
    temperature: Annotated[float, Field(gt=0, description="logits are divided by it before the softmax")] = 1.0
    classes: Annotated[tuple[str, ...], Field(description="names, in the order of the network's outputs")]
    legend: Annotated[list[dict[str, Any]], Field(description="of the training labels; carried, not interpreted")] = []
    patch_size: Annotated[int, Field(ge=1, description="height and width of a patch, pixels")]
    footprint: Annotated[
        dict[str, Any] | None, Field(description="GeoJSON geometry of the training data, longitude and latitude")
    ] = None
    years: Annotated[tuple[int, ...], Field(min_length=1, description="of the training data")]
    synthetic: Annotated[bool, Field(description="trained on simulated images")]
    code_version: str = "unknown"
    hold_out: Annotated[str, Field(description="how the scored pixels were chosen, in one sentence")] = ""
    training: Annotated[dict[str, Any], Field(description="settings of the training, for provenance")] = {}
    scores: tuple[Scores, ...] = ()
    calibration: Annotated[tuple[Calibration, ...], Field(description="of the scored splits")] = ()

    @model_validator(mode="after")
    def _consistent(self) -> CheckpointConfig:
        wanted = channels(len(self.bands), self.cloud_input)
        if self.network.bands != wanted:
            raise ValueError(
                f"{len(self.bands)} bands fed as {self.cloud_input!r} make {wanted} channels, the network takes {self.network.bands}"
            )
        if len(self.normalisation.mean) != len(self.bands):
            raise ValueError(f"{len(self.normalisation.mean)} means for {len(self.bands)} bands")
        if len(self.classes) != self.network.classes:
            raise ValueError(f"{len(self.classes)} class names for {self.network.classes} outputs")
        return self


def describe(
    header: FolderHeader,
    network: NetworkConfig,
    normalisation: Normalisation,
    cloud_input: CloudInput,
    training: dict[str, Any],
) -> CheckpointConfig:
    """The configuration of a network that learns from patches with such a header; scores and temperature come after training."""
    return CheckpointConfig(
        network=network,
        bands=header.bands,
        resampling=header.resampling,
        normalisation=normalisation,
        months=header.months,
        cloud_input=cloud_input,
        min_clear=header.min_clear,
        min_acquisitions=header.min_acquisitions,
        max_dates=header.max_dates,
        level=header.level,
        baselines=header.baselines,
        atmospheric_processor=header.atmospheric_processor,
        classes=header.classes,
        legend=header.legend,
        patch_size=header.patch_size,
        footprint=header.footprint,
        years=header.years,
        synthetic=header.synthetic,
        code_version=code_version(),
        hold_out=header.hold_out,
        training=training,
    )
