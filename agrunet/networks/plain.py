"""The networks that stand for themselves: AgrUNet, the rivals that it is measured against, and those that classify each pixel alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig
from agrunet.networks.conv_rnn import ConvRNN, ConvRNNConfig
from agrunet.networks.forest import Forest, ForestConfig
from agrunet.networks.fpn3d import FPN3D, FPN3DConfig
from agrunet.networks.pixel import PixelConfig, PixelNetwork
from agrunet.networks.tsvit import TSViT, TSViTConfig
from agrunet.networks.unet3d import UNet3D, UNet3DConfig
from agrunet.networks.utae import UTAE, UTAEConfig

PlainConfig = Annotated[
    AgrUNetConfig | UNet3DConfig | UTAEConfig | FPN3DConfig | ConvRNNConfig | TSViTConfig | PixelConfig | ForestConfig,
    Field(discriminator="kind"),
]

PlainNetwork = AgrUNet | UNet3D | UTAE | FPN3D | ConvRNN | TSViT | PixelNetwork | Forest

CLASSES: dict[str, Callable[[Any], PlainNetwork]] = {
    "agrunet": AgrUNet,
    "unet3d": UNet3D,
    "utae": UTAE,
    "fpn3d": FPN3D,
    "conv_rnn": ConvRNN,
    "tsvit": TSViT,
    "pixel": PixelNetwork,
    "forest": Forest,
}


def make_plain(config: PlainConfig) -> PlainNetwork:
    """Make a network with fresh weights, drawn from torch's random state."""
    return CLASSES[config.kind](config)
