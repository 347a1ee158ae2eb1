"""Polygons as a page holds them: corners to the metre, each as its way from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from catalog.errors import DeliveryError
from catalog.grid import Window
from catalog.guards.vectors import read_parquet
from processors.delivery.page.packing import packed, packed_integers, zigzag
from processors.delivery.page.pixels import NO_VALUE

SHARE_STEPS = 200
"""Steps of a share: half a percent each."""

_SIMPLE = 1000
"""Corners of an area from which it is drawn simplified."""


def outline_record(shapes: Sequence[BaseGeometry | None], whole: Window) -> str:
    """Polygons as integers: how many rings each has, and each ring's number of corners and the ways between them.

    Metres from the window's south-west corner, x and y in turn, each corner from the one before it, which may be another polygon's.
    A ring of less than three corners at this precision is left out, and a missing or empty geometry has no rings.
    """
    west, south, _, _ = whole.bounds
    numbers: list[npt.NDArray[np.int64]] = []
    last = np.zeros(2, np.int64)
    for shape in shapes:
        rings = []
        for ring in _rings(shape):
            corners = np.rint(shapely.get_coordinates(ring) - (west, south)).astype(np.int64)
            corners = corners[:-1][(corners[1:] != corners[:-1]).any(axis=1)]
            if len(corners) >= 3:
                rings.append(corners)
        numbers.append(np.array([len(rings)]))
        for corners in rings:
            ways = np.diff(np.concatenate([last[None], corners]), axis=0)
            numbers += [np.array([len(corners)]), zigzag(ways.ravel())]
            last = corners[-1]
    return packed_integers(np.concatenate(numbers)) if numbers else packed(b"")


def area_record(zone_area: BaseGeometry, whole: Window, visible: float) -> str:
    """The area's outline; of many corners those that can be told apart at ``visible`` metres."""
    if shapely.get_num_coordinates(zone_area) > _SIMPLE:
        zone_area = zone_area.simplify(visible)
    return outline_record([zone_area], whole)


def parcels_of(path: Path) -> Any:
    """The parcels of a season's views, as a `geopandas.GeoDataFrame`."""
    return read_parquet(path, lambda why: DeliveryError(f"{path} can't be read: {why}. Make it again."))


def parcels_record(parcels: Any, whole: Window, most: int) -> dict[str, Any] | None:
    """Outlines and what is known of each parcel; None where they take more than ``most`` bytes."""
    record = {
        "count": len(parcels),
        "outlines": outline_record(list(parcels.geometry), whole),
        "value": packed(_bytes(parcels["value"])),
        "share": packed(_shares(parcels["share"])),
        "confidence": packed(_shares(parcels["confidence"])),
        "pixels": packed_integers(parcels["pixels"].fillna(0).to_numpy(np.int64)),
    }
    size = sum(len(value) for value in record.values() if isinstance(value, str))
    return record if size <= most else None


def _bytes(column: Any) -> bytes:
    return bytes(column.fillna(NO_VALUE).to_numpy(np.uint8).tobytes())


def _shares(column: Any) -> bytes:
    values = column.to_numpy(np.float64, na_value=np.nan)
    codes = np.where(np.isfinite(values), np.clip(np.rint(values * SHARE_STEPS), 0, SHARE_STEPS), NO_VALUE)
    return codes.astype(np.uint8).tobytes()


def _rings(shape: BaseGeometry | None) -> list[Any]:
    """Outer and inner rings of all parts, in their order."""
    if shape is None or shape.is_empty:
        return []
    polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
