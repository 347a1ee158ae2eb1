"""The fields of a folder of patches mapped by a model that was trained before: to compare it with another one on the same fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.header import SPLITS
from agrunet.data.patches import FieldSource, LabelledSource, Patch
from agrunet.data.public.datasets import open_dataset
from agrunet.errors import AgrunetError
from agrunet.evidence import FieldEvidence, FieldTally
from agrunet.inference import map_classes, predict


def map_fields(data: str | Path, model: Path) -> FieldEvidence:
    """Map the fields that a data set lists by a checkpoint, on the pixels that a score of theirs rests on.

    ``data``: a folder of patches, or a table of series (`open_dataset`), of which the checkpoint's months are taken.

    Raises `AgrunetError` where the patches have no fields, or the checkpoint's contract doesn't cover them.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, config = load_checkpoint(model, device)
    source = open_dataset(data, config.months if str(data).startswith("series:") else None)
    header = source.header
    if not isinstance(source, FieldSource) or not header.fields or header.evidence is None:
        raise AgrunetError(f"{data}: the patches list no fields. Write them again.")
    bands, classes = _fitting(source, config, model)
    fields = [_scored(source, index) for index in range(len(source))]
    indices = [index for index, field in enumerate(fields) if (field >= 0).any()]
    tally = FieldTally(len(header.fields), len(header.classes))
    for index, probabilities in predict(network, config, _Bands(source, bands), indices, device):
        mapped = map_classes(probabilities)
        own = np.empty_like(probabilities)
        own[classes] = probabilities
        tally.add(fields[index], np.where(mapped >= 0, classes[mapped], -1).astype(np.int16), own)
    return FieldEvidence(
        kind=header.evidence,
        classes=header.classes,
        fields=tally.mapped([(field.name, field.label) for field in header.fields]),
    )


def _scored(source: FieldSource, index: int) -> npt.NDArray[np.int32]:
    """Field (H, W) of the pixels that are scored: those held out, or all where fields are dealt into folds."""
    field = source.field(index)
    if source.header.evidence == "hold-out":
        field = np.where(source.split(index) == SPLITS["hold-out"], field, -1).astype(np.int32)
    return field


def _fitting(source: LabelledSource, config: CheckpointConfig, model: Path) -> tuple[list[int], npt.NDArray[np.int16]]:
    """Places of the checkpoint's bands among the patches', and the patches' index of each of its classes."""
    header = source.header
    lacking = [band for band in config.bands if band not in header.bands]
    if lacking or (config.level, config.months) != (header.level, header.months):
        raise AgrunetError(
            f"{model} can't be applied to the patches: it takes {config.level}, months {list(config.months)}, bands "
            f"{', '.join(config.bands)}; they hold {header.level}, months {list(header.months)}, bands {', '.join(header.bands)}."
        )
    if sorted(config.classes) != sorted(header.classes):
        raise AgrunetError(f"{model} tells {', '.join(config.classes)} apart, the patches {', '.join(header.classes)}.")
    classes = np.array([header.classes.index(name) for name in config.classes], np.int16)
    return [header.bands.index(band) for band in config.bands], classes


class _Bands:
    """The patches with some of their bands, in another order: a `PatchSource` over another one."""

    def __init__(self, source: LabelledSource, bands: Sequence[int]) -> None:
        self._source, self._bands = source, list(bands)

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Patch:
        patch = self._source.read(index)
        return Patch(patch.values[:, self._bands], patch.clear, patch.days)
