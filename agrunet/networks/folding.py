"""The form of a network that only predicts: a copy in which batch norms are folded into the layers before them."""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, cast, runtime_checkable

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

_Network = TypeVar("_Network", bound=nn.Module)


@runtime_checkable
class Foldable(Protocol):
    """A block that can put its batch norm, in evaluation mode, into its convolution."""

    def fold(self) -> None: ...


def for_inference(network: _Network) -> _Network:
    """A copy in evaluation mode, gradients off, with every foldable block folded."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, Foldable):
            module.fold()
    return network.requires_grad_(False)


def fold_norm(convolution: nn.Module, norm: nn.Module) -> nn.Module:
    """Put a batch norm in evaluation mode into the convolution before it, and give what then stands for the norm."""
    if isinstance(norm, nn.Identity):
        return norm
    layer, fixed = cast("nn.Conv3d", convolution), cast("nn.BatchNorm2d", norm)  # or the other kinds of either
    mean, variance = cast("Tensor", fixed.running_mean), cast("Tensor", fixed.running_var)
    transposed = isinstance(convolution, (nn.ConvTranspose2d, nn.ConvTranspose3d))
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, mean, variance, fixed.eps, fixed.weight, fixed.bias, transposed
    )
    return nn.Identity()
