"""`config.json` of a checkpoint: how its network was made and must be fed."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from agrunet.calibration import Calibration
from agrunet.data.contract import TrainingContract
from agrunet.data.header import FolderHeader
from agrunet.data.inputs import CloudInput, Normalisation, channels
from agrunet.early import EarlyCurve
from agrunet.metrics import Scores
from agrunet.networks.registry import NetworkConfig
from agrunet.settings import Frozen


def code_version() -> str:
    """Version of the installed software, for provenance; "unknown" where it runs without being installed."""
    try:
        return metadata.version("cropline")
    except metadata.PackageNotFoundError:
        return "unknown"


class KindScores(Frozen):
    """What one kind of classifier reached when kinds were compared, on fields that took no part in its training."""

    kind: str
    oa: Annotated[float, Field(description="overall accuracy")]
    miou: Annotated[float, Field(description="mean intersection over union")]
    n_pixels: int
    chosen: Annotated[int, Field(description="folds, each of which chose among the kinds by the others, that chose it")]
    of: Annotated[int, Field(description="folds that chose")]


class StartRecord(Frozen):
    """The model that a training started from."""

    name: str
    weights: Annotated[str, Field(description="checksum (sha256) of its weights")]
    synthetic: Annotated[bool, Field(description="it learnt from simulated images")]
    classes: Annotated[
        dict[str, tuple[str, ...]], Field(description="its classes that each class began as; none of one new to it")
    ] = {}


class CheckpointConfig(TrainingContract):
    """The training contract, and how the network was made and must be fed. Inference applies exactly this and refuses what it can't."""

    network: NetworkConfig
    normalisation: Normalisation
    date_encoding: Annotated[
        Literal["days-since-season-start"], Field(description="what the days fed to the network count")
    ] = "days-since-season-start"
    cloud_input: CloudInput = "interpolate"
    temperature: Annotated[float, Field(gt=0, description="logits are divided by it before the softmax")] = 1.0
    code_version: str = "unknown"
    training: Annotated[dict[str, Any], Field(description="settings of the training, for provenance")] = {}
    scores: tuple[Scores, ...] = ()
    calibration: Annotated[tuple[Calibration, ...], Field(description="of the scored splits")] = ()
    kinds: Annotated[
        tuple[KindScores, ...],
        Field(description="the kinds that were compared, this model's among them", exclude_if=lambda kinds: not kinds),
    ] = ()
    early: Annotated[
        EarlyCurve | None,
        Field(
            description="scores with data to the end of each month only; none of models of earlier versions, and of short seasons",
            exclude_if=lambda early: early is None,
        ),
    ] = None
    start_from: Annotated[
        StartRecord | None,
        Field(description="what the training started from", exclude_if=lambda start: start is None),
    ] = None

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

    @model_serializer(mode="wrap")
    def _in_file_order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {name: written.pop(name) for name in _FILE_ORDER if name in written} | written


_FILE_ORDER = (
    *("network", "bands", "resampling", "normalisation", "months", "date_encoding", "cloud_input"),
    *("min_clear", "min_acquisitions", "max_dates", "level", "baselines", "atmospheric_processor", "temperature"),
    *("classes", "legend", "patch_size", "footprint", "years", "synthetic", "code_version", "hold_out"),
    *("training", "scores", "calibration", "evidence", "training_data", "kinds", "measured", "early", "start_from"),
)
"""Keys of `config.json` as they have always stood there: the same configuration is the same bytes, by which a model is named."""


def describe(
    header: FolderHeader,
    network: NetworkConfig,
    normalisation: Normalisation,
    cloud_input: CloudInput,
    training: dict[str, Any],
) -> CheckpointConfig:
    """Configure a network that learns from patches with such a header; scores and temperature come after training."""
    return CheckpointConfig(
        **header.shared(CheckpointConfig),
        network=network,
        normalisation=normalisation,
        cloud_input=cloud_input,
        code_version=code_version(),
        training=training,
    )
