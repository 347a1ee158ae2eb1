"""The real square of Flanders, January to July 2019, as a data set whose fields are dealt into folds, as a request deals them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import FolderHeader
from agrunet.data.patches import UNKNOWN, Patch
from catalog.grid import Window
from catalog.storage.pixels import open_pixels
from processors.patches.label_split import NO_FIELD, in_folds, split_ground

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
CLASSES = {
    1110: ("winter wheat", "3301010101"),
    1200: ("maize", "3301010600"),
    1500: ("barley", "3301010400"),
    5100: ("potato", "3301030000"),
    8100: ("sugar beet", "3301290700"),
    9120: ("grassland", "3302000000"),
}
"""Names and HCAT codes by the labels' codes."""

MERGED = {1510: 1500}
YEAR, MONTHS = 2019, (1, 7)
LEAST_FIELDS = 2
"""Fields of a class that is scored: of one alone nothing can be learnt for it."""

_CLEAR = (4, 5, 6, 7)
_EDGE = 64
_EPSG = 32631


def read_square(data: Path) -> Patch:
    """Read the dates with over half of the pixels clear, with labels, from the folder of the real test data."""
    values, clear, days = [], [], []
    for item in sorted((data / "flanders-2019" / "sentinel-2-l2a").glob("S2_*_L2A")):
        day = date.fromisoformat(item.name.split("_")[2][:8])
        if not date(YEAR, MONTHS[0], 1) <= day <= date(YEAR, MONTHS[1], 31):
            continue
        seen = np.isin(_band(item / "SCL.tif"), _CLEAR)
        if seen.mean() <= 0.5:
            continue
        values.append(np.stack([_band(item / f"{name}.tif") for name in BANDS]))
        clear.append(seen & (values[-1] > 0).all(0))
        days.append((day - date(YEAR, 1, 1)).days)
    codes = _band(data / "flanders-2019" / "labels" / "crop_type.tif").astype(np.int32)
    label = np.full(codes.shape, UNKNOWN, dtype=np.int16)
    for index, code in enumerate(CLASSES):
        label[np.isin(codes, [code, *(other for other, into in MERGED.items() if into == code)])] = index
    return Patch(np.stack(values), np.stack(clear), np.array(days, dtype=np.int32), label)


def write_square(data: Path, folder: Path) -> PatchFolder:
    """Write the square as a folder of training patches whose fields, of classes that have two or more, are dealt into folds."""
    patch = read_square(data)
    label = patch.label
    if label is None:
        raise ValueError("the square is read with its labels")
    window = Window(_EPSG, 0, _EDGE, _EDGE, _EDGE)
    ground = split_ground(label, np.zeros(label.shape, np.bool_), window)
    counts = np.bincount(ground.owners, minlength=len(CLASSES))
    kept = np.flatnonzero(counts[ground.owners] >= LEAST_FIELDS)
    number = np.full(len(ground.names) + 1, NO_FIELD, np.int32)
    number[kept] = np.arange(len(kept))
    fields = in_folds([ground.names[field] for field in kept], ground.owners[kept])
    folder.mkdir(parents=True, exist_ok=True)
    write_patch(folder, 0, patch, ground.split, number[ground.field])
    write_folder_header(
        folder,
        FolderHeader(
            count=1,
            patch_size=_EDGE,
            bands=BANDS,
            classes=tuple(name for name, _ in CLASSES.values()),
            legend=[
                {"value": value, "name": name, "hcat": hcat, "role": "class"}
                for value, (name, hcat) in enumerate(CLASSES.values(), start=1)
            ],
            level="L2A",
            years=(YEAR,),
            months=MONTHS,
            synthetic=False,
            min_clear=0.5,
            min_acquisitions=1,
            evidence="grouped k-fold",
            fields=fields,
        ),
    )
    return PatchFolder(folder)


def _band(path: Path) -> npt.NDArray[np.uint16]:
    with open_pixels(str(path)) as file:
        pixels: npt.NDArray[np.uint16] = file.read(1)
    factor = _EDGE // pixels.shape[0]
    return pixels.repeat(factor, 0).repeat(factor, 1)
