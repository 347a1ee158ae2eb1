"""Views of a season made by hand, so that a report's page has all that it may hold."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.features import shapes
from shapely.geometry import shape

from catalog.grid import Window
from processors.delivery.provenance import DeliveryFacts
from processors.views.views import MOST_SQUARES, Curves, Views

LEAST = 50
"""Pixels of a parcel of half a hectare."""


def views(
    folder: Path, area: Window, classes: npt.NDArray[np.uint8], names: dict[int, str], facts: DeliveryFacts
) -> Views:
    """Views over a class map (H, W): each of its connected patches of half a hectare is a parcel, and grows by its class."""
    days = tuple(acquisition.time.date() for acquisition in facts.season.own)
    true_color = folder / "true_color.tif"
    _write_true_color(true_color, area, classes)
    thumbnails = {}
    for number, acquisition in enumerate(facts.season.acquisitions):
        thumbnails[acquisition.id] = folder / f"{acquisition.id}.png"
        tone = np.clip(classes[:: max(1, area.height // 90), :: max(1, area.width // 90)] * 9 + 6 * number, 0, 255)
        Image.fromarray(np.dstack([tone, tone + 30, tone]).astype(np.uint8)).save(thumbnails[acquisition.id])
    frame, curves = _parcels(area, classes, names, len(days))
    frame.to_parquet(folder / "parcels.parquet")
    return Views(
        true_color=true_color,
        true_color_dates=tuple(acquisition.id for acquisition in facts.season.own[:2]),
        thumbnails=thumbnails,
        days=days,
        parcels=folder / "parcels.parquet",
        below={},
        curves=Curves(parcels=curves, **_grid(classes, len(days))),
    )


def curve_of(value: int, days: int) -> npt.NDArray[np.float32]:
    """A season's NDVI of a class (days,): a bump that each class has at another time; every fifth date from the fourth on has none."""
    time = np.linspace(0, 1, days)
    curve = (0.15 + 0.7 * np.exp(-(((time - 0.3 - 0.03 * (value % 15)) / 0.2) ** 2))).astype(np.float32)
    curve[3::5] = np.nan
    return curve


def majority_by_hand(values: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Square by square: most frequent value that isn't 255, the lowest of equally frequent ones."""
    rows, columns = -(-values.shape[0] // factor), -(-values.shape[1] // factor)
    found = np.full((rows, columns), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            square = values[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            counts = Counter(int(value) for value in square.ravel() if value != 255)
            if counts:
                found[row, column] = min(counts, key=lambda value: (-counts[value], value))
    return found


def read_parcels(folder: Path) -> Any:
    """The parcels that `views` wrote."""
    return geopandas.read_parquet(folder / "parcels.parquet")


def _parcels(area: Window, classes: npt.NDArray[np.uint8], names: dict[int, str], days: int) -> tuple[Any, Any]:
    found = []
    for geometry, value in shapes(classes, classes != 255, transform=area.transform):
        outline = shape(geometry)
        if outline.area >= LEAST * 100:
            found.append((int(value), outline))
    found.sort(key=lambda one: (one[0], -one[1].bounds[3], one[1].bounds[0]))
    pixels = [round(outline.area / 100) for _, outline in found]
    curves = np.array([curve_of(value, days) for value, _ in found], np.float32).reshape(len(found), days)
    peaks = [int(np.nanargmax(curve)) for curve in curves]
    frame = geopandas.GeoDataFrame(
        {
            "id": np.arange(1, len(found) + 1),
            "value": np.array([value for value, _ in found], np.uint8),
            "crop": [names[value] for value, _ in found],
            "share": np.full(len(found), 0.955),
            "confidence": np.full(len(found), 0.8),
            "hectares": np.array(pixels) / 100,
            "pixels": pixels,
            "ndvi_peak": [float(curve[peak]) for curve, peak in zip(curves, peaks, strict=True)],
            "ndvi_peak_date": [date(2019, 1, 1)] * len(found),
        },
        geometry=[outline for _, outline in found],
        crs=f"EPSG:{area.epsg}",
    )
    return frame, curves


def _grid(classes: npt.NDArray[np.uint8], days: int) -> dict[str, Any]:
    pixels = 8
    while -(-classes.shape[0] // pixels) * -(-classes.shape[1] // pixels) > MOST_SQUARES:
        pixels *= 2
    rows, columns = -(-classes.shape[0] // pixels), -(-classes.shape[1] // pixels)
    middle = classes[pixels // 2 :: pixels, pixels // 2 :: pixels]
    grid = np.full((rows, columns, days), np.nan, np.float32)
    for value in np.unique(middle):
        if value != 255:
            grid[: middle.shape[0], : middle.shape[1]][middle == value] = curve_of(int(value), days)
    return {"grid": grid, "grid_pixels": pixels}


def _write_true_color(path: Path, area: Window, classes: npt.NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(1).integers(0, 14, classes.shape)
    green = 60 + (classes.astype(int) * 37) % 70 + noise
    colours = np.where(classes == 255, 0, np.stack([green * 0.8, green, green * 0.6])).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=area.width, height=area.height, count=3, dtype="uint8", nodata=0,
        crs=f"EPSG:{area.epsg}", transform=area.transform, tiled=True, compress="deflate",
    ) as raster:  # fmt: skip
        raster.write(colours)
