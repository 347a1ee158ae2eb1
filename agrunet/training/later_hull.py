"""The hull of a checkpoint that was trained without one."""

from __future__ import annotations

from pathlib import Path

from agrunet.checkpoint.folder import add_hull, read_config
from agrunet.errors import AgrunetError
from agrunet.hull import Hull
from agrunet.training.hull_pixels import LEAST_PIXELS, training_hull
from agrunet.training.train import labelled_source


def hull_for_checkpoint(data: str | Path, model: Path) -> Hull:
    """Fit the hull of what a checkpoint learnt from, its data set or a part of it, and write it into the checkpoint.

    Raises `AgrunetError` where the data are of another kind than what it learnt from, or too few.
    """
    config, source = read_config(model), labelled_source(data)
    for name in ("bands", "months", "level"):
        given, wanted = getattr(source.header, name), getattr(config, name)
        if given != wanted:
            raise AgrunetError(
                f"{data}: its {name} are {given}, those of {model} {wanted}. Give what it was trained from."
            )
    hull = training_hull(source)
    if hull is None:
        raise AgrunetError(
            f"{data} holds fewer than {LEAST_PIXELS} labelled pixels to learn from, or others. Give more of them."
        )
    add_hull(model, hull)
    return hull
