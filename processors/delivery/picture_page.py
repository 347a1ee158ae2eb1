"""A page of a picture: title, banner, footer and maps, laid out in inches from the upper left corner."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterWindow
from shapely import get_num_coordinates
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from catalog.grid import PIXEL, Window, blocks_meeting
from processors.delivery.provenance import DeliveryFacts, location_text, months_text
from processors.rasters import MOST_COG, TILE

INK, SOFT, LINE, NO_DATA, AMBER = "#1f2a24", "#5d6b63", "#c9d1cb", "#b4bab7", "#ffc53d"
MARGIN = 0.5
DPI = 150

LARGEST = 1600
"""Pixels of a raster's longer side that a picture reads: no more can be told apart on a page."""

_DRAWN_VERTICES, _DRAWN_PARTS = 1000, 50

Extent = tuple[float, float, float, float]
"""West, east, south, north in m, as matplotlib has it."""

_BOLD, _SMALL = 10.5, 12.5  # characters per inch of notes and of small print


def save_figure(figure: Figure, path: Path, metadata: dict[str, str]) -> None:
    """Write a figure as PNG with such text chunks; letters that the font lacks become boxes, without a warning to anybody."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(path, dpi=DPI, format="png", metadata=metadata)


class Page:
    """A figure with the frame that every delivery's picture shares."""

    def __init__(self, facts: DeliveryFacts, width: float, body: float, title: str = "") -> None:
        """``width`` and ``body`` (the height between title and footer) in inches; ``title``: product and year where empty."""
        self._notes = [line for note in facts.notes for line in textwrap.wrap(note, int((width - 2 * MARGIN) * _BOLD))]
        self._notice = textwrap.wrap(f"{facts.notice}.", int((width - 2 * MARGIN - 1.5) * _SMALL))
        banner = 0.5 if facts.synthetic else 0.0
        self.top = banner + 1.3
        self.width = width
        self.height = self.top + body + 0.42 + 0.21 * (len(self._notes) + len(self._notice))
        self.figure = Figure(figsize=(width, self.height), facecolor="white")
        FigureCanvasAgg(self.figure)
        if facts.synthetic:
            self.figure.add_artist(self._box(0, 0, width, banner, AMBER))
            self.text(
                width / 2, banner / 2, "SYNTHETIC DATA: simulated fields, no observation", 14, color="#3b2a00",
                weight="bold", ha="center", va="center",
            )  # fmt: skip
        title = title or facts.heading
        size = min(21.0, 100 * (width - 2 * MARGIN) / len(title))  # a bold letter is about 0.7 of its size wide
        self.text(MARGIN, banner + 0.62, title, size, weight="bold")
        used = len(facts.used)
        self.text(
            MARGIN, banner + 0.95,
            f"{months_text(facts.period)}  ·  {location_text(facts.area)}  ·  {used} acquisitions, level {facts.level}",
            10.5, color=SOFT,
        )  # fmt: skip
        self._footer(self.top + body + 0.3, facts)

    def text(self, x: float, y: float, text: str, size: float, **options: Any) -> None:
        """Write at a point of the page; names are never read as formulas."""
        settings = {"color": INK, "va": "baseline", "ha": "left", "parse_math": False, **options}
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, **settings)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes without ticks or frame."""
        axes = self.figure.add_axes(
            (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        )
        axes.set_axis_off()
        return axes

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str, edge: str = "none") -> None:
        """Fill a rectangle whose upper left corner is (x, y)."""
        self.figure.add_artist(self._box(x, y, width, height, colour, edge))

    def save(self, path: Path, facts: DeliveryFacts) -> None:
        """Write a PNG whose text chunks say what it is."""
        metadata = {
            "Title": facts.title, "Copyright": facts.notice, "Software": facts.software,
            "Description": " ".join((f"{facts.title}.", *facts.notes)), "Synthetic": "yes" if facts.synthetic else "no",
        }  # fmt: skip
        save_figure(self.figure, path, metadata)

    def _footer(self, y: float, facts: DeliveryFacts) -> None:
        for line in self._notes:
            y += 0.21
            self.text(MARGIN, y, line, 10, color="#8a5a00", weight="bold")
        for number, line in enumerate(self._notice):
            y += 0.21
            self.text(MARGIN, y, line, 9, color=SOFT)
            if number == 0:
                self.text(self.width - MARGIN, y, facts.software, 9, color=SOFT, ha="right")

    def _box(self, x: float, y: float, width: float, height: float, colour: str, edge: str = "none") -> Rectangle:
        return Rectangle(
            (x / self.width, 1 - (y + height) / self.height), width / self.width, height / self.height,
            transform=self.figure.transFigure, facecolor=colour, edgecolor=edge, linewidth=0.6,
        )  # fmt: skip


def read_small(path: Path, band: int, zone_area: BaseGeometry, *, classes: bool) -> tuple[npt.NDArray[Any], Extent]:
    """A band, at most `LARGEST` pixels a side (nearest for classes, else average), and where it lies."""
    with rasterio.open(path) as raster:
        if not raster.overviews(band) and raster.width * raster.height > MOST_COG:
            return _read_touched(raster, band, zone_area, classes=classes), extent_of(path)
        shrink = max(1.0, max(raster.shape) / LARGEST)
        shape = tuple(max(1, round(edge / shrink)) for edge in raster.shape)
        values = raster.read(
            band, out_shape=shape, masked=not classes, resampling=Resampling.nearest if classes else Resampling.average
        )
        west, south, east, north = raster.bounds
    if not classes:
        values = np.ma.filled(values.astype(np.float32), np.nan)
    return values, (west, east, south, north)


def extent_of(path: Path) -> Extent:
    """Where a raster lies."""
    with rasterio.open(path) as raster:
        west, south, east, north = raster.bounds
    return west, east, south, north


def _read_touched(raster: Any, band: int, zone_area: BaseGeometry, *, classes: bool) -> npt.NDArray[Any]:
    """A band made small, of which only what the area touches is read: there are no overviews, and all else is empty."""
    window = Window(
        raster.crs.to_epsg(),
        round(raster.transform.c / PIXEL),
        round(raster.transform.f / PIXEL),
        raster.width,
        raster.height,
    )
    shrink = -(-max(raster.shape) // LARGEST)
    shape = (-(-raster.height // shrink), -(-raster.width // shrink))
    small = np.full(shape, raster.nodata, raster.dtypes[band - 1])
    for block in blocks_meeting(zone_area, window, shrink * max(1, TILE // shrink)):
        row, column = window.top - block.top, block.left - window.left
        height, width = -(-block.height // shrink), -(-block.width // shrink)
        small[row // shrink : row // shrink + height, column // shrink : column // shrink + width] = raster.read(
            band,
            window=RasterWindow(column, row, block.width, block.height),
            out_shape=(height, width),
            resampling=Resampling.mode if classes else Resampling.average,
        )
    if not classes:
        small = np.where(small == raster.nodata, np.float32("nan"), small.astype(np.float32))
    return small


def draw_map(axes: Axes, pixels: npt.NDArray[Any], extent: Extent, zone_area: BaseGeometry, **options: Any) -> Any:
    """Draw pixels as they are, without interpolation, over grey where they say nothing, with the area's outline."""
    outlines = _outlines(zone_area, (extent[1] - extent[0]) / LARGEST)
    for outline in outlines:
        axes.add_patch(PathPatch(outline, facecolor=NO_DATA, edgecolor="none", zorder=0))
    image = axes.imshow(pixels, extent=extent, interpolation="nearest", zorder=1, aspect="equal", **options)
    for outline in outlines:
        axes.add_patch(PathPatch(outline, facecolor="none", edgecolor=INK, linewidth=0.9, zorder=2, clip_on=False))
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    return image


def draw_scale_bar(page: Page, x: float, y: float, metres_per_inch: float, longest: float) -> None:
    """A bar of a round length, at most ``longest`` inches, with its left end at (x, y)."""
    length = round_length(longest * metres_per_inch)
    inches = length / metres_per_inch
    page.rectangle(x, y, inches / 2, 0.07, INK, INK)
    page.rectangle(x + inches / 2, y, inches / 2, 0.07, "white", INK)
    page.text(x + inches + 0.1, y + 0.08, f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m", 9)


def draw_north(page: Page, x: float, y: float) -> None:
    """An arrow to the grid's north, its tip at (x, y)."""
    points = [(x, y), (x + 0.1, y + 0.3), (x, y + 0.23), (x - 0.1, y + 0.3)]
    page.figure.add_artist(
        Polygon(
            [(px / page.width, 1 - py / page.height) for px, py in points], transform=page.figure.transFigure, color=INK
        )
    )
    page.text(x, y + 0.46, "N", 9, ha="center", weight="bold")


def round_length(metres: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres))


def fitted(extent_width: float, extent_height: float, width: float, height: float) -> tuple[float, float]:
    """Size in inches of a map that fits into a box."""
    scale = min(width / extent_width, height / extent_height)
    return extent_width * scale, extent_height * scale


def shortened(text: str, length: int) -> str:
    """Shorten a text to at most that many characters."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _outlines(zone_area: BaseGeometry, visible: float) -> Sequence[Outline]:
    """The outline of each part; of many vertices those that can be told apart at ``visible`` m, of many parts one for all."""
    if get_num_coordinates(zone_area) > _DRAWN_VERTICES:
        zone_area = zone_area.simplify(visible)
    parts = getattr(zone_area, "geoms", [zone_area])
    outlines = []
    for part in parts:
        # Wound as a path must be in which holes stay empty.
        rings = [np.asarray(ring.coords)[:, :2] for ring in _rings(part)]
        codes = [[Outline.MOVETO, *[Outline.LINETO] * (len(ring) - 2), Outline.CLOSEPOLY] for ring in rings]
        outlines.append(Outline(np.concatenate(rings), np.concatenate(codes)))
    return outlines if len(outlines) <= _DRAWN_PARTS else [Outline.make_compound_path(*outlines)]


def _rings(part: Any) -> list[Any]:
    if not part.interiors:
        return [part.exterior]
    turned = orient(part)
    return [turned.exterior, *turned.interiors]
