"""Hectares per class, counted from a class map."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from catalog.storage.csv_text import cell_text, csv_cell, csv_comment
from catalog.storage.pixels import DRIVERS
from catalog.storage.whole import written_whole
from processors.views.segments import LEAST_HECTARES

HECTARE = 10_000
"""Size of a hectare, m²."""

CERTAIN = 0.5
"""Confidence below which a pixel is called uncertain: it may well be another class."""

NO_ESTIMATE = "Hectares are pixels counted in the map, at the map's errors: they are no estimate of crop areas."

_BLOCK = 1024

UNCERTAIN, IN_PARCELS, BELOW = "uncertain_percent", "in_parcels_ha", f"below_{LEAST_HECTARES:g}_ha"
"""Columns that not every map has."""


@dataclass(frozen=True, slots=True)
class ClassArea:
    """One class of a map and how many pixels show it."""

    entry: LegendClass
    pixels: int
    percent: float
    """Share of the pixels that show a class."""
    uncertain: int | None = None
    """Of its pixels those less sure than `CERTAIN`; None where the map doesn't say how sure it is."""
    judged: int = 0
    """Of its pixels those of which the map says how sure it is: of what a crop mask leaves out it says nothing."""
    below: int | None = None
    """Of its pixels those in no parcel, since they are part of something smaller; None where parcels are none of the map's."""

    @property
    def uncertain_share(self) -> float | None:
        """Share of uncertain pixels among those of which the map says how sure it is; None where there are none."""
        return None if self.uncertain is None or not self.judged else self.uncertain / self.judged

    @property
    def hectares(self) -> float:
        """A pixel of 10 m is 0.01 ha on the grid of the zone."""
        return hectares(self.pixels)


def hectares(pixels: int) -> float:
    """Pixels of 10 m in hectares."""
    return pixels * PIXEL**2 / HECTARE


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


def count_areas(
    path: Path,
    legend: Legend,
    zone_area: BaseGeometry,
    confidence: Path | None = None,
    below: Mapping[int, int] | None = None,
) -> AreaTable:
    """Count a class map's pixels, block by block.

    ``zone_area``: the area in the metres of the map's zone; ``confidence``: raster of how sure the map is, on the same pixels; ``below``:
    pixels by value that are in no parcel of the map, since they are part of something smaller. Raises `DeliveryError` where the map
    holds a value that the legend doesn't name.
    """
    counts = np.zeros(256, np.int64)
    uncertain, judged = np.zeros(256, np.int64), np.zeros(256, np.int64)
    unmapped = 0
    with _read_beside(confidence) as sure:
        for block, values in map_blocks(path, zone_area):
            counts += np.bincount(values.ravel(), minlength=256)
            unmapped += int(((values == MAP_NO_DATA) & inside(zone_area, block)).sum())
            if sure is not None:
                known = sure(block)
                judged += np.bincount(values[np.isfinite(known)], minlength=256)
                uncertain += np.bincount(values[known < CERTAIN], minlength=256)
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
        ClassArea(
            entry,
            int(counts[entry.value]),
            100 * int(counts[entry.value]) / mapped if mapped else 0.0,
            None if confidence is None else int(uncertain[entry.value]),
            int(judged[entry.value]),
            below=None if below is None or entry.role != "class" else below.get(entry.value, 0),
        )
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


@contextmanager
def _read_beside(path: Path | None) -> Iterator[Callable[[Window], npt.NDArray[np.floating]] | None]:
    """Reader (H, W) of blocks of a raster; None without one."""
    if path is None:
        yield None
        return
    with open_raster(
        path, lambda why: DeliveryError(f"{path} can't be read: {why}. Make it again."), DRIVERS
    ) as raster:
        left, top = round(raster.transform.c / PIXEL), round(raster.transform.f / PIXEL)
        yield lambda block: raster.read(
            1, window=RasterWindow(block.left - left, top - block.top, block.width, block.height)
        )


def write_areas(path: Path, table: AreaTable, header: Sequence[str]) -> None:
    """Write ``value,class,hectares,pixels,percent`` (percent of the mapped pixels), UTF-8; where they are known also
    ``uncertain_percent`` (of the class's pixels that have a confidence), and ``in_parcels_ha`` and ``below_0.5_ha``, which add up to
    the hectares.

    Lines that start with ``#`` come first: what the figures are and are not, then ``header``.
    """
    unmapped = table.unmapped * PIXEL**2 / HECTARE
    lines = [
        NO_ESTIMATE,
        f"Percent is of the mapped {_number(table.mapped)} pixels; no data on {unmapped:.2f} ha.",
        *header,
    ]
    sure = any(row.uncertain is not None for row in table.rows)
    outlined = any(row.below is not None for row in table.rows)
    if sure:
        lines.insert(2, f"Uncertain: confidence below {CERTAIN:g}, percent of the class's pixels that have one.")
    if outlined:
        lines.insert(
            2,
            f"{IN_PARCELS} and {BELOW} add up to hectares: parcels of {LEAST_HECTARES:g} ha and more, and what is smaller.",
        )
    text = io.StringIO()
    text.writelines(f"# {csv_comment(line)}\n" for line in lines)
    writer = csv.writer(text, lineterminator="\n")
    columns = ["value", "class", "hectares", "pixels", "percent"]
    writer.writerow(columns + [UNCERTAIN] * sure + [IN_PARCELS, BELOW] * outlined)
    for row in table.rows:
        cells = [row.entry.value, csv_cell(row.entry.name), f"{row.hectares:.2f}", row.pixels, f"{row.percent:.2f}"]
        if sure:
            cells.append("" if row.uncertain_share is None else f"{100 * row.uncertain_share:.2f}")
        if outlined and row.below is None:
            cells += ["", ""]
        elif outlined and row.below is not None:
            cells += [f"{hectares(row.pixels - row.below):.2f}", f"{hectares(row.below):.2f}"]
        writer.writerow(cells)
    with written_whole(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def read_areas(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The first lines of such a file and its rows, names as the legend has them. Raises `OSError`."""
    lines = path.read_text(encoding="utf-8").split("\n")  # and at no other sign that Unicode takes for the end of one
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return comments, [{column: cell_text(cell) for column, cell in row.items()} for row in rows]


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")
