"""The networks by their configurations: AgrUNet, the rivals that it is measured against, and those that classify each pixel alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig
from agrunet.networks.conv_rnn import ConvRNN, ConvRNNConfig
from agrunet.networks.forest import Forest, ForestConfig
from agrunet.networks.fpn3d import FPN3D, FPN3DConfig
from agrunet.networks.pixel import PixelConfig, PixelNetwork
from agrunet.networks.tsvit import TSViT, TSViTConfig
from agrunet.networks.unet3d import UNet3D, UNet3DConfig
from agrunet.networks.utae import UTAE, UTAEConfig

NetworkConfig = Annotated[
    AgrUNetConfig | UNet3DConfig | UTAEConfig | FPN3DConfig | ConvRNNConfig | TSViTConfig | PixelConfig | ForestConfig,
    Field(discriminator="kind"),
]

Network = AgrUNet | UNet3D | UTAE | FPN3D | ConvRNN | TSViT | PixelNetwork | Forest
"""Networks take ``(values (B, T, C, H, W), valid (B, T), days (B, T))`` and give logits (B, K, H, W); those with deep supervision
give, in training, a list of them from fine to coarse. `for_inference` makes a copy that gives the same logits, sooner."""

_CLASSES: dict[str, Callable[[Any], Network]] = {
    "agrunet": AgrUNet,
    "unet3d": UNet3D,
    "utae": UTAE,
    "fpn3d": FPN3D,
    "conv_rnn": ConvRNN,
    "tsvit": TSViT,
    "pixel": PixelNetwork,
    "forest": Forest,
}

Takes = Literal["windows", "series"]

TAKES: dict[str, Takes] = {kind: "series" if kind in ("pixel", "forest") else "windows" for kind in _CLASSES}
"""What networks of a kind look at: windows, whose pixels are neighbours on the ground; or the series of each pixel alone, wherever
it comes from, a window's as well."""

TITLES = {
    "agrunet": "AgrUNet",
    "unet3d": "UNet-3D",
    "utae": "U-TAE",
    "fpn3d": "3D FPN",
    "conv_rnn": "ConvRNN",
    "tsvit": "TSViT",
    "pixel": "Pixel network (L-TAE)",
    "forest": "Random forest",
}


def make_network(config: NetworkConfig) -> Network:
    """Make a network with fresh weights, drawn from torch's random state."""
    return _CLASSES[config.kind](config)


def fresh_network(config: NetworkConfig, seed: int) -> Network:
    """Make a network with weights drawn by ``seed``; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_network(config)
