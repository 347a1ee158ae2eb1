"""Parcels as a table: what a map says of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL
from catalog.legend import MAP_NO_DATA
from processors.views.curves import CurveSums
from processors.views.parcel_map import MapOfParcels
from processors.views.parcels import Parcels

HECTARE = 10_000
"""Size of a hectare, m²."""


def parcel_frame(parcels: Parcels, sums: CurveSums, days: Sequence[date], epsg: int) -> Any:
    """Parcels as a `geopandas.GeoDataFrame` in the metres of the zone: own columns, those of the request's file, the geometry."""
    import geopandas  # brings pandas, slowly
    import pandas as pd

    peak, when = sums.peaks(days)
    of_map = parcels.of_map or _without_map(sums.pixels)
    own = {
        "id": np.arange(1, parcels.count + 1, dtype=np.int64),
        "value": of_map.value,
        "crop": pd.array([parcels.names.get(value) for value in of_map.value.tolist()], dtype="string"),
        "share": of_map.share,
        "confidence": of_map.confidence,
        "hectares": of_map.pixels * PIXEL**2 / HECTARE,
        "pixels": of_map.pixels,
        "ndvi_peak": peak,
        "ndvi_peak_date": pd.Series(when, dtype=object),
    }
    frame = geopandas.GeoDataFrame(own, geometry=parcels.polygons, crs=f"EPSG:{epsg}")
    if parcels.columns is None:
        return frame
    return frame.join(parcels.columns)[[*own, *parcels.columns.columns, "geometry"]]


def _without_map(pixels: npt.NDArray[np.int64]) -> MapOfParcels:
    """Of parcels in an area that has no class map, with so many pixels (N,) in it."""
    nothing = np.full(len(pixels), np.nan)
    return MapOfParcels(np.full(len(pixels), MAP_NO_DATA, np.uint8), pixels, nothing, nothing)
