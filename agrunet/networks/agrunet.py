"""AgrUNet: a U-Net over space whose encoder also convolves over time, with a temporal encoder at the bottom."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from agrunet.networks.agrunet_layers import BlockKind, Collapse, DecoderLevel, EncoderLevel
from agrunet.networks.folding import for_inference
from agrunet.networks.ltae import attended
from agrunet.networks.packed_dates import Dates, channels_last, series_dates
from agrunet.networks.series_shape import check_series
from agrunet.networks.temporal_encoders import TemporalKind, temporal_encoder
from agrunet.settings import Frozen


class AgrUNetConfig(Frozen):
    """Shape of the network. The defaults are the talk's network for OrthoPASTIS."""

    kind: Literal["agrunet"] = "agrunet"
    bands: Annotated[int, Field(ge=1, description="input channels: the bands, and the clear mask where it is fed")]
    classes: Annotated[int, Field(ge=2, description="what the network tells apart, background included")]
    filters: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, max_length=6, description="channels per level; each level halves height and width"),
    ] = (64, 128)
    block: Annotated[BlockKind, Field(description="what the encoder's units convolve, in which order")] = "space_time"
    temporal: Annotated[TemporalKind, Field(description="what collapses time at the bottom")] = "bi_conv_lstm"
    collapse: Annotated[
        Collapse, Field(description='how the skips lose their dates; "attention" needs the temporal encoder "ltae"')
    ] = "mean"
    hidden: Annotated[int, Field(ge=1, description="channels of the recurrent state, each direction")] = 64
    heads: Annotated[int, Field(ge=1, description="attention heads of L-TAE")] = 16
    d_model: Annotated[int, Field(ge=1, description="channels that L-TAE attends to, all heads together")] = 256
    d_k: Annotated[int, Field(ge=1, description="length of a head's query in L-TAE")] = 4

    @model_validator(mode="after")
    def _fits_together(self) -> AgrUNetConfig:
        if self.temporal != "ltae":
            if self.collapse == "attention":
                raise ValueError(
                    f"collapse 'attention' needs the masks of temporal 'ltae', and temporal is {self.temporal!r}. "
                    "Take temporal 'ltae', or collapse 'mean' or 'max'."
                )
            return self
        shared = {"d_model": self.d_model, "the last of filters": self.filters[-1]}
        if self.collapse == "attention":
            shared |= {f"level {level} of filters": channels for level, channels in enumerate(self.filters)}
        for name, channels in shared.items():
            if channels % self.heads:
                raise ValueError(
                    f"{name} is {channels}, which {self.heads} heads can't share evenly. Give a multiple, or fewer heads."
                )
        if self.filters[-1] < 2 * self.heads:
            raise ValueError(
                f"the last of filters is {self.filters[-1]}: L-TAE norms each head's share, and of {self.heads} heads each gets one "
                "channel only. Give more channels, or fewer heads."
            )
        return self

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** len(self.filters))


class AgrUNet(nn.Module):
    """AgrUNet (A. Miola, University of Ferrara, 2025), in a form that is *consistent with the talk*, not copied from its author's code.

    The talk gives an outline and the parameter counts, no table of layers. This rule, of standard parts only, meets both counts
    (2,016,742 with 10 bands, 19 classes and filters 64, 128; 6,284,406 with 7 bands, 18 classes and 64, 128, 256):
    per encoder level two units of Conv3d (1,3,3) → BN → ReLU → Conv3d (3,1,1) → BN → ReLU, their mean over the valid dates as
    the skip, MaxPool (1,2,2); at the bottom a ConvLSTM in each direction and a 1x1 convolution; per decoder level
    ConvTranspose2d 2x2, concatenation, twice Conv 3x3 → BN → ReLU; a 1x1 head at every level (deep supervision).
    The configuration varies depth, filters, the units' kind, the temporal encoder and how the skips lose their dates.

    Padded dates (at the end of the shorter series of a batch) change nothing, in training as in evaluation.

    Set ``checkpointing`` to keep only what enters each encoder level in training and compute the level again in the backward
    pass: less memory, more work, the same gradients and batch statistics.
    """

    def __init__(self, config: AgrUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
        filters = config.filters
        self.encoder = nn.ModuleList(
            [
                EncoderLevel(inputs, outputs, config.block, config.collapse)
                for inputs, outputs in zip((config.bands, *filters), filters, strict=False)
            ]
        )
        self.temporal = temporal_encoder(
            config.temporal, filters[-1], config.hidden, config.heads, config.d_model, config.d_k
        )
        below = (*filters[1:], filters[-1])
        self.decoder = nn.ModuleList([DecoderLevel(c, f) for c, f in zip(below, filters, strict=True)])
        self.heads = nn.ModuleList([nn.Conv2d(f, config.classes, 1) for f in filters])
        channels_last(self)

    def forward(self, values: Tensor, valid: Tensor | None = None, days: Tensor | None = None) -> Tensor | list[Tensor]:
        """Logits of a batch of series.

        ``values``: (B, T, C, H, W), normalised; ``valid``: (B, T), False for padded dates, all valid by default; ``days``: (B, T)
        days since the season's start, which L-TAE uses, 0, 1, 2 … by default. Gives (B, K, H, W); in training a list of
        logits from fine to coarse, level ``i`` at (H/2^i, W/2^i). Raises `AgrunetError` where the shape can't be taken.
        """
        check_series(self.config, values, valid)
        dates = series_dates(values, valid)  # not `pack_series`: compiled, the look at the device would split it off
        packed = dates.pack(values.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        skips = []
        for level in self.encoder:
            skip, packed = self._encoded(cast("EncoderLevel", level), packed, dates)
            skips.append(skip)
        features, attention = self.temporal(packed, dates, days)
        logits: list[Tensor] = []
        for index in reversed(range(len(skips))):
            skip = skips[index]
            if self.config.collapse == "attention":
                skip = attended(skip, dates, attention)
            features = self.decoder[index](features, skip)
            if index == 0 or self.training:
                logits.insert(0, self.heads[index](features))
        return logits if self.training else logits[0]

    def _encoded(self, level: EncoderLevel, packed: Tensor, dates: Dates) -> tuple[Tensor, Tensor]:
        if not (self.checkpointing and self.training and torch.is_grad_enabled()):
            return cast("tuple[Tensor, Tensor]", level(packed, dates))
        if torch.compiler.is_compiling():
            # A compiled graph counts the statistics in its forward part alone, whatever its backward part computes again.
            again = checkpoint(level, packed, dates, use_reentrant=False, preserve_rng_state=False)
        else:
            contexts = lambda: (nullcontext(), _StatisticsLeftAlone(level))  # noqa: E731
            again = checkpoint(level, packed, dates, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
        return cast("tuple[Tensor, Tensor]", again)

    def for_inference(self) -> AgrUNet:
        """A copy in evaluation mode with its batch norms folded into the convolutions: the same logits to rounding, sooner."""
        return for_inference(self)


class _StatisticsLeftAlone(AbstractContextManager[None]):
    """A context in which a level is computed again: its batch norms count into copies of their statistics: the first pass has counted.

    A class, as a graph that is kept may be computed again more than once.
    """

    def __init__(self, module: nn.Module) -> None:
        self._norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
        self._kept: list[dict[str, Tensor]] = []

    def __enter__(self) -> None:
        self._kept = [dict(norm.named_buffers(recurse=False)) for norm in self._norms]
        self._put([{name: buffer.clone() for name, buffer in buffers.items()} for buffers in self._kept])

    def __exit__(self, *_: object) -> None:
        self._put(self._kept)

    def _put(self, statistics: list[dict[str, Tensor]]) -> None:
        for norm, buffers in zip(self._norms, statistics, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
