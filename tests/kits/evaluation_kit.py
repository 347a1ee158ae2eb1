"""Delivered maps whose truth is known, and reference data for them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import delivery_kit
import geopandas
import numpy as np
import numpy.typing as npt
import pyogrio
from shapely.geometry import box

from catalog.grid import PIXEL, Window
from processors.delivery.deliver import deliver
from processors.delivery.delivered_map import DeliveredMap, open_delivered
from processors.evaluation.design import SampleDesign

WINDOW = delivery_kit.window(120, 100)
NAMES = {entry.value: entry.name for entry in delivery_kit.LEGEND.mapped}
CODES = {entry.value: entry.source_codes[0] for entry in delivery_kit.LEGEND.mapped}


def pixels(seed: int = 1, window: Window = WINDOW) -> npt.NDArray[np.uint8]:
    """A class map in stripes of fields: mostly background and wheat, little maize, least sugar beet; a corner without data."""
    rng = np.random.default_rng(seed)
    fields = rng.choice(np.array([0, 1, 2, 5], np.uint8), size=(10, 12), p=[0.45, 0.35, 0.15, 0.05])
    fields[3, 4], fields[6, 2] = 5, 2
    values = np.kron(fields, np.ones((window.height // 10, window.width // 12), np.uint8))
    values[:10, :10] = 255
    return values


def truth(mapped: npt.NDArray[np.uint8], seed: int = 2, wrong: float = 0.15) -> npt.NDArray[np.uint8]:
    """What is there in truth: the map, but for a share of its pixels."""
    rng = np.random.default_rng(seed)
    others = rng.choice(np.array([0, 1, 2, 5], np.uint8), size=mapped.shape, p=[0.3, 0.3, 0.3, 0.1])
    return np.where(rng.random(mapped.shape) < wrong, others, mapped)


def delivered(folder: Path, values: npt.NDArray[np.uint8], window: Window = WINDOW, **facts: Any) -> Path:
    """Deliver a class map; returns its folder. Rasters are made in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rasters = {"crop_map": delivery_kit.write_raster(folder, delivery_kit.CROP_MAP, window, values)}
    deliver(folder / "map", rasters, (delivery_kit.CROP_MAP,), delivery_kit.facts(window, **facts))
    return folder / "map"


def opened(folder: Path, values: npt.NDArray[np.uint8], **facts: Any) -> DeliveredMap:
    return open_delivered(delivered(folder, values, **facts))


def value_at(design: SampleDesign, values: npt.NDArray[np.uint8]) -> dict[int, int]:
    """Value of a raster of the window at each point of a sample, by id."""
    return {point.id: int(values[point.row, point.column]) for point in design.points}


def fill_in(sample: Path, answers: dict[int, str | None]) -> None:
    """Fill in the field `reference` of a sample's points in place, as a GIS does it."""
    with closing(sqlite3.connect(sample)) as file, file:
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):  # of the index, which stays as it is
            file.create_function(name, 1, lambda _: 0)
        file.executemany(
            "UPDATE points SET reference = ? WHERE id = ?", [(word, number) for number, word in answers.items()]
        )


def with_rows(sample: Path, rows: geopandas.GeoDataFrame) -> None:
    """Write a sample's file anew with other rows and the same design."""
    design = pyogrio.read_dataframe(sample, layer="cropline_design", read_geometry=False)
    sample.unlink()
    pyogrio.write_dataframe(rows, sample, layer="points", driver="GPKG")
    pyogrio.write_dataframe(design, sample, layer="cropline_design", driver="GPKG", append=True)


def parcels(rows: list[tuple[tuple[int, int, int, int], Any]], column: str = "crop") -> geopandas.GeoDataFrame:
    """Rectangles of pixels (left, upper, right, lower, counted from the window's corner) with a class each."""
    west, _, _, north = WINDOW.bounds
    shapes = [
        box(west + left * PIXEL, north - lower * PIXEL, west + right * PIXEL, north - upper * PIXEL)
        for (left, upper, right, lower), _ in rows
    ]
    return geopandas.GeoDataFrame({column: [word for _, word in rows]}, geometry=shapes, crs=f"EPSG:{WINDOW.epsg}")


def points(rows: list[tuple[float, float, Any]], column: str = "crop") -> geopandas.GeoDataFrame:
    """Points by column and row in pixels, counted from the window's corner, with a class each."""
    west, _, _, north = WINDOW.bounds
    places = geopandas.points_from_xy(
        [west + x * PIXEL for x, _, _ in rows], [north - y * PIXEL for _, y, _ in rows], crs=f"EPSG:{WINDOW.epsg}"
    )
    return geopandas.GeoDataFrame({column: [word for _, _, word in rows]}, geometry=places)
