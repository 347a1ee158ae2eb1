"""The folder of a checkpoint, written and read: `weights.safetensors`, `config.json` and `item.json`. Never pickle."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from agrunet.calibration import draw_reliability
from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.model_card import model_item
from agrunet.errors import AgrunetError
from agrunet.evidence import EVIDENCE, FieldEvidence, write_evidence
from agrunet.files import folder_written_whole, verify_listed
from agrunet.json_text import read_model
from agrunet.networks.registry import Network, make_network, title_of

WEIGHTS, CONFIG, ITEM = "weights.safetensors", "config.json", "item.json"
RELIABILITY = "reliability.png"
"""Reliability diagram, beside them where held-out pixels were scored."""


def save_checkpoint(
    folder: Path, network: Network, config: CheckpointConfig, evidence: FieldEvidence | None = None
) -> None:
    """Write a checkpoint, with the ``evidence`` that there is for it, aside and rename it to ``folder``, replacing one that is there.

    Raises `AgrunetError` where the disk is full.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # A forest has none that are learnt by gradients: its nodes count.
    parameters = sum(parameter.numel() for parameter in network.parameters()) or sum(map(torch.numel, weights.values()))
    with folder_written_whole(folder) as aside:
        save_file(weights, aside / WEIGHTS)
        (aside / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if config.calibration:
            draw_reliability(config.calibration, aside / RELIABILITY, synthetic=config.synthetic)
        if evidence is not None:
            write_evidence(aside / EVIDENCE, evidence)
        item = model_item(
            config.model_dump(mode="json"),
            aside / WEIGHTS,
            parameters,
            architecture=title_of(config.network),
            config_href=CONFIG,
            diagram_href=RELIABILITY if config.calibration else None,
            evidence=None if evidence is None else aside / EVIDENCE,
            framework=torch.__version__,
        )
        (aside / ITEM).write_text(json.dumps(item, indent=1) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> tuple[Network, CheckpointConfig]:
    """Read a checkpoint, in evaluation mode on ``device``.

    Raises `AgrunetError` where a file is missing, the weights aren't those that were written, or they don't fit the network.
    """
    config = read_config(folder)
    verify_listed(folder, "weights", WEIGHTS)
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
    """Read the configuration of a checkpoint, without its weights. Raises `AgrunetError` where the folder is no checkpoint."""
    for name in (WEIGHTS, CONFIG, ITEM):
        if not (folder / name).is_file():
            raise AgrunetError(
                f"{folder} is no checkpoint: {name} is missing. A checkpoint holds {WEIGHTS}, {CONFIG} and {ITEM}; "
                "pickled weights are not read. Train again, or copy the whole folder."
            )
    path = folder / CONFIG
    remedy = "Train again, or use the version that wrote it."
    return read_model(path, CheckpointConfig, lambda why: AgrunetError(f"{path}{why}. {remedy}"))
