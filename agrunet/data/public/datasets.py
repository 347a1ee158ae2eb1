"""Labelled data sets to learn from: the public ones, tables of series, and folders of training patches, by one name."""

from __future__ import annotations

from pathlib import Path

from agrunet.data.folder import PatchFolder
from agrunet.data.patches import LabelledSource
from agrunet.data.public.pastis import Pastis
from agrunet.data.season import SeasonCut
from agrunet.data.series_source import SeriesSource
from agrunet.errors import AgrunetError

KINDS = ("pastis", "patches", "series")
"""Kinds of data sets, which may stand before the colon of a name."""


def open_dataset(name: str | Path, months: tuple[int, int] | None = None) -> LabelledSource:
    """Open ``pastis:FOLDER``, ``series:FILE.parquet``, ``patches:FOLDER`` or just the FOLDER of training patches.

    ``months``: only those, first and last.

    Munich (MTLCC) is read from the folder that `python -m agrunet convert-munich` writes. Raises `AgrunetError` where the name is
    unknown or the folder isn't such a data set.
    """
    kind, folder = _parts(name)
    if kind == "pastis":
        return Pastis(folder, months=months)
    if kind == "series":
        return SeriesSource.open(folder, months)
    patches = PatchFolder(folder)
    return patches if months is None else SeasonCut(patches, months)


def _parts(name: str | Path) -> tuple[str, Path]:
    if isinstance(name, Path) or Path(name).is_dir():
        return "patches", Path(name)
    kind, colon, folder = name.partition(":")
    if not colon:
        return "patches", Path(name)
    if kind not in KINDS or not folder:
        raise AgrunetError(
            f"data set {name!r}: no such kind. Give {', '.join(f'{kind}:PATH' for kind in KINDS)} or the folder of training patches."
        )
    return kind, Path(folder)
