"""Raster files of users: labels and crop masks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj.exceptions import ProjError
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError, RPCError

from catalog.guards.refusal import Refuse, reason

RASTER_ERRORS = (
    RasterioError,
    ProjError,
    CRSError,
    RPCError,
    CPLE_BaseError,
    OverflowError,
    UnicodeDecodeError,
    MemoryError,
)
"""What GDAL through rasterio raises of a file that is damaged or isn't what it says."""

LARGEST_BLOCK = 512 * 2**20
"""Bytes that one block of a file may unpack to: a block is decoded whole, whatever part of it is asked for."""

WIDEST = 1_000_000
"""Pixels along an edge: of 1 m, a zone is so wide, and half of it so high in ten parts."""


@contextmanager
def raster_errors(refuse: Refuse) -> Iterator[None]:
    """Turn what GDAL raises of a bad file into the caller's error."""
    try:
        yield
    except RASTER_ERRORS as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # rasterio keeps GDAL's own words there
            cause = cause.__cause__
        raise refuse(reason(cause)) from error


@contextmanager
def open_raster(path: Path, refuse: Refuse, drivers: Sequence[str]) -> Iterator[Any]:
    """A user's raster, for the length of a block. Raises what ``refuse`` makes where it can't be opened or read in the block, or unpacks
    to more than is stated. ``drivers``: GDAL's, of the formats that are read; what lies beside it counts, as tools write it there."""
    with raster_errors(refuse), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the caller asks for a coordinate system
        with rasterio.open(path, driver=list(drivers)) as raster:
            _check_size(raster, refuse)
            yield raster


def _check_size(raster: Any, refuse: Refuse) -> None:
    if max(raster.width, raster.height) > WIDEST:
        raise refuse(
            f"it says to have {raster.width:,} x {raster.height:,} pixels, at most {WIDEST:,} along an edge are read"
        )
    if raster.transform.is_degenerate:
        raise refuse("its pixels have no size")
    for (height, width), dtype in zip(raster.block_shapes, raster.dtypes, strict=True):
        size = height * width * np.dtype(dtype).itemsize
        if size > LARGEST_BLOCK:
            raise refuse(
                f"its blocks of {width:,} x {height:,} pixels unpack to {size:,} bytes, more than {LARGEST_BLOCK:,}"
            )
