"""Tiles of Munich (MTLCC; Rußwurm and Körner, 2018), of one year each: from their TFRecords to patches of 10 m pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agrunet.data.public.tfrecord import Features, array_of, read_features
from agrunet.errors import AgrunetError

STORED = {
    "x10": (1, ("B04", "B03", "B02", "B08")),
    "x20": (2, ("B05", "B06", "B07", "B8A", "B11", "B12")),
    "x60": (6, ("B01", "B09", "B10")),
}
"""Bands by array, in its order, with the size of its pixels in pixels of 10 m."""

ALL_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

UNKNOWN_ID = 0
"""Id of what is no declared field: unknown, other crops and all that isn't cropland."""

CROPS = {
    1: "sugar beet",
    2: "summer oat",
    3: "meadow",
    5: "rapeseed",
    8: "hop",
    9: "winter spelt",
    12: "winter triticale",
    13: "beans",
    15: "peas",
    16: "potato",
    17: "soybeans",
    19: "asparagus",
    22: "winter wheat",
    23: "winter barley",
    24: "winter rye",
    25: "summer barley",
    26: "maize",
}
"""Names by id, as in the data set's own list of classes (published with it, and repeated by those who use it)."""

_LAST_DAY = 366
_LARGEST = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A tile of one year.

    ``values``: (T, C, H, W) as stored, 10 m; ``day_of_year``: (T,) from 1, in the record's order; ``ids``: (H, W) of `CROPS` or 0."""

    values: npt.NDArray[np.uint16]
    day_of_year: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]


def read_tile(path: Path, size: int, bands: tuple[str, ...]) -> Tile:
    """Read the dates that aren't padding, the wanted bands repeated to 10 m (nearest), and the label that all those dates share.

    Raises `AgrunetError` naming the file where the record is damaged or isn't ``size`` pixels wide, a value doesn't fit 16 bits, an
    id is unheard of, no date is left, or the label changes between dates.
    """
    features = read_features(path)
    try:
        return _tile(features, size, bands)
    except ValueError as error:
        raise AgrunetError(f"{path}: {error}. Download it again, or delete it to leave the tile out.") from error


def _tile(features: Features, size: int, bands: tuple[str, ...]) -> Tile:
    days = array_of(features, "dates/doy", "dates/shape", 1)
    dated = days > 0  # the rest is padding, in every array
    if not dated.any():
        raise ValueError(f"none of its {len(days)} dates has a day of the year")
    if days.max() > _LAST_DAY:
        raise ValueError(f"day {days.max()} of the year")
    labels = array_of(features, "labels/data", "labels/shape", 3)
    if labels.shape != (len(days), size, size):
        raise ValueError(f"labels {labels.shape}, {len(days)} dates of {size} pixels want {(len(days), size, size)}")
    return Tile(values=_values(features, dated, size, bands), day_of_year=days[dated], ids=_common_label(labels[dated]))


def _common_label(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    label: npt.NDArray[np.int64] = labels[0]
    changed = int((labels != label).any(axis=0).sum())
    if changed:
        raise ValueError(f"the labels of {changed} pixels change between dates")
    strange = set(np.unique(label).tolist()) - set(CROPS) - {UNKNOWN_ID}
    if strange:
        raise ValueError(f"label ids {sorted(strange)}, known are 0 and {sorted(CROPS)}")
    return label


def _values(
    features: Features, dated: npt.NDArray[np.bool_], size: int, bands: tuple[str, ...]
) -> npt.NDArray[np.uint16]:
    values = np.empty((int(dated.sum()), len(bands), size, size), dtype=np.uint16)
    for name, (factor, stored) in STORED.items():
        array = array_of(features, f"{name}/data", f"{name}/shape", 4)
        wanted = (len(dated), size // factor, size // factor, len(stored))
        if array.shape != wanted:
            raise ValueError(f"{name} {array.shape}, tiles of {size} pixels and {len(dated)} dates want {wanted}")
        for position, band in enumerate(bands):
            if band not in stored:
                continue
            pixels = array[dated, :, :, stored.index(band)]
            if pixels.min() < 0 or pixels.max() > _LARGEST:
                raise ValueError(f"{band} holds {pixels.min()} to {pixels.max()}, digital numbers are 0 to {_LARGEST}")
            values[:, position] = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    return values
