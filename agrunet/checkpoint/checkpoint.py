"""A trained network on disk: `weights.safetensors`, `config.json` and `item.json`. Never pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from agrunet.checkpoint.calibration import Calibration, draw_reliability
from agrunet.checkpoint.model_card import model_item
from agrunet.data.header import FolderHeader
from agrunet.data.inputs import CloudInput, Normalisation, channels
from agrunet.errors import AgrunetError
from agrunet.files import folder_written_whole, sha256
from agrunet.metrics import Scores
from agrunet.networks.kinds import TITLES, Network, NetworkConfig, make_network
from agrunet.networks.shapes import MAX_DATES
from agrunet.settings import Frozen

WEIGHTS, CONFIG, ITEM = "weights.safetensors", "config.json", "item.json"
RELIABILITY = "reliability.png"
"""Beside them where held-out pixels were scored."""


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


def save_checkpoint(
    folder: Path, network: Network, config: CheckpointConfig, scores: Sequence[Scores] | None = None
) -> CheckpointConfig:
    """Write a checkpoint aside and rename it to ``folder``, replacing one that is there.

    ``scores`` replace those of ``config``; the configuration as written comes back. Raises `AgrunetError` where the disk is full.
    """
    if scores is not None:
        config = config.model_copy(update={"scores": tuple(scores)})
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with folder_written_whole(folder) as aside:
        save_file(weights, aside / WEIGHTS)
        (aside / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if config.calibration:
            draw_reliability(config.calibration, aside / RELIABILITY, synthetic=config.synthetic)
        item = model_item(
            config.model_dump(mode="json"),
            aside / WEIGHTS,
            parameters,
            architecture=TITLES[config.network.kind],
            config_href=CONFIG,
            diagram_href=RELIABILITY if config.calibration else None,
            framework=torch.__version__,
        )
        (aside / ITEM).write_text(json.dumps(item, indent=1) + "\n", encoding="utf-8")
    return config


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> tuple[Network, CheckpointConfig]:
    """Read a checkpoint, in evaluation mode on ``device``.

    Raises `AgrunetError` where a file is missing, the weights aren't those that were written, or they don't fit the network.
    """
    config = read_config(folder)
    _verify(folder)
    network = make_network(config.network)
    try:
        weights = load_file(folder / WEIGHTS)
        network.load_state_dict(weights, strict=True)
    except (RuntimeError, SafetensorError, struct.error) as error:
        reason = " ".join(str(error).split())[:300]
        raise AgrunetError(
            f"{folder / WEIGHTS} doesn't fit the network of its {CONFIG}: {reason}. Copy the checkpoint again, or train again."
        ) from error
    return network.to(device).eval(), config


def read_config(folder: Path) -> CheckpointConfig:
    """The configuration of a checkpoint, without its weights. Raises `AgrunetError` where the folder is no checkpoint."""
    for name in (WEIGHTS, CONFIG, ITEM):
        if not (folder / name).is_file():
            raise AgrunetError(
                f"{folder} is no checkpoint: {name} is missing. A checkpoint holds {WEIGHTS}, {CONFIG} and {ITEM}; "
                "pickled weights are not read. Train again, or copy the whole folder."
            )
    path = folder / CONFIG
    try:
        return CheckpointConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        reason = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()[:3])
    except UnicodeDecodeError as error:
        reason = str(error)
    raise AgrunetError(
        f"{path} is not a configuration this version reads ({reason}). Train again, or use the version that wrote it."
    )


def _verify(folder: Path) -> None:
    try:
        item = json.loads((folder / ITEM).read_text(encoding="utf-8"))
        wanted = str(item["assets"]["weights"]["file:checksum"])
    except (ValueError, KeyError, TypeError) as error:
        raise AgrunetError(f"{folder / ITEM} states no checksum of the weights. Copy the checkpoint again.") from error
    found = "1220" + sha256(folder / WEIGHTS)
    if found != wanted:
        raise AgrunetError(
            f"{folder / WEIGHTS} is not the file that was written: checksum {found[:16]}…, {ITEM} says {wanted[:16]}…. "
            "Copy the checkpoint again, or train again."
        )
