"""The networks by their configurations: those that stand for themselves, and those adapted from one of them."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from agrunet.networks.adapted import Adapted, AdaptedConfig
from agrunet.networks.plain import CLASSES, PlainConfig, PlainNetwork, make_plain

NetworkConfig = Annotated[PlainConfig | AdaptedConfig, Field(discriminator="kind")]

Network = PlainNetwork | Adapted
"""Networks take ``(values (B, T, C, H, W), valid (B, T), days (B, T))`` and give logits (B, K, H, W); those with deep supervision
give, in training, a list of them from fine to coarse. `for_inference` makes a copy that gives the same logits, sooner."""

Takes = Literal["windows", "series"]

TAKES: dict[str, Takes] = {kind: "series" if kind in ("pixel", "forest") else "windows" for kind in CLASSES}
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


def title_of(config: NetworkConfig) -> str:
    """Title of a network, for people."""
    return f"{title_of(config.start)}, fine-tuned" if isinstance(config, AdaptedConfig) else TITLES[config.kind]


def taken_by(config: NetworkConfig) -> Takes:
    """What a network looks at; an adapted one what it started from does."""
    return taken_by(config.start) if isinstance(config, AdaptedConfig) else TAKES[config.kind]


def make_network(config: NetworkConfig) -> Network:
    """Make a network with fresh weights, drawn from torch's random state."""
    return Adapted(config) if isinstance(config, AdaptedConfig) else make_plain(config)


def fresh_network(config: NetworkConfig, seed: int) -> Network:
    """Make a network with weights drawn by ``seed``; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_network(config)
