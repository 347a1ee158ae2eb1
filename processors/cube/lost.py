"""What a cell holds for sure and has no file, or an empty one: what was removed or not copied would read as no data.

Zarr stores no chunk that holds nothing but the fill value, so a missing file alone says nothing. Flags and the axis say what must be there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from zarr.codecs import Crc32cCodec

from catalog.products import UNKNOWN
from processors.cube.cell import Cube
from processors.cube.layout import COORDINATES, VARIABLES
from processors.cube.storage import open_group


def lost_of_date(cube: Cube, index: int) -> list[str]:
    """Variables that a whole date has a value of, and that aren't there. Raises one of `DAMAGE` where what tells it is damaged."""
    # Older cells were extended by `pixels_from` without values.
    told = ("pixels_from",) if _of_today(cube) else ()
    held: tuple[tuple[Literal["ingested", "masked"], str, tuple[str, ...]], ...] = (
        ("ingested", "valid_fraction", ("reflectance", "bands_present", *told)),
        ("masked", "clear_fraction", ("clear",)),
    )
    lost = []
    for flag, fraction, names in held:
        if not cube.flag(flag, index):
            continue
        share = float(np.asarray(cube.arrays[fraction][index]))
        if math.isnan(share):  # a whole date has one, and the others can't be told from it
            lost.append(fraction)
        lost += [name for name in names if share > 0 and not stored(cube, name, index)]
    return lost


def lost_of_axis(cube: Cube) -> list[str]:
    """What the axis doesn't know of a date and its products say, arrays and coordinates that aren't there, and dates without a time."""
    names = cube.acquisition_ids
    lost = [f"{name} of {names[index]}" for index in range(len(cube)) for name in _forgotten(cube, index)]
    group = open_group(cube.path, "r")
    lost += [name for name in COORDINATES if name not in group]
    if _of_today(cube):
        lost += [name for name in VARIABLES if name not in cube.arrays]
    if cube.ends_early():
        lost.append("time of some dates")
    return lost


def stored(cube: Cube, name: str, index: int) -> int | None:
    """Bytes of the chunk (or shard) that a date has of a variable; None where it has none. Raises `StoreError`."""
    metadata = cube.metadata(name)
    key = f"{name}/{metadata.encode_chunk_key((index, *(0,) * (len(metadata.shape) - 1)))}"
    if not isinstance(cube.path, Path):
        return (cube.path / key).size()
    try:
        return (cube.path / key).stat().st_size
    except OSError:
        return None


def _of_today(cube: Cube) -> bool:
    """Return whether a cell was made with today's variables, which came with the checksums."""
    return any(isinstance(codec, Crc32cCodec) for codec in cube.metadata("valid_fraction").codecs)


def _forgotten(cube: Cube, index: int) -> list[str]:
    products = cube.products(index)
    told = {
        "datatake": {product.datatake for product in products},
        "platform": {product.platform for product in products},
        "relative_orbit": {product.relative_orbit for product in products},
        "processing_baseline": {product.baseline for product in products},
    }
    lost = [
        name
        for name, values in told.items()
        if len(values) == 1 and UNKNOWN not in values and str(cube.values(name)[index]) == UNKNOWN
    ]
    if str(cube.values("product_ids")[index]) == "[]":
        lost.append("product_ids")
    return lost
