"""The start of a training: a checkpoint whose network goes on to other classes, on other land.

With few fields the start is kept as it is and only its answers are mapped to the new classes (`head_fit`); with many, all of its
weights can be trained further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from agrunet.checkpoint.config import CheckpointConfig, StartRecord, describe
from agrunet.checkpoint.folder import WEIGHTS, load_checkpoint, read_config
from agrunet.data.header import FolderHeader
from agrunet.data.patches import LabelledSource
from agrunet.errors import AgrunetError
from agrunet.files import sha256
from agrunet.inference import predict
from agrunet.networks.adapted import FRESH, Adapted, AdaptedConfig, AdaptedRow
from agrunet.networks.registry import fresh_network
from agrunet.settings import Frozen
from agrunet.training.class_matching import match_classes
from agrunet.training.distributed import Ranks
from agrunet.training.head_fit import FieldPixels, choose_keep, field_pixels, fit_head


class FineTuning(Frozen):
    """Settings of what becomes of a start."""

    classes: Annotated[
        dict[str, tuple[str, ...]] | None,
        Field(description="classes of the start that mean each class; null for those of the same HCAT code or name"),
    ] = None
    part: Annotated[
        Literal["head", "all"],
        Field(description="what is fitted: a linear layer over the start's answers, or all of its weights as well"),
    ] = "head"
    pull: Annotated[
        float,
        Field(
            gt=0,
            description="pull of the linear layer towards the start: for how many fields a squared distance of 1 counts",
        ),
    ] = 10.0
    keep: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="part of the start in what comes out: of the probabilities of the classes that it knows or, where all is tuned, "
            "of the weights; null to choose between none and a half by folds of the fields learnt from, or for none where all is tuned",
        ),
    ] = None


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """A network that goes on from a checkpoint, on no device in particular, and how the start was made and is fed."""

    checkpoint: Path
    network: Adapted
    start: CheckpointConfig


def adapted_config(checkpoint: Path, fine_tuning: FineTuning, header: FolderHeader) -> AdaptedConfig:
    """Shape of the network that goes on from a checkpoint to the classes of these patches.

    Raises `AgrunetError` where the start isn't made for such patches, or knows none of their classes.
    """
    config = read_config(checkpoint)
    _check(checkpoint, config, header)
    rows = [
        AdaptedRow(of=label, source=source)
        for label, sources in enumerate(match_classes(header, config, fine_tuning.classes))
        for source in sources or (FRESH,)
    ]
    return AdaptedConfig(
        start=config.network, bands=config.network.bands, classes=len(header.classes), rows=tuple(rows)
    )


def started(checkpoint: Path, fine_tuning: FineTuning, header: FolderHeader) -> Started:
    """Make the network, untrained: the start, limited to the classes that the patches tell apart."""
    shape = adapted_config(checkpoint, fine_tuning, header)
    network = cast("Adapted", fresh_network(shape, 0))
    known, config = load_checkpoint(checkpoint)
    network.network.load_state_dict(known.state_dict())
    return Started(checkpoint, network.eval(), config)


def fit_started(
    source: LabelledSource, indices: Sequence[int], begun: Started, fine_tuning: FineTuning, group: Ranks
) -> Adapted:
    """Fit the linear layer of the network to the pixels to learn from, in the patches ``indices``; the start is left as it is.

    Raises `AgrunetError` where none of them has enough clear dates.
    """
    pixels = _gathered(source, indices, begun, group)
    if not len(pixels.label):
        raise AgrunetError(
            f"no labelled pixel has the {source.header.min_acquisitions} clear dates that it needs. Give labels where it is clearer, or "
            "a smaller min_acquisitions."
        )
    keep = choose_keep(begun.network, pixels, fine_tuning.pull) if fine_tuning.keep is None else fine_tuning.keep
    network = with_keep(begun.network, keep)
    fit_head(network, pixels, fine_tuning.pull)
    return network.to(group.device)


def with_keep(network: Adapted, keep: float) -> Adapted:
    """The same network with another part of the start's probabilities."""
    other = Adapted(network.config.model_copy(update={"keep": keep}))
    other.load_state_dict(network.state_dict())
    return other.eval()


def freeze_norms(network: nn.Module) -> None:
    """Leave the statistics of the batch norms as they are in training, too: a few fields are no measure of them."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def averaged(network: Adapted, begun: Mapping[str, Tensor], keep: float) -> None:
    """Move the weights to the mean of theirs and those that it began with (Wortsman et al., 2022), ``keep`` of the latter."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(begun[name].to(value), keep)


def described(begun: Started, network: Adapted, header: FolderHeader, settings: dict[str, Any]) -> CheckpointConfig:
    """Configure the network that went on from a checkpoint: it is fed as that one, and remembers it."""
    checkpoint = describe(header, network.config, begun.start.normalisation, begun.start.cloud_input, settings)
    rows = network.config.rows
    known = {
        name: tuple(begun.start.classes[row.source] for row in rows if row.of == label and row.source != FRESH)
        for label, name in enumerate(header.classes)
    }
    start = StartRecord(
        name=begun.checkpoint.resolve().name,
        weights=sha256(begun.checkpoint / WEIGHTS),
        synthetic=begun.start.synthetic,
        classes=known,
    )
    return checkpoint.model_copy(update={"start_from": start})


def _gathered(source: LabelledSource, indices: Sequence[int], begun: Started, group: Ranks) -> FieldPixels:
    """The pixels to learn from of all processes, in the order of their patches."""
    # The start's own limits are those of its maps; its temperature is taken up by the layer.
    fed = begun.start.model_copy(update={"temperature": 1.0, "min_acquisitions": source.header.min_acquisitions})
    known = begun.network.network
    mine = list(indices)[group.rank :: group.world]
    own = [
        (index, field_pixels(source, index, probabilities))
        for index, probabilities in predict(known, fed, source, mine, group.device)
    ]
    parts = sorted((pair for part in group.gather(own) for pair in part), key=lambda pair: pair[0])
    return FieldPixels.joined(pixels for _, pixels in parts)


def _check(folder: Path, config: CheckpointConfig, header: FolderHeader) -> None:
    """Raise `AgrunetError` where patches aren't what a checkpoint is made for."""
    if differing := header.differences(config):
        raise AgrunetError(
            f"{folder} is no start for these patches: they hold {differing}. Write patches as it takes them, "
            "or start from another model."
        )
