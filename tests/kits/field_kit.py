"""The toy's patches with fields: held out, or dealt into folds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import LabelledField


def with_fields(folder: Path, make_toy: Callable[..., Path], kind: str) -> Path:
    """The toy's six patches, each of two fields: patches 0 to 3 are learnt from and 4, 5 held out, or all are dealt into three folds."""
    make_toy(folder, lambda index: "hold-out" if kind == "hold-out" and index > 3 else "train")
    source = PatchFolder(folder)
    fields: list[LabelledField] = []
    for index in range(6):
        patch, split = source.read(index), source.split(index)
        assert patch.label is not None
        field = np.full(patch.label.shape, -1, np.int32)
        if kind != "hold-out" or index > 3:
            for label in (0, 1):
                field[patch.label == label] = len(fields)
                fold = None if kind == "hold-out" else index % 3 + 1
                fields.append(LabelledField(name=f"32631_{index}_{label}", label=label, fold=fold))
        write_patch(folder, index, patch, split, field)
    write_folder_header(folder, source.header.model_copy(update={"fields": tuple(fields), "evidence": kind}))
    return folder
