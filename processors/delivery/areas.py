"""Hectares per class, counted from a class map."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window as RasterWindow
from shapely.geometry.base import BaseGeometry

from catalog.errors import DeliveryError
from catalog.grid import PIXEL, Window, blocks_meeting, inside
from catalog.guards.rasters import open_raster
from catalog.legend import MAP_BACKGROUND, MAP_NO_DATA, Legend, LegendClass, background_entry
from catalog.storage.csv_text import csv_cell, csv_comment
from catalog.storage.pixels import DRIVERS
from catalog.storage.whole import written_whole

HECTARE = 10_000
"""Size of a hectare, m²."""

NO_ESTIMATE = "Hectares are pixels counted in the map, at the map's errors: they are no estimate of crop areas."

_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class ClassArea:
    """One class of a map and how many pixels show it."""

    entry: LegendClass
    pixels: int
    percent: float
    """Share of the pixels that show a class."""

    @property
    def hectares(self) -> float:
        """A pixel of 10 m is 0.01 ha on the grid of the zone."""
        return self.pixels * PIXEL**2 / HECTARE


@dataclass(frozen=True, slots=True)
class AreaTable:
    """The areas that a class map shows."""

    rows: tuple[ClassArea, ...]
    """Rows by value, background first; classes of the legend that the map doesn't show have 0 pixels."""
    unmapped: int
    """Pixels of the area where the map says nothing."""

    @property
    def mapped(self) -> int:
        """Pixels that show a class."""
        return sum(row.pixels for row in self.rows)


def map_entries(legend: Legend, values: Sequence[int] = ()) -> tuple[LegendClass, ...]:
    """The entries that a map of this legend can show, by value.

    A legend without background gets one where ``values`` (those in the map) hold 0: a crop mask laid it there.
    """
    entries = legend.mapped
    if MAP_BACKGROUND in values and all(entry.value != MAP_BACKGROUND for entry in entries):
        entries = (background_entry(legend), *entries)
    return tuple(sorted(entries, key=lambda entry: entry.value))


def count_areas(path: Path, legend: Legend, zone_area: BaseGeometry) -> AreaTable:
    """Count a class map's pixels, block by block.

    ``zone_area``: the area in the metres of the map's zone. Raises `DeliveryError` where the map holds a value that the
    legend doesn't name.
    """
    counts = np.zeros(256, np.int64)
    unmapped = 0
    for block, values in map_blocks(path, zone_area):
        counts += np.bincount(values.ravel(), minlength=256)
        unmapped += int(((values == MAP_NO_DATA) & inside(zone_area, block)).sum())
    counts[MAP_NO_DATA] = 0
    entries = map_entries(legend, np.flatnonzero(counts).tolist())
    strangers = set(np.flatnonzero(counts).tolist()) - {entry.value for entry in entries}
    if strangers:
        raise DeliveryError(
            f"{path.name} holds the values {sorted(strangers)}, which its legend doesn't name. "
            "The processor and its model don't fit each other: train the model again."
        )
    mapped = int(counts.sum())
    rows = tuple(
        ClassArea(entry, int(counts[entry.value]), 100 * int(counts[entry.value]) / mapped if mapped else 0.0)
        for entry in entries
    )
    return AreaTable(rows, unmapped)


def map_blocks(path: Path, zone_area: BaseGeometry) -> Iterator[tuple[Window, npt.NDArray[np.integer]]]:
    """The blocks of a class map that the area touches, always in one order, with their values (H, W).

    A map says nothing outside of the area: its value there is no data. Raises `DeliveryError` where the map can't be read.
    """
    with open_raster(
        path, lambda why: DeliveryError(f"{path} can't be read: {why}. Make it again."), DRIVERS
    ) as raster:
        left, top = round(raster.transform.c / PIXEL), round(raster.transform.f / PIXEL)
        whole = Window(raster.crs.to_epsg(), left, top, raster.width, raster.height)
        for block in blocks_meeting(zone_area, whole, _BLOCK):
            part = RasterWindow(block.left - left, top - block.top, block.width, block.height)
            values = raster.read(1, window=part)
            yield block, np.where(values == raster.nodata, MAP_NO_DATA, values)


def write_areas(path: Path, table: AreaTable, header: Sequence[str]) -> None:
    """Write ``value,class,hectares,pixels,percent`` (percent of the mapped pixels), UTF-8.

    Lines that start with ``#`` come first: what the figures are and are not, then ``header``.
    """
    unmapped = table.unmapped * PIXEL**2 / HECTARE
    lines = [
        NO_ESTIMATE,
        f"Percent is of the mapped {_number(table.mapped)} pixels; no data on {unmapped:.2f} ha.",
        *header,
    ]
    text = io.StringIO()
    text.writelines(f"# {csv_comment(line)}\n" for line in lines)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("value", "class", "hectares", "pixels", "percent"))
    for row in table.rows:
        writer.writerow(
            (row.entry.value, csv_cell(row.entry.name), f"{row.hectares:.2f}", row.pixels, f"{row.percent:.2f}")
        )
    with written_whole(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")
