"""What the views stage hands to whoever looks at a delivery: true colour, thumbnails, outlines and curves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from processors.rasters import Variable


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """NDVI means over clear pixels, float32, NaN where a date has none."""

    parcels: npt.NDArray[np.float32] | None
    """(N, T): row i is of the parcel with ``id`` i + 1; None where there are no parcels."""
    grid: npt.NDArray[np.float32]
    """(R, C, T): squares from the north-west corner of the area's window."""
    grid_pixels: int
    """Edge of a square, pixels: the smallest of 8, 16, 32, … that leaves at most `MOST_SQUARES`."""
    clear: npt.NDArray[np.float32] | None = None
    """(N, T): share of a parcel's pixels in the area that are clear at a date."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What a season looked like over the area, for whoever looks at a delivery. T: the acquisitions used of the season itself."""

    true_color: Path | None
    """uint8 RGB GeoTIFF on the area's window (1 to 255, 0 = no data): the best acquisition for it, its gaps filled from the next.
    None where B02, B03 and B04 are not all there."""
    true_color_dates: tuple[str, ...]
    """Names of the acquisitions in it; the first is most of it."""
    thumbnails: dict[str, Path]
    """PNG by acquisition, longest side at most `THUMBNAIL` pixels: its true colour over the area, clouds as they are."""
    days: tuple[date, ...]
    """Of the T acquisitions, by time."""
    parcels: Path | None
    """GeoParquet of all outlines, in the metres of the zone; None where there is neither a class map nor a declared parcel."""
    below: dict[int, int]
    """Pixels by map value that are in no parcel, since what they are part of is smaller than `parcels` may be."""
    curves: Curves | None
    """None where B04 or B08 is missing."""
    declared: bool = False
    """Whether the parcels are those that the request names, not the map's."""
    clear_count: Path | None = None
    """Raster of how many of the T acquisitions are clear at each pixel."""
    clear_count_variable: Variable | None = None
    notes: tuple[str, ...] = ()
    """Sentences that a delivery must show, such as how many declared parcels lie elsewhere."""


THUMBNAIL = 96
"""Longest side of a thumbnail, pixels."""

MOST_SQUARES = 20_000
"""Squares of the grid of curves."""
