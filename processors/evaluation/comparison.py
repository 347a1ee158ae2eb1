"""What a map shows where the reference data are.

The unit of points is the pixel that holds one. The unit of parcels is the parcel, which the map calls by what most of its pixels show;
pixels count whose square lies wholly inside, since at the edge a pixel is of several fields. A parcel is one answer of one farmer, and
its pixels err together: counted one by one they would make large parcels speak for all, and many where one was asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.windows import Window as RasterWindow

from catalog.grid import PIXEL, blocks_meeting, inside, window_around
from catalog.legend import MAP_NO_DATA
from processors.delivery.delivered_map import DeliveredMap
from processors.delivery.evaluations import Unused

_BLOCK, _PARCEL_BLOCK = 512, 2048
"""Edges of what is read at once, pixels."""

_INSIDE = PIXEL / np.sqrt(2)
"""Distance of a pixel's centre from its corners, m: as far from a parcel's edge it lies inside whole."""

NOTHING = -1
"""In place of a map value where there is none; the reason stands beside."""


def at_points(delivered: DeliveredMap, points: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], list[Unused | None]]:
    """Map values (n,) of the pixels that hold points (in the zone's metres), and why some have none."""
    window = delivered.window
    x, y = shapely.get_x(points), shapely.get_y(points)
    with np.errstate(invalid="ignore"):
        columns, rows = np.floor(x / PIXEL) - window.left, np.floor(window.top - y / PIXEL)
        within = (columns >= 0) & (columns < window.width) & (rows >= 0) & (rows < window.height)
    columns = np.where(within, columns, 0).astype(np.int64)
    rows = np.where(within, rows, 0).astype(np.int64)
    values = np.full(len(points), NOTHING, np.int64)
    blocks = (rows // _BLOCK) * (window.width // _BLOCK + 1) + columns // _BLOCK
    with delivered.opened() as raster:
        nodata = int(raster.nodata)
        for block in np.unique(blocks[within]):
            here = np.flatnonzero(within & (blocks == block))
            left, top = int(columns[here[0]] // _BLOCK * _BLOCK), int(rows[here[0]] // _BLOCK * _BLOCK)
            part = RasterWindow(left, top, min(_BLOCK, window.width - left), min(_BLOCK, window.height - top))
            values[here] = raster.read(1, window=part)[rows[here] - top, columns[here] - left]
    values[values == nodata] = NOTHING
    asked = np.zeros(len(points), bool)
    silent = np.flatnonzero(within & (values == NOTHING))
    # A pixel is of the area when its centre is.
    centre_x, centre_y = (window.left + columns + 0.5) * PIXEL, (window.top - rows - 0.5) * PIXEL
    asked[silent] = shapely.contains_xy(delivered.zone_area, centre_x[silent], centre_y[silent])
    why = [
        None if value != NOTHING else Unused.NO_DATA if of_area else Unused.OUTSIDE
        for value, of_area in zip(values.tolist(), asked.tolist(), strict=True)
    ]
    return values, why


def in_parcels(delivered: DeliveredMap, parcels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], list[Unused | None]]:
    """Map values (n,) that most of the pixels inside each parcel (in the zone's metres) show, and why some have none."""
    values = np.full(len(parcels), NOTHING, np.int64)
    why: list[Unused | None] = []
    shapely.prepare(delivered.zone_area)
    with delivered.opened() as raster:
        for number, parcel in enumerate(parcels):
            shown = _shown(delivered, raster, parcel)
            values[number] = NOTHING if isinstance(shown, Unused) else shown
            why.append(shown if isinstance(shown, Unused) else None)
    return values, why


def _shown(delivered: DeliveredMap, raster: Any, parcel: Any) -> int | Unused:
    if not shapely.intersects(delivered.zone_area, parcel):
        return Unused.OUTSIDE
    whole = delivered.window
    part = window_around(parcel, whole.epsg).intersection(whole)
    if part is None:
        return Unused.OUTSIDE
    core = shapely.buffer(parcel, -_INSIDE)
    counts = np.zeros(MAP_NO_DATA + 1, np.int64)
    # Block by block: a parcel may be as large as the map.
    for block in [] if core.is_empty else blocks_meeting(core, part, _PARCEL_BLOCK):
        rows, columns = whole.slices(block)
        read = raster.read(1, window=RasterWindow(columns.start, rows.start, block.width, block.height))
        read = read[inside(core, block)]
        counts += np.bincount(np.where(read == int(raster.nodata), MAP_NO_DATA, read), minlength=MAP_NO_DATA + 1)
    total, silent = int(counts.sum()), int(counts[MAP_NO_DATA])
    if not total:
        return Unused.TOO_NARROW
    if 2 * silent > total:
        return Unused.NO_DATA
    counts[MAP_NO_DATA] = 0
    best = int(counts.argmax())
    return Unused.UNDECIDED if (counts == counts[best]).sum() > 1 else best
