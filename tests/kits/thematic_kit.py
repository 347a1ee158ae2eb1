"""Checkpoints for tests of processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.inputs import Normalisation
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig

LEGEND = [
    {"value": 1, "name": "Wheat", "colour": "#d9b84a", "source_codes": [1110]},
    {"value": 7, "name": "Maize", "colour": "#f28e2b", "source_codes": [1200]},
]


def write_model(folder: Path, bands: tuple[str, ...], **changes: Any) -> Path:
    """An untrained network of those bands, for patches of 16 pixels of a synthetic source, with weights that are always the same."""
    torch.manual_seed(5)
    network = AgrUNet(AgrUNetConfig(bands=len(bands), classes=2, filters=(4, 8), hidden=4))
    values: dict[str, Any] = {
        "network": network.config,
        "bands": bands,
        "normalisation": Normalisation(mean=(2000.0,) * len(bands), std=(1000.0,) * len(bands)),
        "months": (1, 7),
        "min_clear": 0.3,
        "min_acquisitions": 1,
        "max_dates": 60,
        "level": "L2A",
        "classes": ("Wheat", "Maize"),
        "legend": LEGEND,
        "patch_size": 16,
        "years": (2019,),
        "synthetic": True,
    }
    save_checkpoint(folder, network, CheckpointConfig(**(values | changes)))
    return folder
